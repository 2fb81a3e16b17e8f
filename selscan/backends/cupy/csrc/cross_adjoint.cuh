// A route of a small map and back: what a thread of cross_backward.cu does with its own pixels.
//
// Steps g are those of base 2, delta' = ln(2) g, and states lack the factor ln(2), which is put to
// the results instead.
#pragma once
#include "cross.cuh"

// Of a warp: in the order of lanes, and against it.
struct TwoMaps {
  WarpMap up, down;
};

// The state before a thread's stretch and k after it, both at once: h goes on in the order of lanes
// or, BACK, from the other end, and k against it.
template <class S, bool BACK>
DEVICE void enter_both(float& h, float& k, float factor, TwoMaps* maps, int warp, int warps) {
  constexpr int WIDTH = S::TEAM < 32 ? S::TEAM : 32;
  float h_factor = factor, k_factor = factor;
  join<BACK, WIDTH>(h, h_factor);
  join<!BACK, WIDTH>(k, k_factor);
  // In the order of lanes, and against it.
  float &up = BACK ? k : h, &down = BACK ? h : k;
  const float up_factor = BACK ? k_factor : h_factor, down_factor = BACK ? h_factor : k_factor;
  const int lane = threadIdx.x % WIDTH;
  const bool lowest = lane == 0, highest = lane == WIDTH - 1;
  if constexpr (S::TEAM <= 32) {
    const float below = from_before<WIDTH>(up, 1), above = from_after<WIDTH>(down, 1);
    up = lowest ? 0.0f : below;
    down = highest ? 0.0f : above;
  } else {
    if (highest) maps[warp].up = {up_factor, up};
    if (lowest) maps[warp].down = {down_factor, down};
    float below = from_before<32>(up, 1), below_factor = from_before<32>(up_factor, 1);
    float above = from_after<32>(down, 1), above_factor = from_after<32>(down_factor, 1);
    if (lowest) below = 0.0f, below_factor = 1.0f;
    if (highest) above = 0.0f, above_factor = 1.0f;
    __syncthreads();
    // The lower lanes have the maps of the warps, the others those against it, from the last one.
    constexpr int WARPS = S::TEAM_WARPS;
    const int place = lane % WARPS;
    WarpMap map = {1.0f, 0.0f};
    if (lane < 2 * WARPS && place < warps)
      map = lane < WARPS ? maps[place].up : maps[warps - 1 - place].down;
    join<false, WARPS>(map.items[1], map.items[0]);
    const int last = warps - 1;
    const float from_below = __shfl_sync(0xffffffffu, map.items[1], max(warp - 1, 0));
    const float from_above =
        __shfl_sync(0xffffffffu, map.items[1], WARPS + max(last - warp - 1, 0));
    up = fused(below_factor, warp > 0 ? from_below : 0.0f, below);
    down = fused(above_factor, warp < last ? from_above : 0.0f, above);
  }
}

// Steps g of base 2 and their slopes, from delta; zeros where there is no step.
template <class S, bool COLUMNS>
DEVICE void read_steps(float (&g)[S::STEPS], float (&slope)[S::STEPS],
                       const Stretch<S, COLUMNS>& own, const typename S::Element* delta,
                       float bias, bool with_softplus) {
  constexpr int STEPS = S::STEPS;
  read_own_pixels<S, S::PITCH>(g, delta, own);
#pragma unroll
  for (int t = 0; t < STEPS; ++t) {
    g[t] = fused(g[t], float(LOG2E), bias);
    slope[t] = 1.0f;
  }
  if (with_softplus)
#pragma unroll
    for (int t = 0; t < STEPS; ++t) {
      const float e = exp2_of_minus_size(g[t]), r = reciprocal(1.0f + e);
      slope[t] = g[t] < 0.0f ? e * r : r;
      g[t] = softplus_log2(g[t], e);
    }
#pragma unroll
  for (int t = 0; t < STEPS; ++t)
    if (!S::WHOLE && !own.has(t)) g[t] = slope[t] = 0.0f;
}

