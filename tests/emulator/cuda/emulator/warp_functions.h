// The _sync functions of a warp.
#pragma once
#include <string.h>

#include <type_traits>

#include "interface.h"

struct __half;
struct __half2;
struct __nv_bfloat16;
struct __nv_bfloat162;

namespace emulator {

template <class Type>
constexpr bool is_16_bit_float =
    std::is_same<Type, __half>::value || std::is_same<Type, __half2>::value ||
    std::is_same<Type, __nv_bfloat16>::value || std::is_same<Type, __nv_bfloat162>::value;

template <class Type>
uint64_t to_bits(Type value) {
  static_assert(is_16_bit_float<Type> || (std::is_arithmetic<Type>::value && sizeof(Type) >= 4),
                "a warp function takes 32- and 64-bit numbers, half and bfloat16");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class Type>
Type from_bits(uint64_t bits) {
  Type value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

template <class Type>
Type shuffle(Collective operation, unsigned mask, Type value, int argument, int width, Site site) {
  return from_bits<Type>(collective(operation, mask, to_bits(value), argument, width, site));
}

}  // namespace emulator

template <class Type>
Type __shfl_sync(unsigned mask, Type value, int lane, int width = 32,
                 emulator::Site site = EMULATOR_HERE) {
  return emulator::shuffle(emulator::Collective::shuffle, mask, value, lane, width, site);
}
template <class Type>
Type __shfl_up_sync(unsigned mask, Type value, unsigned by, int width = 32,
                    emulator::Site site = EMULATOR_HERE) {
  return emulator::shuffle(emulator::Collective::shuffle_up, mask, value, int(by), width, site);
}
template <class Type>
Type __shfl_down_sync(unsigned mask, Type value, unsigned by, int width = 32,
                      emulator::Site site = EMULATOR_HERE) {
  return emulator::shuffle(emulator::Collective::shuffle_down, mask, value, int(by), width, site);
}
template <class Type>
Type __shfl_xor_sync(unsigned mask, Type value, int lanes, int width = 32,
                     emulator::Site site = EMULATOR_HERE) {
  return emulator::shuffle(emulator::Collective::shuffle_xor, mask, value, lanes, width, site);
}

inline void __syncwarp(unsigned mask = 0xffffffff, emulator::Site site = EMULATOR_HERE) {
  emulator::collective(emulator::Collective::syncwarp, mask, 0, 0, 32, site);
}

// The lanes that are here together. On a GPU fewer may be: no kernel should depend on it.
inline unsigned __activemask(emulator::Site site = EMULATOR_HERE) {
  const auto operation = emulator::Collective::activemask;
  return unsigned(emulator::collective(operation, 0xffffffff, 0, 0, 32, site));
}

inline unsigned __ballot_sync(unsigned mask, int predicate, emulator::Site site = EMULATOR_HERE) {
  const auto operation = emulator::Collective::ballot;
  return unsigned(emulator::collective(operation, mask, predicate != 0, 0, 32, site));
}
inline int __all_sync(unsigned mask, int predicate, emulator::Site site = EMULATOR_HERE) {
  const auto operation = emulator::Collective::all;
  return int(emulator::collective(operation, mask, predicate != 0, 0, 32, site));
}
inline int __any_sync(unsigned mask, int predicate, emulator::Site site = EMULATOR_HERE) {
  const auto operation = emulator::Collective::any;
  return int(emulator::collective(operation, mask, predicate != 0, 0, 32, site));
}

template <class Type>
unsigned __match_any_sync(unsigned mask, Type value, emulator::Site site = EMULATOR_HERE) {
  const auto operation = emulator::Collective::match_any;
  return unsigned(emulator::collective(operation, mask, emulator::to_bits(value), 0, 32, site));
}
template <class Type>
unsigned __match_all_sync(unsigned mask, Type value, int* all,
                          emulator::Site site = EMULATOR_HERE) {
  const auto operation = emulator::Collective::match_all;
  const auto lanes = emulator::collective(operation, mask, emulator::to_bits(value), 0, 32, site);
  *all = lanes != 0;
  return unsigned(lanes);
}

#define EMULATOR_REDUCE(name, type, operation)                                                 \
  inline type name(unsigned mask, type value, emulator::Site site = EMULATOR_HERE) {           \
    return type(emulator::collective(emulator::Collective::operation, mask, unsigned(value), 0, \
                                     32, site));                                               \
  }
EMULATOR_REDUCE(__reduce_add_sync, int, add)
EMULATOR_REDUCE(__reduce_add_sync, unsigned, add)
EMULATOR_REDUCE(__reduce_min_sync, int, minimum)
EMULATOR_REDUCE(__reduce_min_sync, unsigned, unsigned_minimum)
EMULATOR_REDUCE(__reduce_max_sync, int, maximum)
EMULATOR_REDUCE(__reduce_max_sync, unsigned, unsigned_maximum)
EMULATOR_REDUCE(__reduce_and_sync, unsigned, bit_and)
EMULATOR_REDUCE(__reduce_or_sync, unsigned, bit_or)
EMULATOR_REDUCE(__reduce_xor_sync, unsigned, bit_xor)
#undef EMULATOR_REDUCE
