// The bits of half and bfloat16 numbers, to and from float: to the nearest, ties to even.
#pragma once
#include <stdint.h>

#include "math_functions.h"
#include "vector_types.h"

namespace emulator {

// A NaN becomes 0x7fff, without its sign and payload, as on a GPU.
constexpr uint16_t NAN_BITS = 0x7fff;

// Drop `count` low bits, to the nearest, ties to even. A carry into the exponent is right: it is
// the next power of two, or infinity.
inline uint32_t round_off(uint32_t x, int count) {
  const uint32_t half = 1u << (count - 1), odd = x >> count & 1;
  return (x + half - 1 + odd) >> count;
}

inline uint16_t half_from_float(float x) {
  const uint32_t bits = __float_as_uint(x), sign = bits >> 16 & 0x8000;
  const uint32_t size = bits & 0x7fffffff;
  if (size > 0x7f800000) return NAN_BITS;
  if (size >= 0x47800000) return uint16_t(sign | 0x7c00);  // 2^16 or more
  if (size >= 0x38800000) return uint16_t(sign | round_off(size - (112u << 23), 13));
  // Below 2^-14 the unit is 2^-24, whatever the exponent: the leading one is written out.
  const int shift = 126 - int(size >> 23);
  if (shift > 24) return uint16_t(sign);  // below half of a unit
  return uint16_t(sign | round_off((size & 0x7fffff) | 0x800000, shift));
}

inline float float_from_half(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31;
  const uint32_t fraction = bits & 0x3ff;
  if (exponent == 31) return __uint_as_float(fraction ? 0x7fffffff : sign | 0x7f800000);
  if (exponent) return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
  const float size = float(fraction) * 0x1p-24f;
  return sign ? -size : size;
}

inline uint16_t bfloat16_from_float(float x) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return NAN_BITS;
  return uint16_t(round_off(bits, 16));
}

inline float float_from_bfloat16(uint16_t bits) { return __uint_as_float(uint32_t(bits) << 16); }

}  // namespace emulator

// A 16-bit type and its pair. Sums, products and quotients are computed in float: rounding twice
// gives what rounding once does, because float has more than twice the bits.
#define EMULATOR_SIXTEEN_BITS(type, pair, from_float, to_float)                                \
  struct alignas(2) type {                                                                     \
    uint16_t bits;                                                                             \
    type() = default;                                                                          \
    type(float x) : bits(emulator::from_float(x)) {}                                           \
    type(double x) : bits(emulator::from_float(emulator::to_odd(x))) {}                        \
    type(int x) : type(double(x)) {}                                                           \
    type(unsigned x) : type(double(x)) {}                                                      \
    operator float() const { return emulator::to_float(bits); }                                \
  };                                                                                           \
  struct alignas(4) pair {                                                                     \
    type x, y;                                                                                 \
  };                                                                                           \
  inline type operator+(type a, type b) { return float(a) + float(b); }                        \
  inline type operator-(type a, type b) { return float(a) - float(b); }                        \
  inline type operator*(type a, type b) { return float(a) * float(b); }                        \
  inline type operator/(type a, type b) { return float(a) / float(b); }                        \
  inline type operator-(type a) { return -float(a); }                                          \
  inline type& operator+=(type& a, type b) { return a = a + b; }                               \
  inline type& operator-=(type& a, type b) { return a = a - b; }                               \
  inline type& operator*=(type& a, type b) { return a = a * b; }                               \
  inline bool operator==(type a, type b) { return float(a) == float(b); }                      \
  inline bool operator!=(type a, type b) { return float(a) != float(b); }                      \
  inline bool operator<(type a, type b) { return float(a) < float(b); }                        \
  inline bool operator>(type a, type b) { return float(a) > float(b); }                        \
  inline bool operator<=(type a, type b) { return float(a) <= float(b); }                      \
  inline bool operator>=(type a, type b) { return float(a) >= float(b); }                      \
  inline bool __hisnan(type a) { return isnan(float(a)); }                                     \
  inline float __low2float(pair a) { return a.x; }                                             \
  inline float __high2float(pair a) { return a.y; }

namespace emulator {

// A double as a float that rounds to 16 bits as the double itself would: where it is not exact, cut
// off with the last bit set, which is neither a tie nor another side of one.
inline float to_odd(double x) {
  float nearest = float(x);
  if (isnan(x) || double(nearest) == x) return nearest;
  if (fabs(double(nearest)) > fabs(x)) nearest = nextafterf(nearest, 0.0f);
  return __uint_as_float(__float_as_uint(nearest) | 1);
}

}  // namespace emulator
