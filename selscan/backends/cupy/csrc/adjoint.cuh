// The loop of the backward over the states of a tile.
//
// For one channel and state, a[t] = exp(delta'[t] A), h[t] the state and dy the gradient of y, both
// without D and z, it carries k = conj(a) g from the last step to the first:
//
//     g[t] = dy[t] conj(C[t]) + k[t+1]          k[L] = the gradient of last_state
//     k[t] = conj(a[t]) g[t]                    k[0] = the gradient of initial_state
//     x[t] = k[t] conj(h[t-1])                  the gradient of delta' conj(A), which is in a
//     s[t] = sum over n of Re(conj(B[t]) g[t])  q[t] = sum over n of Re(conj(A) x[t])
//     dA += delta'[t] x[t],  dB[t] += delta'[t] u[t] g[t],  dC[t] += dy[t] conj(h[t])
//
// k in the place of g: the same decays and lanes serve both directions, and no a[t+1] is asked for.
#pragma once
#include "coefficients.cuh"
#include "lanes.cuh"
#include "slopes.cuh"

// What a thread has of a tile, apart from the states.
template <class S>
struct Adjoint {
  using Real = typename S::Real;
  Real delta[S::CHANNELS][S::STEPS];  // delta'
  Real x[S::CHANNELS][S::STEPS];      // delta' u
  Real dy[S::CHANNELS][S::STEPS];     // twice that of y if states are complex
  Real s[S::CHANNELS][S::STEPS];
  Real q[S::CHANNELS][S::STEPS];  // with A log2(e) for A
  Real total[S::CHANNELS];        // the sum of delta'
  unsigned restarts;              // bit t: the state is zero before step t
};

// A row of shared memory has for each state [A | h | k | B | C | dB | dC][channel], h before the
// tile and k after it, the last four where B or C is constant.
enum Kind { RATE, STATE, CARRY, ROW_B, ROW_C, ROW_DB, ROW_DC };

// Where the states are, for a thread.
template <class S>
struct AdjointStates {
  using Number = typename S::Number;
  const Number* coefficients;  // own time lane, first state
  Number* row;                 // own channel, first state
  Number* sums;                // dB and dC of the warp, own time lane and first state
  Number* dA;                  // own
  typename S::Real* y;         // own, in a buffer of the warp: registers are few
  int count;                   // states
  int kinds, slots;            // of a row
  int sums_step;               // as dA_step
  int dA_step;                 // numbers from a state to the next
  bool constant;
};

// The sum over the groups of lanes of a warp: each group keeps some of the values, in order, and
// the others give it theirs.
template <class S, int BY, int VALUES, class Real>
DEVICE void sum_groups(Real (&values)[VALUES]) {
  constexpr int HALF = VALUES / 2;
  const bool upper = threadIdx.x & (BY * S::LANES);
  Real kept[HALF];
#pragma unroll
  for (int i = 0; i < HALF; ++i) {
    const Real given = upper ? values[i] : values[i + HALF];
    kept[i] = (upper ? values[i + HALF] : values[i]) +
              __shfl_xor_sync(0xffffffffu, given, BY * S::LANES);
  }
  if constexpr (BY > 1) sum_groups<S, BY / 2>(kept);
#pragma unroll
  for (int i = 0; i < HALF; ++i) values[i] = kept[i];
}

// dB and dC of the thread's steps, summed over the warp, to shared memory.
template <class S, class Number>
DEVICE void keep_sums(Number (&dB)[S::STEPS], Number (&dC)[S::STEPS], Number* sums) {
  using Real = RealOf<Number>;
  constexpr int PARTS = sizeof(Number) / sizeof(Real);
  constexpr int VALUES = 2 * S::STEPS * PARTS, OWN = VALUES / S::GROUPS;
  static_assert(OWN >= PARTS && OWN <= 4 * PARTS, "own values are neighbours in shared memory");
  Real values[VALUES];
#pragma unroll
  for (int t = 0; t < S::STEPS; ++t)
#pragma unroll
    for (int i = 0; i < PARTS; ++i) {
      values[t * PARTS + i] = part_of(dB[t], i);
      values[(S::STEPS + t) * PARTS + i] = part_of(dC[t], i);
    }
  sum_groups<S, S::GROUPS / 2>(values);
  const int group = threadIdx.x % 32 / S::LANES, first = group * (OWN / PARTS);
  Number* const to = sums + first / S::STEPS * S::LENGTH + place_of<S>(first % S::STEPS);
  Pack<Real, OWN> own;
#pragma unroll
  for (int i = 0; i < OWN; ++i) own.items[i] = values[i];
  *reinterpret_cast<Pack<Real, OWN>*>(to) = own;
}

