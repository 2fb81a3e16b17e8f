// What CUDA C++ adds to the language, and the built-in variables.
//
// Declarations with __shared__ and __launch_bounds__ were rewritten before (source.py).
#pragma once
#include <stdio.h>  // printf is there without an include, in device code

#include "interface.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __grid_constant__
#define __align__(bytes) alignas(bytes)

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// Each thread has its own stack, so the compiler may keep them there: they never change for it.
extern const uint3 threadIdx, blockIdx;
extern const dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulator {

// One declaration: the type with its dimensions, for each instance of a template.
template <class Type>
Type& static_variable(const void* key, size_t alignment, Site site) {
  const size_t own = alignof(Type);
  return *static_cast<Type*>(
      static_shared(key, sizeof(Type), alignment > own ? alignment : own, site));
}

template <class Type>
Type* dynamic_variable(size_t alignment, Site site) {
  const size_t own = alignof(Type);
  return static_cast<Type*>(dynamic_shared(alignment > own ? alignment : own, site));
}

}  // namespace emulator

inline void __syncthreads(emulator::Site site = EMULATOR_HERE) {
  emulator::barrier(emulator::Vote::none, false, site);
}
inline int __syncthreads_count(int predicate, emulator::Site site = EMULATOR_HERE) {
  return emulator::barrier(emulator::Vote::count, predicate != 0, site);
}
inline int __syncthreads_and(int predicate, emulator::Site site = EMULATOR_HERE) {
  return emulator::barrier(emulator::Vote::all, predicate != 0, site);
}
inline int __syncthreads_or(int predicate, emulator::Site site = EMULATOR_HERE) {
  return emulator::barrier(emulator::Vote::any, predicate != 0, site);
}

// Threads run one at a time and see what the others wrote. ThreadSanitizer knows no fences: flags
// that order memory by one are reported.
inline void __threadfence_block() {}
inline void __threadfence() {}
inline void __threadfence_system() {}

// Without an include, too.
#define assert(condition) \
  ((condition) ? void() : emulator::fail(EMULATOR_HERE, "assert(%s)", #condition))
inline void __trap(emulator::Site site = EMULATOR_HERE) { emulator::fail(site, "__trap()"); }
