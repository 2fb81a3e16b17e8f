// Numbers: dtypes in memory, the arithmetic of states (real or complex), exponentials.
//
// Real is float or double; Number, the type of A, B, C and the states, is Real or Complex<Real>.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define DEVICE __device__ __forceinline__

// Codes of dtypes in memory, as arguments.py has them.
enum Dtype { FLOAT16, BFLOAT16, FLOAT32, FLOAT64, COMPLEX64, COMPLEX128, INT32, INT64 };

constexpr double LOG2E = 1.4426950408889634, PI = 3.141592653589793;

template <class R>
struct Complex {
  R re, im;
};

template <class Number>
struct Traits {
  using Real = Number;
  static constexpr bool IS_COMPLEX = false;
};
template <class R>
struct Traits<Complex<R>> {
  using Real = R;
  static constexpr bool IS_COMPLEX = true;
};
template <class Number>
using RealOf = typename Traits<Number>::Real;

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

// K elements that one instruction moves.
template <class Element, int K>
struct alignas(sizeof(Element) * K) Pack {
  Element items[K];
};

// ---- elements in memory ------------------------------------------------------------------------

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
    return {Real(reinterpret_cast<const float*>(at)[0]), Real(reinterpret_cast<const float*>(at)[1])};
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

// ---- exponentials ------------------------------------------------------------------------------

DEVICE float exp2_of(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return emulator::ex2_approx_ftz(x);
#endif
}
DEVICE double exp2_of(double x) { return exp2(x); }

DEVICE float reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return emulator::rcp_approx_ftz(x);
#endif
}
DEVICE double reciprocal(double x) { return 1.0 / x; }

