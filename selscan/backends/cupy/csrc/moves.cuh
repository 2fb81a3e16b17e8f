// Numbers that are moved, and what they are added up in.
#pragma once
#include "elements.cuh"

// Sixteen bytes of any kind.
struct alignas(16) Wide {
  unsigned long long low, high;
};

// The numbers that a result is summed in: float for 16-bit floats, which are rounded once.
template <class Stored>
struct Summed {
  using Total = Stored;
};
template <>
struct Summed<__half> {
  using Total = float;
};
template <>
struct Summed<__nv_bfloat16> {
  using Total = float;
};

template <class Total>
DEVICE Total total_of(Total x) {
  return x;
}
DEVICE float total_of(__half x) { return widen(x); }
DEVICE float total_of(__nv_bfloat16 x) { return widen(x); }

template <class Stored>
DEVICE void store_total(Stored* to, Stored x) {
  *to = x;
}
DEVICE void store_total(__half* to, float x) { *to = __half(x); }
DEVICE void store_total(__nv_bfloat16* to, float x) { *to = __nv_bfloat16(x); }

// Integers wrap around, signed ones in the same bits as these.
DEVICE float plus(float x, float y) { return x + y; }
DEVICE double plus(double x, double y) { return x + y; }
DEVICE unsigned char plus(unsigned char x, unsigned char y) { return (unsigned char)(x + y); }
DEVICE unsigned short plus(unsigned short x, unsigned short y) { return (unsigned short)(x + y); }
DEVICE unsigned plus(unsigned x, unsigned y) { return x + y; }
DEVICE unsigned long long plus(unsigned long long x, unsigned long long y) { return x + y; }
template <class Real>
DEVICE Complex<Real> plus(Complex<Real> x, Complex<Real> y) {
  return {x.re + y.re, x.im + y.im};
}
DEVICE Wide plus(Wide x, Wide) { return x; }  // only moved
