// Numbers: exponentials and the arithmetic of states, real or complex.
//
// Real is float or double; Number, the type of A, B, C and the states, is Real or Complex<Real>.
#pragma once

#define DEVICE __device__ __forceinline__

constexpr double LOG2E = 1.4426950408889634, LN2 = 0.6931471805599453, PI = 3.141592653589793;

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

template <class Real>
DEVICE Real sigmoid(Real z) {
  return reciprocal(Real(1) + exp2_of(Real(-LOG2E) * z));
}
// z sigmoid(z).
template <class Real>
DEVICE Real silu(Real z) {
  return z * sigmoid(z);
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
  return A * Real(LOG2E);
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

// sum + x g, of a real x.
template <class Real>
DEVICE Real add_scaled(Real x, Real g, Real sum) {
  return fused(x, g, sum);
}
template <class Real>
DEVICE Complex<Real> add_scaled(Real x, Complex<Real> g, Complex<Real> sum) {
  return {fused(x, g.re, sum.re), fused(x, g.im, sum.im)};
}

// The real part and, if i is 1, the imaginary one.
template <class Real>
DEVICE Real part_of(Real x, int) {
  return x;
}
template <class Real>
DEVICE Real part_of(Complex<Real> x, int i) {
  return i == 0 ? x.re : x.im;
}

// x as a Number.
template <class Real>
DEVICE void set_real(Real& number, Real x) {
  number = x;
}
template <class Real>
DEVICE void set_real(Complex<Real>& number, Real x) {
  number = {x, Real(0)};
}

template <class Real>
DEVICE Real add(Real x, Real y) {
  return x + y;
}
template <class Real>
DEVICE Complex<Real> add(Complex<Real> x, Complex<Real> y) {
  return {x.re + y.re, x.im + y.im};
}

template <class Real>
DEVICE bool is_finite(Real x) {
  return x * Real(0) == Real(0);
}
template <class Real>
DEVICE bool is_finite(Complex<Real> x) {
  return is_finite(x.re) && is_finite(x.im);
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