DEVICE float fused(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE double fused(double a, double b, double c) { return fma(a, b, c); }
DEVICE float nearest(float x) { return rintf(x); }
DEVICE double nearest(double x) { return rint(x); }

// log(1 + exp(x)) = max(x, 0) + log1p(e), e = exp(-|x|) <= 1: log2(1 + e) would lose every digit of
// a small e. The polynomial is log1p(e) / e within 1.5e-7. Above 16, e is below half an ulp of x:
// the identity, as is asked for above 20.
DEVICE float softplus(float x) {
  const float e = exp2_of(-float(LOG2E) * fabsf(x));
  float p = 0.00510582561f;
  p = fmaf(p, e, -0.0289919563f);
  p = fmaf(p, e, 0.0773807392f);
  p = fmaf(p, e, -0.135905996f);
  p = fmaf(p, e, 0.190713093f);
  p = fmaf(p, e, -0.248339459f);
  p = fmaf(p, e, 0.333179355f);
  p = fmaf(p, e, -0.499994367f);
  p = fmaf(p, e, 1.0f);
  return fmaf(p, e, fmaxf(x, 0.0f));  // the maximum drops a NaN, e keeps it
}
DEVICE double softplus(double x) {
  return x > 20.0 ? x : fmax(x, 0.0) + log1p(exp(-fabs(x)));
}

// z sigmoid(z).
template <class Real>
DEVICE Real silu(Real z) {
  return z * reciprocal(Real(1) + exp2_of(Real(-LOG2E) * z));
}

// 1 - x / (k (k + 1)) (1 - x / ((k + 2) (k + 3)) (...)), so many factors: the series of sine and
// cosine.
template <class Real, int K, int FACTORS>
DEVICE Real alternating(Real x) {
  if constexpr (FACTORS == 0) {
    return Real(1);
  } else {
    return fused(x * alternating<Real, K + 2, FACTORS - 1>(x), Real(-1.0 / (K * (K + 1))), Real(1));
  }
}

// exp(2 pi i x). An eighth of a turn remains after whole turns and quarters are taken away.
template <class Real>
DEVICE Complex<Real> rotation(Real x) {
  constexpr int FACTORS = sizeof(Real) == 4 ? 5 : 8;
  x -= nearest(x);
  const Real quarters = nearest(Real(4) * x);  // -2 ... 2
  const Real angle = Real(2 * PI) * fused(quarters, Real(-0.25), x), square = angle * angle;
  const Real sine = angle * alternating<Real, 2, FACTORS>(square);
  const Real cosine = alternating<Real, 1, FACTORS>(square);
  if (quarters == Real(1)) return {-sine, cosine};
  if (quarters == Real(-1)) return {sine, -cosine};
  if (quarters == Real(0)) return {cosine, sine};
  return {-cosine, -sine};
}

// ---- the arithmetic of states ------------------------------------------------------------------

// Some A, prepared: decay(delta, rate) = exp(delta A) has one exponential, of base 2.
template <class Real>
DEVICE Real rate_of(Real A) {
  // A step of delta 0, such as padding, keeps a state even where A is infinite: no 0 * infinity.
  constexpr Real most = Real(3e38);
  const Real rate = A * Real(LOG2E);
  return rate < -most ? -most : rate > most ? most : rate;
}
template <class Real>
DEVICE Complex<Real> rate_of(Complex<Real> A) {
  return {rate_of(A.re), A.im * Real(0.5 / PI)};
}

template <class Real>
DEVICE Real decay(Real delta, Real rate) {
  return exp2_of(delta * rate);
}
template <class Real>
DEVICE Complex<Real> decay(Real delta, Complex<Real> rate) {
  const Real size = exp2_of(delta * rate.re);
  const Complex<Real> turned = rotation(delta * rate.im);
  if (size == Real(0)) return {Real(0), Real(0)};  // whatever the angle, infinity too
  return {size * turned.re, size * turned.im};
}

template <class Real>
DEVICE Real times(Real x, Real y) {
  return x * y;
}
template <class Real>
DEVICE Complex<Real> times(Real x, Complex<Real> y) {
  return {x * y.re, x * y.im};
}
template <class Real>
DEVICE Complex<Real> times(Complex<Real> x, Complex<Real> y) {
  return {fused(x.re, y.re, -x.im * y.im), fused(x.re, y.im, x.im * y.re)};
}

// a h + x.
template <class Real>
DEVICE Real advance(Real a, Real h, Real x) {
  return fused(a, h, x);
}
template <class Real>
DEVICE Complex<Real> advance(Complex<Real> a, Complex<Real> h, Complex<Real> x) {
  return {fused(a.re, h.re, fused(-a.im, h.im, x.re)), fused(a.re, h.im, fused(a.im, h.re, x.im))};
}

// y + Re(C h).
template <class Real>
DEVICE Real add_output(Real C, Real h, Real y) {
  return fused(h, C, y);
}
template <class Real>
DEVICE Real add_output(Complex<Real> C, Complex<Real> h, Real y) {
  return fused(C.re, h.re, fused(-C.im, h.im, y));
}

// 1, of the type that is pointed at.
template <class Real>
DEVICE Real one(const Real*) {
  return Real(1);
}
template <class Real>
DEVICE Complex<Real> one(const Complex<Real>*) {
  return {Real(1), Real(0)};
}

// The value of the lane `by` before, within segments of WIDTH lanes.
template <int WIDTH, class Real>
DEVICE Real from_before(Real x, int by) {
  return __shfl_up_sync(0xffffffffu, x, by, WIDTH);
}
template <int WIDTH, class Real>
DEVICE Complex<Real> from_before(Complex<Real> x, int by) {
  return {from_before<WIDTH>(x.re, by), from_before<WIDTH>(x.im, by)};
}

// Makes x opaque: the compiler keeps it in a register instead of computing it again in a loop.
DEVICE void pin(float& x) {
#ifdef __CUDA_ARCH__
  asm volatile("" : "+f"(x));
#endif
}
DEVICE void pin(double& x) {
#ifdef __CUDA_ARCH__
  asm volatile("" : "+d"(x));
#endif
}
DEVICE void pin(int& x) {
#ifdef __CUDA_ARCH__
  asm volatile("" : "+r"(x));
#endif
}

// ---- affine maps of the lanes, h -> factor h + end ---------------------------------------------

// Puts the map of the lane `by` before in front of one's own, if there is that lane within segments
// of WIDTH lanes. LAST: the factor will not be needed again.
template <int WIDTH, bool LAST, class Number>
DEVICE void follow(Number& end, Number& factor, int by) {
  const Number before = from_before<WIDTH>(end, by);
  const Number longer = LAST ? factor : from_before<WIDTH>(factor, by);
  if (threadIdx.x % WIDTH >= by) {
    end = advance(factor, before, end);
    if (!LAST) factor = times(factor, longer);
  }
}

// The value of the lane before, if there is one, in the place of one's own.
template <int WIDTH, class Number>
DEVICE void shift(Number& own, Number x) {
  const Number before = from_before<WIDTH>(x, 1);
  if (threadIdx.x % WIDTH > 0) own = before;
}

#ifdef __CUDA_ARCH__
// The same for float: a shuffle tells by itself whether there is the lane, so no comparison and no
// selection is needed.
template <int WIDTH, bool LAST>
DEVICE void follow(float& end, float& factor, int by) {
  constexpr int SEGMENTS = (32 - WIDTH) << 8;
  if (LAST)
    asm volatile(
        "{ .reg .pred p; .reg .f32 e;"
        "shfl.sync.up.b32 e|p, %0, %2, %3, 0xffffffff;"
        "@p fma.rn.ftz.f32 %0, %1, e, %0; }"
        : "+f"(end)
        : "f"(factor), "r"(by), "r"(SEGMENTS));
  else
    asm volatile(
        "{ .reg .pred p, q; .reg .f32 e, f;"
        "shfl.sync.up.b32 e|p, %0, %2, %3, 0xffffffff;"
        "shfl.sync.up.b32 f|q, %1, %2, %3, 0xffffffff;"
        "@p fma.rn.ftz.f32 %0, %1, e, %0; @p mul.rn.ftz.f32 %1, %1, f; }"
        : "+f"(end), "+f"(factor)
        : "r"(by), "r"(SEGMENTS));
}
template <int WIDTH>
DEVICE void shift(float& own, float x) {
  asm volatile(
      "{ .reg .pred p; .reg .f32 e;"
      "shfl.sync.up.b32 e|p, %1, 1, %2, 0xffffffff;"
      "@p mov.f32 %0, e; }"
      : "+f"(own)
      : "f"(x), "r"((32 - WIDTH) << 8));
}
#endif
