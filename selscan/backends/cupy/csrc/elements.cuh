// Elements: numbers in memory, of dtypes known to the compiler or at run time only.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "numbers.cuh"

// Codes of dtypes in memory, as arguments.py has them.
enum Dtype { FLOAT16, BFLOAT16, FLOAT32, FLOAT64, COMPLEX64, COMPLEX128, INT32, INT64 };

// Elements of a dtype that is known at run time only.
struct Any {};

template <class Element>
constexpr int CODE = -1;
template <>
constexpr int CODE<__half> = FLOAT16;
template <>
constexpr int CODE<__nv_bfloat16> = BFLOAT16;
template <>
constexpr int CODE<float> = FLOAT32;

// Of states.
template <class Number>
constexpr int OWN_CODE = COMPLEX128;
template <>
constexpr int OWN_CODE<float> = FLOAT32;
template <>
constexpr int OWN_CODE<double> = FLOAT64;
template <>
constexpr int OWN_CODE<Complex<float>> = COMPLEX64;

// K elements that one instruction moves.
template <class Element, int K>
struct alignas(sizeof(Element) * K) Pack {
  Element items[K];
};

DEVICE float widen(float x) { return x; }
DEVICE float widen(__half x) { return __half2float(x); }
DEVICE float widen(__nv_bfloat16 x) { return __bfloat162float(x); }

// Neighbours in one conversion, member by member: a cast of the pointer would break aliasing.
DEVICE void narrow(float (&x)[1], Pack<float, 1>& to) { to.items[0] = x[0]; }
DEVICE void narrow(float (&x)[1], Pack<__half, 1>& to) { to.items[0] = __float2half_rn(x[0]); }
DEVICE void narrow(float (&x)[1], Pack<__nv_bfloat16, 1>& to) {
  to.items[0] = __float2bfloat16_rn(x[0]);
}
template <int K>
DEVICE void narrow(float (&x)[K], Pack<float, K>& to) {
#pragma unroll
  for (int i = 0; i < K; ++i) to.items[i] = x[i];
}
template <int K>
DEVICE void narrow(float (&x)[K], Pack<__half, K>& to) {
#pragma unroll
  for (int i = 0; i < K; i += 2) {
    const __half2 pair = __floats2half2_rn(x[i], x[i + 1]);
    to.items[i] = pair.x;
    to.items[i + 1] = pair.y;
  }
}
template <int K>
DEVICE void narrow(float (&x)[K], Pack<__nv_bfloat16, K>& to) {
#pragma unroll
  for (int i = 0; i < K; i += 2) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(x[i], x[i + 1]);
    to.items[i] = pair.x;
    to.items[i + 1] = pair.y;
  }
}

template <class Real>
DEVICE Real read_real(const char* at, int dtype) {
  switch (dtype) {
    case FLOAT16: return Real(widen(*reinterpret_cast<const __half*>(at)));
    case BFLOAT16: return Real(widen(*reinterpret_cast<const __nv_bfloat16*>(at)));
    case FLOAT64: return Real(*reinterpret_cast<const double*>(at));
    default: return Real(*reinterpret_cast<const float*>(at));
  }
}

// A number of any dtype; `type` is a null pointer that chooses the overload.
template <class Real>
DEVICE Real read_any(const char* at, int dtype, const Real*) {
  return read_real<Real>(at, dtype);
}
template <class Real>
DEVICE Complex<Real> read_any(const char* at, int dtype, const Complex<Real>*) {
  if (dtype == COMPLEX64)
    return {Real(reinterpret_cast<const float*>(at)[0]),
            Real(reinterpret_cast<const float*>(at)[1])};
  if (dtype == COMPLEX128)
    return {Real(reinterpret_cast<const double*>(at)[0]),
            Real(reinterpret_cast<const double*>(at)[1])};
  return {read_real<Real>(at, dtype), Real(0)};
}
template <class Number>
DEVICE Number read(const char* at, int dtype) {
  return read_any(at, dtype, static_cast<const Number*>(nullptr));
}

template <class Real>
DEVICE void write_real(Real x, char* at, int dtype) {
  switch (dtype) {
    case FLOAT16: *reinterpret_cast<__half*>(at) = __half(x); break;
    case BFLOAT16: *reinterpret_cast<__nv_bfloat16*>(at) = __nv_bfloat16(x); break;
    case FLOAT64: *reinterpret_cast<double*>(at) = x; break;
    default: *reinterpret_cast<float*>(at) = float(x);
  }
}

template <class Real>
DEVICE void write_any(Real x, char* at, int dtype) {
  write_real(x, at, dtype);
}
template <class Real>
DEVICE void write_any(Complex<Real> x, char* at, int dtype) {
  const int part = dtype == COMPLEX64 ? FLOAT32 : FLOAT64;
  write_real(x.re, at, part);
  write_real(x.im, at + (dtype == COMPLEX64 ? 4 : 8), part);
}

// To memory of any dtype; where that is real, the real part.
template <class Number>
DEVICE void write_result(Number x, char* at, int dtype) {
  if (dtype >= COMPLEX64) write_any(x, at, dtype);
  else write_real(part_of(x, 0), at, dtype);
}

DEVICE int size_of(int dtype) {
  switch (dtype) {
    case FLOAT16:
    case BFLOAT16: return 2;
    case FLOAT32: return 4;
    case COMPLEX128: return 16;
    default: return 8;
  }
}