// Adds to du, to the sums of dB and dC, to dA and to dbias; delta is replaced by its gradient.
template <class S, bool BACK, bool COLUMNS>
DEVICE void add_route(float (&du)[S::STEPS], float (&dB)[S::STEPS], float (&dC)[S::STEPS],
                      float& dA, float& dbias, const float (&u)[S::STEPS],
                      const float (&dy)[S::STEPS], const Stretch<S, COLUMNS>& own,
                      typename S::Element* delta, const typename S::Pair* pairs, float A,
                      float bias, bool with_softplus, TwoMaps* maps, int warp, int warps) {
  constexpr int STEPS = S::STEPS;
  float g[STEPS], a[STEPS], x[STEPS], slope[STEPS];
  typename S::Pair both[STEPS];
  read_steps<S>(g, slope, own, delta, bias, with_softplus);
  read_own_pairs<S>(both, pairs, own);
  float total = 0.0f, h = 0.0f, k = 0.0f;
#pragma unroll
  for (int t = 0; t < STEPS; ++t) {
    x[t] = g[t] * u[t] * both[t].items[0];
    total += g[t];
    a[t] = decay(g[t], A);
  }
#pragma unroll
  for (int i = 0; i < STEPS; ++i) {
    const int t = BACK ? STEPS - 1 - i : i, after = STEPS - 1 - t;
    h = advance(a[t], h, x[t]);
    k = a[after] * fused(dy[after], both[after].items[1], k);
  }
  if (S::WHOLE && own.steps == 0) total = h = k = 0.0f;
  enter_both<S, BACK>(h, k, decay(total, A), maps, warp, warps);
  if (S::WHOLE && own.steps == 0) h = k = 0.0f;
#pragma unroll
  for (int i = 0; i < STEPS; ++i) {
    const int t = BACK ? STEPS - 1 - i : i;
    const float before = h;
    h = advance(a[t], h, x[t]);
    dC[t] = fused(dy[t], h, dC[t]);
    x[t] = before;
  }
#pragma unroll
  for (int i = 0; i < STEPS; ++i) {
    const int t = BACK ? i : STEPS - 1 - i;
    const float grad = fused(dy[t], both[t].items[1], k);
    k = a[t] * grad;
    const float z = k * x[t], with_B = grad * both[t].items[0], with_g = grad * g[t];
    dA = fused(g[t], z, dA);
    dB[t] = fused(with_g, u[t], dB[t]);
    du[t] = fused(with_g, both[t].items[0], du[t]);
    g[t] = fused(float(LN2) * A, z, with_B * u[t]) * slope[t];
    dbias += g[t];
  }
  write_pixels<S, S::PITCH>(delta, g, own);
}

// The same in order: one thread of the team after the other, and back.
template <class S, bool BACK, bool COLUMNS>
DEVICE void add_route_in_order(float (&du)[S::STEPS], float (&dB)[S::STEPS], float (&dC)[S::STEPS],
                               float& dA, float& dbias, const float (&u)[S::STEPS],
                               const float (&dy)[S::STEPS], const Stretch<S, COLUMNS>& own,
                               typename S::Element* delta, const typename S::Pair* pairs, float A,
                               float bias, bool with_softplus, bool begins, float& carry,
                               int thread, int team_size) {
  constexpr int STEPS = S::STEPS;
  const int begin = !begins ? -1 : BACK ? STEPS - own.steps : 0;  // no state comes to this step
  float g[STEPS], before[STEPS], slope[STEPS];
  typename S::Pair both[STEPS];
  read_steps<S>(g, slope, own, delta, bias, with_softplus);
  read_own_pairs<S>(both, pairs, own);
  one_by_one<S, BACK>(carry, thread, team_size, [&](float& h) {
#pragma unroll
    for (int i = 0; i < STEPS; ++i) {
      const int t = BACK ? STEPS - 1 - i : i;
      if (!own.has(t)) continue;
      const float x = g[t] * u[t] * both[t].items[0];
      before[t] = h;
      h = i == begin ? x : advance(decay(g[t], A), h, x);
      dC[t] = fused(dy[t], h, dC[t]);
    }
  });
  if (thread == 0) carry = 0.0f;
  S::wait();
  one_by_one<S, !BACK>(carry, thread, team_size, [&](float& k) {
#pragma unroll
    for (int i = STEPS - 1; i >= 0; --i) {
      const int t = BACK ? STEPS - 1 - i : i;
      if (!own.has(t)) continue;
      const float grad = fused(dy[t], both[t].items[1], k);
      const float with_B = grad * both[t].items[0], with_g = grad * g[t];
      float ddelta = with_B * u[t];
      k = 0.0f;
      if (i != begin) {
        k = decay(g[t], A) * grad;
        dA = fused(g[t], k * before[t], dA);
        ddelta = fused(float(LN2) * A, k * before[t], ddelta);
      }
      dB[t] = fused(with_g, u[t], dB[t]);
      du[t] = fused(with_g, both[t].items[0], du[t]);
      g[t] = ddelta * slope[t];
      dbias += g[t];
    }
  });
  write_pixels<S, S::PITCH>(delta, g, own);
}
