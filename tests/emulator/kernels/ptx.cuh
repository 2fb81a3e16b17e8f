// Instructions of PTX as functions, for what ptx.py writes. T is the type of the instruction.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

namespace ptx {

// A register as a type: of the same size its bits, else its number.
template <class To, class From>
inline To as(From x) {
  if constexpr (sizeof(To) == sizeof(From)) {
    To to;
    memcpy(&to, &x, sizeof to);
    return to;
  } else {
    return To(x);
  }
}
template <class To, class From>
inline void put(To& to, From x) {
  to = as<To>(x);
}

inline float ftz(float x) { return emulator::flush(x); }
inline double ftz(double x) { return x; }

// Integers wrap around.
template <class T>
using Wrapping = std::make_unsigned<std::conditional_t<std::is_integral_v<T>, T, int>>;

#define PTX_ARITHMETIC(name, sign)                                                     \
  template <class T>                                                                   \
  inline T name(T a, T b) {                                                            \
    if constexpr (std::is_integral_v<T>) {                                             \
      using U = std::conditional_t<sizeof(T) < 4, uint32_t, typename Wrapping<T>::type>; \
      return T(U(a) sign U(b));                                                        \
    } else {                                                                           \
      return a sign b;                                                                 \
    }                                                                                  \
  }
PTX_ARITHMETIC(add, +)
PTX_ARITHMETIC(sub, -)
PTX_ARITHMETIC(mul, *)
#undef PTX_ARITHMETIC

template <class T>
inline T mad(T a, T b, T c) { return add(mul(a, b), c); }
inline float fma(float a, float b, float c) { return fmaf(a, b, c); }
inline double fma(double a, double b, double c) { return ::fma(a, b, c); }
template <class Wide, class T>
inline Wide mul_wide(T a, T b) { return mul(Wide(a), Wide(b)); }

template <class T>
inline T div(T a, T b) { return a / b; }
inline double rcp_rn(double x) { return 1 / x; }
// The first half of the bits, of the first half of the bits; without subnormals.
inline double first_half(double x) {
  const uint64_t bits = as<uint64_t>(x) & ~0xffffffffull;
  return fabs(as<double>(bits)) < 0x1p-1022 ? copysign(0.0, x) : as<double>(bits);
}
inline double rcp_approx(double x) { return first_half(1 / first_half(x)); }
template <class T>
inline T rem(T a, T b) { return a % b; }
template <class T>
inline T min(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return fmin(a, b);
  return b < a ? b : a;
}
template <class T>
inline T max(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return fmax(a, b);
  return a < b ? b : a;
}
template <class T>
inline T neg(T a) {
  if constexpr (std::is_floating_point_v<T>) return -a;
  return sub(T(0), a);
}
template <class T>
inline T abs(T a) {
  if constexpr (std::is_floating_point_v<T>) return fabs(a);
  return a < 0 ? neg(a) : a;
}
template <class T>
inline T and_(T a, T b) { return a & b; }
template <class T>
inline T or_(T a, T b) { return a | b; }
template <class T>
inline T xor_(T a, T b) { return a ^ b; }
template <class T>
inline T not_(T a) {
  if constexpr (std::is_same_v<T, bool>) return !a;
  return T(~a);
}

// Shifts by more than there are bits.
template <class T>
inline T shl(T a, uint32_t n) { return n >= 8 * sizeof(T) ? T(0) : T(typename Wrapping<T>::type(a) << n); }
template <class T>
inline T shr(T a, uint32_t n) {
  const uint32_t most = 8 * sizeof(T) - 1;
  if (n > most) return std::is_signed_v<T> ? T(a >> most) : T(0);
  return T(a >> n);
}
template <class T>
inline T bfi(T a, T b, uint32_t at, uint32_t bits) {
  const T mask = shl(T(shl(T(1), bits) - 1), at);
  return (b & ~mask) | (shl(a, at) & mask);
}

// Comparisons; the last letter u: true of a NaN, too.
#define PTX_COMPARE(name, sign)                                \
  template <class T>                                           \
  inline bool name(T a, T b) { return a sign b; }              \
  template <class T>                                           \
  inline bool name##u(T a, T b) { return a != a || b != b || a sign b; }
PTX_COMPARE(eq, ==)
PTX_COMPARE(lt, <)
PTX_COMPARE(le, <=)
PTX_COMPARE(gt, >)
PTX_COMPARE(ge, >=)
#undef PTX_COMPARE
template <class T>
inline bool ne(T a, T b) { return a == a && b == b && a != b; }
template <class T>
inline bool neu(T a, T b) { return !(a == b); }
template <class T>
inline bool num(T a, T b) { return a == a && b == b; }
template <class T>
inline bool nan(T a, T b) { return !num(a, b); }

// A variable in shared memory, whose addresses have 32 bits; the last one is the dynamic one.
struct Variable {
  uint64_t address;
  uint32_t bytes;
};
template <int COUNT>
inline uint64_t shared(uint32_t low, const Variable (&variables)[COUNT]) {
  int i = 0;
  while (i < COUNT - 1 && low - uint32_t(variables[i].address) >= variables[i].bytes) ++i;
  return variables[i].address + int32_t(low - uint32_t(variables[i].address));
}

// Memory: the address must be a multiple of all bytes that are loaded or stored at once.
inline char* at(uint64_t address, size_t bytes, int line) {
  if (address % bytes) emulator::fail({"ptx", line}, "an address is no multiple of %zu", bytes);
  return reinterpret_cast<char*>(address);
}
template <class T>
inline T load(const char* at) {
  T x;
  memcpy(&x, at, sizeof x);
  return x;
}
template <class T>
inline void store(char* at, T x) { memcpy(at, &x, sizeof x); }

// Sixteen bits.
inline float from_f16(uint16_t x) { return __half2float(__ushort_as_half(x)); }
inline float from_bf16(uint16_t x) { return __bfloat162float(__ushort_as_bfloat16(x)); }
inline uint16_t to_f16(float x) { return __half_as_ushort(__float2half_rn(x)); }
inline uint16_t to_bf16(float x) { return __bfloat16_as_ushort(__float2bfloat16_rn(x)); }

// Lanes; `c` has 32 minus the width in its second byte.
inline int width_of(uint32_t c) { return 32 - int(c >> 8 & 31); }
inline uint32_t up(uint32_t mask, uint32_t x, uint32_t by, uint32_t c) {
  return __shfl_up_sync(mask, x, by, width_of(c));
}
inline uint32_t down(uint32_t mask, uint32_t x, uint32_t by, uint32_t c) {
  return __shfl_down_sync(mask, x, by, width_of(c));
}
inline uint32_t bfly(uint32_t mask, uint32_t x, uint32_t by, uint32_t c) {
  return __shfl_xor_sync(mask, x, int(by), width_of(c));
}
inline uint32_t idx(uint32_t mask, uint32_t x, uint32_t lane, uint32_t c) {
  return __shfl_sync(mask, x, int(lane), width_of(c));
}

}  // namespace ptx