// Numbers of the thread's channels.
template <class S, class Number>
DEVICE Pack<Number, S::CHANNELS> channels_of(const Number* at) {
  return *reinterpret_cast<const Pack<Number, S::CHANNELS>*>(at);
}

template <int K, class Number>
DEVICE void scale_all(Number (&x)[K], Number by) {
#pragma unroll
  for (int t = 0; t < K; ++t) x[t] = times(by, x[t]);
}

// y of the thread's steps, where the state loop adds to it.
template <class S, class Real>
DEVICE Pack<Real, 4>& output_of(Real* outputs, int r, int t) {
  return reinterpret_cast<Pack<Real, 4>*>(outputs)[(r * S::STEPS + t) / 4 * 32];
}
// y += Re(C h), of one channel.
template <class S, class Number, class Real>
DEVICE void add_outputs(Real* y, const Number (&C)[S::STEPS], const Number (&h)[S::STEPS]) {
#pragma unroll
  for (int t = 0; t < S::STEPS; t += 4, y += 32 * 4) {
    auto& four = *reinterpret_cast<Pack<Real, 4>*>(y);
    auto sum = four;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum.items[i] = add_output(C[t + i], h[t + i], sum.items[i]);
    four = sum;
  }
}

// Of constant B and C, which have no sum over channels.
template <class S, class Number>
DEVICE void add_to_row(Number* row, int slots, Number dB, Number dC) {
  dB = over_time<S>(dB);
  dC = over_time<S>(dC);
  if (threadIdx.x % S::LANES != 0) return;
  row[ROW_DB * slots] = add(row[ROW_DB * slots], dB);
  row[ROW_DC * slots] = add(row[ROW_DC * slots], dC);
}

// Both maps of a lane to those of the lanes up to it, and from it on.
template <class S, int BY = 1, class Number>
DEVICE void join(Number& end, Number& factor, Number& start, Number& back) {
  constexpr bool LAST = 2 * BY == S::LANES;
  follow<S::LANES, BY, LAST>(end, factor);
  precede<S::LANES, BY, LAST>(start, back);
  if constexpr (!LAST) join<S, 2 * BY>(end, factor, start, back);
}

// The state before the thread's steps and k behind them, from those of the tile; the first lane
// leaves k before the tile.
template <class S, class Number, class Real>
DEVICE void meet(Number& h, Number& k, const Number (&a)[S::STEPS], const Number (&x)[S::STEPS],
                 const Real (&dy)[S::STEPS], const Number (&C)[S::STEPS], Number factor,
                 Number* carry) {
  const int lane = threadIdx.x % S::LANES;
  Number end = x[0], start = lane == S::LANES - 1 ? k : Number{};
  advance_if(lane == 0, a[0], h, end);
#pragma unroll
  for (int t = 1; t < S::STEPS; ++t) end = advance(a[t], end, x[t]);
#pragma unroll
  for (int t = S::STEPS - 1; t >= 0; --t) start = back_times(a[t], back_output(dy[t], C[t], start));
  Number back = conjugate(factor);
  join<S>(end, factor, start, back);
  const Number before = from_before<S::LANES>(end, 1), after = from_after<S::LANES>(start, 1);
  if (lane > 0) h = before;
  if (lane < S::LANES - 1) k = after;
  if (lane == 0) *carry = start;
}

