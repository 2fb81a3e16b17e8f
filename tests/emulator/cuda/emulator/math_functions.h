// Mathematical functions: those of the C library, and the fast and approximate ones of a GPU.
//
// The approximate ones return the library's value, with the GPU's treatment of subnormal numbers and
// of extreme arguments. Their error on a GPU, a few units in the last place, is not imitated.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

inline int __float_as_int(float x) {
  int bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline unsigned __float_as_uint(float x) { return unsigned(__float_as_int(x)); }
inline float __int_as_float(int bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
inline float __uint_as_float(unsigned bits) { return __int_as_float(int(bits)); }
inline long long __double_as_longlong(double x) {
  long long bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline double __longlong_as_double(long long bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

namespace emulator {

// .ftz: a subnormal number counts as zero, with its sign.
inline float flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x; }

// The PTX instructions ex2, lg2, rcp, rsqrt and tanh .approx(.ftz).f32, for the host's branch of
// `#ifdef __CUDA_ARCH__`.
inline float ex2_approx(float x) { return exp2f(x); }
inline float ex2_approx_ftz(float x) { return flush(exp2f(flush(x))); }
inline float lg2_approx(float x) { return log2f(x); }
inline float lg2_approx_ftz(float x) { return log2f(flush(x)); }
inline float rcp_approx_ftz(float x) { return flush(1.0f / flush(x)); }
inline float rsqrt_approx_ftz(float x) { return 1.0f / sqrtf(flush(x)); }
inline float tanh_approx(float x) { return tanhf(x); }

}  // namespace emulator

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __saturatef(float x) { return x > 0.0f ? fminf(x, 1.0f) : 0.0f; }  // NaN: 0

// As CUDA defines them; the product is rounded, so the error grows with the argument there too.
inline float __expf(float x) { return emulator::ex2_approx(x * 1.4426950408889634f); }
inline float __exp10f(float x) { return emulator::ex2_approx(x * 3.3219280948873623f); }
inline float __logf(float x) { return emulator::lg2_approx(x) * 0.6931471805599453f; }
inline float __log2f(float x) { return emulator::lg2_approx(x); }
inline float __powf(float x, float y) { return emulator::ex2_approx(y * emulator::lg2_approx(x)); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }

// A divisor above 2^126 is beyond the reciprocal.
inline float __fdividef(float x, float y) {
  return fabsf(y) > 0x1p126f && !isinf(y) ? x * 0.0f : x / y;
}

inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1) << (31 - i);
  return reversed;
}
inline unsigned __umulhi(unsigned x, unsigned y) { return unsigned(uint64_t(x) * y >> 32); }
inline int __mulhi(int x, int y) { return int(int64_t(x) * y >> 32); }

namespace emulator {
template <class Type>
constexpr Type least(Type a, Type b) {
  return b < a ? b : a;
}
template <class Type>
constexpr Type greatest(Type a, Type b) {
  return a < b ? b : a;
}
}  // namespace emulator

// int with unsigned is unsigned; of a number and a NaN, the number.
#define EMULATOR_MIN_MAX(type, first, second)                                         \
  constexpr type min(first a, second b) { return emulator::least<type>(a, b); }       \
  constexpr type max(first a, second b) { return emulator::greatest<type>(a, b); }
EMULATOR_MIN_MAX(int, int, int)
EMULATOR_MIN_MAX(unsigned, unsigned, unsigned)
EMULATOR_MIN_MAX(unsigned, unsigned, int)
EMULATOR_MIN_MAX(unsigned, int, unsigned)
EMULATOR_MIN_MAX(long, long, long)
EMULATOR_MIN_MAX(unsigned long, unsigned long, unsigned long)
EMULATOR_MIN_MAX(long long, long long, long long)
EMULATOR_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
#undef EMULATOR_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(a, b); }
inline double max(float a, double b) { return fmax(a, b); }
inline double min(double a, float b) { return fmin(a, b); }
inline double max(double a, float b) { return fmax(a, b); }
