// Sixteen float32 lanes: exp2, softplus with its derivative, and the 16 x 16 transpose that turns
// rows of channels into tiles (steps, 16 channels) and back. Used by stick.cpp.
#pragma once

#include <immintrin.h>
using Vec = __m512;
constexpr int W = 16;
constexpr float LOG2E = 1.44269504f;

inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline void accumulate(float* p, Vec a, Vec b) { store(p, fma(a, b, load(p))); }

// 2^x = 2^n 2^f with n = round(x): minimax polynomial of degree 6 in f on [-1/2, 1/2] (1.9e-9).
inline Vec exp2(Vec x) {
  const Vec whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const Vec f = _mm512_sub_ps(x, whole);
  Vec p = splat(1.5345821e-4f);
  p = fma(p, f, splat(1.3399931e-3f));
  p = fma(p, f, splat(9.6184889e-3f));
  p = fma(p, f, splat(5.5503288e-2f));
  p = fma(p, f, splat(2.4022647e-1f));
  p = fma(p, f, splat(6.9314721e-1f));
  p = fma(p, f, splat(1.0f));
  return _mm512_scalef_ps(p, whole);
}

// log(1 + exp(x)) = max(x, 0) + log1p(e), e = exp(-|x|), log1p(e) = 2 atanh(e / (2 + e));
// the derivative goes to `slope`.
inline Vec softplus(Vec x, Vec* slope) {
  const Vec one = splat(1.0f);
  const Vec e = exp2(mul(_mm512_abs_ps(x), splat(-LOG2E)));
  const Vec s = _mm512_div_ps(e, add(e, splat(2.0f)));
  const Vec v = mul(s, s);
  Vec p = splat(2.8011992e-1f);
  p = fma(p, v, splat(2.8001804e-1f));
  p = fma(p, v, splat(4.0021527e-1f));
  p = fma(p, v, splat(6.6666416e-1f));
  p = fma(p, v, splat(2.0f));
  if (slope) {
    const __mmask16 negative = _mm512_cmp_ps_mask(x, splat(0.0f), _CMP_LT_OQ);
    *slope = _mm512_div_ps(_mm512_mask_blend_ps(negative, one, e), add(one, e));
  }
  return fma(p, s, _mm512_max_ps(x, splat(0.0f)));
}

inline Vec pd(__m512d x) { return _mm512_castpd_ps(x); }
inline __m512d pd(Vec x) { return _mm512_castps_pd(x); }

// Rows become columns: pairs, quadruples, then 128-bit quarters.
inline void transpose(Vec (&r)[W]) {
  Vec t[W];
  for (int i = 0; i < W; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < W; i += 4) {
    r[i] = pd(_mm512_unpacklo_pd(pd(t[i]), pd(t[i + 2])));
    r[i + 1] = pd(_mm512_unpackhi_pd(pd(t[i]), pd(t[i + 2])));
    r[i + 2] = pd(_mm512_unpacklo_pd(pd(t[i + 1]), pd(t[i + 3])));
    r[i + 3] = pd(_mm512_unpackhi_pd(pd(t[i + 1]), pd(t[i + 3])));
  }
  for (int half = 0; half < W; half += 8)
    for (int i = half; i < half + 4; i++) {
      t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
      t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    }
  for (int i = 0; i < 8; i++) {
    r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
  }
}

// 16 rows of `steps` floats -> tile (steps, 16).
inline void gather(const float* rows, long stride, float* tile, int steps) {
  int t = 0;
  for (Vec r[W]; t + W <= steps; t += W) {
    for (int i = 0; i < W; i++) r[i] = load(rows + i * stride + t);
    transpose(r);
    for (int i = 0; i < W; i++) store(tile + (t + i) * W, r[i]);
  }
  for (; t < steps; t++)
    for (int i = 0; i < W; i++) tile[t * W + i] = rows[i * stride + t];
}

inline void scatter(const float* tile, float* rows, long stride, int steps) {
  int t = 0;
  for (Vec r[W]; t + W <= steps; t += W) {
    for (int i = 0; i < W; i++) r[i] = load(tile + (t + i) * W);
    transpose(r);
    for (int i = 0; i < W; i++) store(rows + i * stride + t, r[i]);
  }
  for (; t < steps; t++)
    for (int i = 0; i < W; i++) rows[i * stride + t] = tile[t * W + i];
}
