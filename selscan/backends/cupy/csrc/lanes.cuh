// What lanes tell each other: affine maps of states, h -> factor h + end.
#pragma once
#include "numbers.cuh"

// The value of the lane `by` before, within segments of WIDTH lanes.
template <int WIDTH, class Real>
DEVICE Real from_before(Real x, int by) {
  return __shfl_up_sync(0xffffffffu, x, by, WIDTH);
}
template <int WIDTH, class Real>
DEVICE Complex<Real> from_before(Complex<Real> x, int by) {
  return {from_before<WIDTH>(x.re, by), from_before<WIDTH>(x.im, by)};
}

// The value of a lane, within segments of WIDTH lanes.
template <int WIDTH, class Real>
DEVICE Real from_lane(Real x, int lane) {
  return __shfl_sync(0xffffffffu, x, lane, WIDTH);
}
template <int WIDTH, class Real>
DEVICE Complex<Real> from_lane(Complex<Real> x, int lane) {
  return {from_lane<WIDTH>(x.re, lane), from_lane<WIDTH>(x.im, lane)};
}

// Puts the map of the lane BY before in front of one's own, if there is that lane within segments
// of WIDTH lanes. LAST: the factor will not be needed again.
template <int WIDTH, int BY, bool LAST, class Number>
DEVICE void follow(Number& end, Number& factor) {
  const Number before = from_before<WIDTH>(end, BY);
  const Number longer = LAST ? factor : from_before<WIDTH>(factor, BY);
  if (threadIdx.x % WIDTH >= BY) {
    end = advance(factor, before, end);
    if (!LAST) factor = times(factor, longer);
  }
}

// The same from the other end of time: the value of the lane `by` after, and its map behind one's
// own.
template <int WIDTH, class Real>
DEVICE Real from_after(Real x, int by) {
  return __shfl_down_sync(0xffffffffu, x, by, WIDTH);
}
template <int WIDTH, class Real>
DEVICE Complex<Real> from_after(Complex<Real> x, int by) {
  return {from_after<WIDTH>(x.re, by), from_after<WIDTH>(x.im, by)};
}
template <int WIDTH, int BY, bool LAST, class Number>
DEVICE void precede(Number& end, Number& factor) {
  const Number after = from_after<WIDTH>(end, BY);
  const Number longer = LAST ? factor : from_after<WIDTH>(factor, BY);
  if (threadIdx.x % WIDTH + BY < WIDTH) {
    end = advance(factor, after, end);
    if (!LAST) factor = times(factor, longer);
  }
}

// The sum over the time lanes.
template <class S, class Real>
DEVICE Real over_time(Real x) {
#pragma unroll
  for (int by = S::LANES / 2; by > 0; by /= 2) x += __shfl_xor_sync(0xffffffffu, x, by);
  return x;
}
template <class S, class Real>
DEVICE Complex<Real> over_time(Complex<Real> x) {
  return {over_time<S>(x.re), over_time<S>(x.im)};
}

// x = a h + x with the h of the lane before, if there is that lane within segments of WIDTH lanes.
template <int WIDTH, class Number>
DEVICE void enter(Number& x, Number a, Number h) {
  const Number before = from_before<WIDTH>(h, 1);
  if (threadIdx.x % WIDTH > 0) x = advance(a, before, x);
}

// x = a h + x if `wanted`.
template <class Number>
DEVICE void advance_if(bool wanted, Number a, Number h, Number& x) {
  if (wanted) x = advance(a, h, x);
}

#ifdef __CUDA_ARCH__
// The same for float, under predicates: no value is selected, and a shuffle tells by itself whether
// there is the lane.
template <int WIDTH, int BY, bool LAST>
DEVICE void follow(float& end, float& factor) {
  constexpr int SEGMENTS = (32 - WIDTH) << 8;
  if (LAST)
    asm volatile(
        "{ .reg .pred p; .reg .f32 e;"
        "shfl.sync.up.b32 e|p, %0, %2, %3, 0xffffffff;"
        "@p fma.rn.ftz.f32 %0, %1, e, %0; }"
        : "+f"(end)
        : "f"(factor), "n"(BY), "n"(SEGMENTS));
  else
    asm volatile(
        "{ .reg .pred p, q; .reg .f32 e, f;"
        "shfl.sync.up.b32 e|p, %0, %2, %3, 0xffffffff;"
        "shfl.sync.up.b32 f|q, %1, %2, %3, 0xffffffff;"
        "@p fma.rn.ftz.f32 %0, %1, e, %0; @p mul.rn.ftz.f32 %1, %1, f; }"
        : "+f"(end), "+f"(factor)
        : "n"(BY), "n"(SEGMENTS));
}
template <int WIDTH, int BY, bool LAST>
DEVICE void precede(float& end, float& factor) {
  constexpr int SEGMENTS = (32 - WIDTH) << 8 | 31;
  if (LAST)
    asm volatile(
        "{ .reg .pred p; .reg .f32 e;"
        "shfl.sync.down.b32 e|p, %0, %2, %3, 0xffffffff;"
        "@p fma.rn.ftz.f32 %0, %1, e, %0; }"
        : "+f"(end)
        : "f"(factor), "n"(BY), "n"(SEGMENTS));
  else
    asm volatile(
        "{ .reg .pred p, q; .reg .f32 e, f;"
        "shfl.sync.down.b32 e|p, %0, %2, %3, 0xffffffff;"
        "shfl.sync.down.b32 f|q, %1, %2, %3, 0xffffffff;"
        "@p fma.rn.ftz.f32 %0, %1, e, %0; @p mul.rn.ftz.f32 %1, %1, f; }"
        : "+f"(end), "+f"(factor)
        : "n"(BY), "n"(SEGMENTS));
}
template <int WIDTH>
DEVICE void enter(float& x, float a, float h) {
  asm volatile(
      "{ .reg .pred p; .reg .f32 e;"
      "shfl.sync.up.b32 e|p, %2, 1, %3, 0xffffffff;"
      "@p fma.rn.ftz.f32 %0, %1, e, %0; }"
      : "+f"(x)
      : "f"(a), "f"(h), "n"((32 - WIDTH) << 8));
}
DEVICE void advance_if(bool wanted, float a, float h, float& x) {
  asm("{ .reg .pred p; setp.ne.s32 p, %3, 0; @p fma.rn.ftz.f32 %0, %1, %2, %0; }"
      : "+f"(x)
      : "f"(a), "f"(h), "r"(int(wanted)));
}
#endif
