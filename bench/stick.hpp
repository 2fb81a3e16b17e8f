// A vector of float32 lanes, 16 with AVX-512 and 8 with AVX2: exp2, softplus with its derivative, and
// the transpose that turns rows of channels into tiles (steps, lanes) and back. Used by stick.cpp.
#pragma once

#include <immintrin.h>
constexpr float LOG2E = 1.44269504f;

#ifdef __AVX512F__

using Vec = __m512;
constexpr int W = 16;

inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec abs(Vec x) { return _mm512_abs_ps(x); }
inline float sum(Vec x) { return _mm512_reduce_add_ps(x); }

// a where x < 0, else b.
inline Vec if_negative(Vec x, Vec a, Vec b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, splat(0.0f), _CMP_LT_OQ), b, a);
}

// x - round(x); `scale` multiplies by 2^round(x).
inline Vec fraction(Vec x, Vec* whole) {
  *whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm512_sub_ps(x, *whole);
}
inline Vec scale(Vec p, Vec whole) { return _mm512_scalef_ps(p, whole); }

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

#else

using Vec = __m256;
constexpr int W = 8;

inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
inline Vec splat(float x) { return _mm256_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec abs(Vec x) { return _mm256_andnot_ps(splat(-0.0f), x); }
inline Vec if_negative(Vec x, Vec a, Vec b) { return _mm256_blendv_ps(b, a, x); }

inline float sum(Vec x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// x - round(x), for x from -127 on and below 128: the sum has round(x) + 127 in its low bits.
inline Vec fraction(Vec& x, Vec* shifted) {
  const Vec round = splat(12583039.0f);  // 1.5 * 2^23 + 127
  x = max(x, splat(-127.0f));
  *shifted = add(x, round);
  return _mm256_sub_ps(x, _mm256_sub_ps(*shifted, round));
}
inline Vec scale(Vec p, Vec shifted) {
  return mul(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23)));
}

// Rows become columns: pairs, quadruples, then halves.
inline void transpose(Vec (&r)[W]) {
  Vec t[W];
  for (int i = 0; i < W; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < W; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    const Vec low = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    r[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    r[i] = low;
  }
}

#endif

inline void accumulate(float* p, Vec a, Vec b) { store(p, fma(a, b, load(p))); }

// 2^x = 2^n 2^f with n = round(x): minimax polynomial of degree 6 in f on [-1/2, 1/2] (1.9e-9).
inline Vec exp2(Vec x) {
  Vec whole;
  const Vec f = fraction(x, &whole);
  Vec p = splat(1.5345821e-4f);
  p = fma(p, f, splat(1.3399931e-3f));
  p = fma(p, f, splat(9.6184889e-3f));
  p = fma(p, f, splat(5.5503288e-2f));
  p = fma(p, f, splat(2.4022647e-1f));
  p = fma(p, f, splat(6.9314721e-1f));
  p = fma(p, f, splat(1.0f));
  return scale(p, whole);
}

// log(1 + exp(x)) = max(x, 0) + log1p(e), e = exp(-|x|), log1p(e) = 2 atanh(e / (2 + e));
// the derivative goes to `slope`.
inline Vec softplus(Vec x, Vec* slope) {
  const Vec one = splat(1.0f);
  const Vec e = exp2(mul(abs(x), splat(-LOG2E)));
  const Vec s = div(e, add(e, splat(2.0f)));
  const Vec v = mul(s, s);
  Vec p = splat(2.8011992e-1f);
  p = fma(p, v, splat(2.8001804e-1f));
  p = fma(p, v, splat(4.0021527e-1f));
  p = fma(p, v, splat(6.6666416e-1f));
  p = fma(p, v, splat(2.0f));
  if (slope) *slope = div(if_negative(x, e, one), add(one, e));
  return fma(p, s, max(x, splat(0.0f)));
}

// W rows of `steps` floats -> tile (steps, W), its rows `width` floats apart.
inline void gather(const float* rows, long stride, float* tile, int steps, int width = W) {
  int t = 0;
  for (Vec r[W]; t + W <= steps; t += W) {
    for (int i = 0; i < W; i++) r[i] = load(rows + i * stride + t);
    transpose(r);
    for (int i = 0; i < W; i++) store(tile + (t + i) * width, r[i]);
  }
  for (; t < steps; t++)
    for (int i = 0; i < W; i++) tile[t * width + i] = rows[i * stride + t];
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