// All states of a tile, one after the other. GENERAL: with restarts and constant coefficients.
// GATED: y is asked for.
template <class S, bool GENERAL, bool GATED>
DEVICE void adjoint_states(Adjoint<S>& own, const AdjointStates<S>& at) {
  using Number = typename S::Number;
  using Real = typename S::Real;
  constexpr int STEPS = S::STEPS, CHANNELS = S::CHANNELS;
  const Number* coefficients = at.coefficients;
  Number *row = at.row, *sums = at.sums, *dA_at = at.dA;
#pragma unroll 1
  for (int n = at.count; n > 0; --n) {
    Number B[STEPS], C[STEPS], dB[STEPS], dC[STEPS];
    read_row<S>(B, coefficients);
    read_row<S>(C, coefficients + S::LENGTH);
    const auto rates = channels_of<S>(row + RATE * at.slots);
    const auto states = channels_of<S>(row + STATE * at.slots);
    const auto carries = channels_of<S>(row + CARRY * at.slots);
    auto dA = channels_of<S>(dA_at);
    __syncwarp();  // all have read the carry that the first lane will replace
#pragma unroll
    for (int r = 0; r < CHANNELS; ++r) {
      Number a[STEPS], h[STEPS];
      if constexpr (GENERAL)
        if (at.constant) {
          if (r > 0) read_row<S>(B, coefficients), read_row<S>(C, coefficients + S::LENGTH);
          scale_all(B, row[ROW_B * at.slots + r]);
          scale_all(C, row[ROW_C * at.slots + r]);
        }
#pragma unroll
      for (int t = 0; t < STEPS; ++t) {
        a[t] = decay(own.delta[r][t], rates.items[r]);
        h[t] = times(own.x[r][t], B[t]);
      }
      Number factor = decay(own.total[r], rates.items[r]);
      if constexpr (GENERAL) {
#pragma unroll
        for (int t = 0; t < STEPS; ++t)
          if (own.restarts >> t & 1) a[t] = Number{};
        if (own.restarts) factor = Number{};
      }
      Number before = states.items[r], k = carries.items[r];
      meet<S>(before, k, a, h, own.dy[r], C, factor, row + CARRY * at.slots + r);
      h[0] = advance(a[0], before, h[0]);
#pragma unroll
      for (int t = 1; t < STEPS; ++t) h[t] = advance(a[t], h[t - 1], h[t]);
      if constexpr (GATED) add_outputs<S>(at.y + r * 32 * STEPS, C, h);
      Number row_dB = {}, row_dC = {};
      const Number rate = scaled_rate(rates.items[r]);
#pragma unroll
      for (int t = STEPS - 1; t >= 0; --t) {
        const Number g = back_output(own.dy[r][t], C[t], k);
        k = back_times(a[t], g);
        const Number x = back_times(t > 0 ? h[t - 1] : before, k);
        own.s[r][t] = add_inner(B[t], g, own.s[r][t]);
        own.q[r][t] = add_inner(rate, x, own.q[r][t]);
        dA.items[r] = add_scaled(own.delta[r][t], x, dA.items[r]);
        dB[t] = r == 0 ? times(own.x[r][t], g) : add_scaled(own.x[r][t], g, dB[t]);
        dC[t] = r == 0 ? times(own.dy[r][t], h[t]) : add_scaled(own.dy[r][t], h[t], dC[t]);
        if constexpr (GENERAL) {
          row_dB = add_scaled(own.x[r][t], g, row_dB);
          row_dC = add_scaled(own.dy[r][t], h[t], row_dC);
        }
      }
      if constexpr (GENERAL)
        if (at.constant) add_to_row<S>(row + r, at.slots, row_dB, row_dC);
    }
    *reinterpret_cast<Pack<Number, CHANNELS>*>(dA_at) = dA;
    keep_sums<S>(dB, dC, sums);
    coefficients += S::COEFFICIENTS;
    sums += at.sums_step;
    row += at.kinds * at.slots;
    dA_at += at.dA_step;
  }
}

// du of a tile, in the place of s: delta' s, and D dy if there is D.
template <class S, class Real>
DEVICE void finish_du(Adjoint<S>& steps, bool with_skip, const Real (&skip)[S::CHANNELS]) {
  if (with_skip) {
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t)
        steps.s[r][t] = fused(steps.delta[r][t], steps.s[r][t], skip[r] * steps.dy[r][t]);
    return;
  }
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) steps.s[r][t] *= steps.delta[r][t];
}
