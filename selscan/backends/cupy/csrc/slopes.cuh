// Numbers going backward: slopes, and factors. A factor x of a result passes the gradient g of that
// on as conj(x) g; conj does nothing to real numbers.
#pragma once
#include "numbers.cuh"

// The slope of softplus, 1 / (1 + exp(-x)), in y = softplus(x): 1 - exp(-y), which cancels for
// small y. It is 1 where x is above 20.
DEVICE float softplus_slope(float y) {
  float series = fmaf(y, 1.0f / 120, -1.0f / 24);
  series = fmaf(series, y, 1.0f / 6);
  series = fmaf(series, y, -0.5f);
  series = fmaf(series, y, 1.0f) * y;
  const float slope = 1.0f - exp2_of(-float(LOG2E) * y);  // in any case: no branch
  return y < 0.125f ? series : slope;
}
DEVICE double softplus_slope(double y) { return y > 20.0000000020611537 ? 1.0 : -expm1(-y); }

// The slope of silu, given sigmoid(z).
template <class Real>
DEVICE Real silu_slope(Real z, Real gate) {
  return gate * fused(z, Real(1) - gate, Real(1));
}

template <class Real>
DEVICE Real conjugate(Real x) {
  return x;
}
template <class Real>
DEVICE Complex<Real> conjugate(Complex<Real> x) {
  return {x.re, -x.im};
}

// conj(x) g.
template <class Real>
DEVICE Real back_times(Real x, Real g) {
  return x * g;
}
template <class Real>
DEVICE Complex<Real> back_times(Complex<Real> x, Complex<Real> g) {
  return {fused(x.re, g.re, x.im * g.im), fused(x.re, g.im, -x.im * g.re)};
}

// y conj(C) + k.
template <class Real>
DEVICE Real back_output(Real y, Real C, Real k) {
  return fused(y, C, k);
}
template <class Real>
DEVICE Complex<Real> back_output(Real y, Complex<Real> C, Complex<Real> k) {
  return {fused(y, C.re, k.re), fused(-y, C.im, k.im)};
}

// sum + Re(conj(x) g).
template <class Real>
DEVICE Real add_inner(Real x, Real g, Real sum) {
  return fused(x, g, sum);
}
template <class Real>
DEVICE Real add_inner(Complex<Real> x, Complex<Real> g, Real sum) {
  return fused(x.re, g.re, fused(x.im, g.im, sum));
}

// A log2(e), of a prepared A.
template <class Real>
DEVICE Real scaled_rate(Real rate) {
  return rate;
}
template <class Real>
DEVICE Complex<Real> scaled_rate(Complex<Real> rate) {
  return {rate.re, rate.im * Real(2 * PI * LOG2E)};
}
