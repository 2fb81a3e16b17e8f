// adjoint_states in order (in_order.cuh): the lanes one after the other forward, and then back.
#pragma once
#include "adjoint.cuh"
#include "in_order.cuh"

// `steps`, `padding` and `begins` as in scan_in_order; `channels` of the thread exist. Gated: y is
// asked for.
template <class S>
DEVICE void adjoint_in_order(Adjoint<S>& own, const AdjointStates<S>& at, int steps, int channels,
                             unsigned padding, bool begins, bool gated) {
  using Number = typename S::Number;
  constexpr int STEPS = S::STEPS, CHANNELS = S::CHANNELS;
  const int time_lane = threadIdx.x % S::LANES;
  const Number* coefficients = at.coefficients;
  Number *row = at.row, *sums = at.sums, *dA_at = at.dA;
  int lanes = S::LANES;
  pin(lanes);
#pragma unroll 1
  for (int n = at.count; n > 0; --n) {
    Number dB[STEPS] = {}, dC[STEPS] = {};
    const auto rates = channels_of<S>(row + RATE * at.slots);
    const auto states = channels_of<S>(row + STATE * at.slots);
    const auto carries = channels_of<S>(row + CARRY * at.slots);
    auto dA = channels_of<S>(dA_at);
    __syncwarp();  // all have read the carry that the first lane will replace
#pragma unroll
    for (int r = 0; r < CHANNELS; ++r) {
      const Number rate = rates.items[r];
      const auto coefficient = [&](int kind, int t) {
        const int place = place_of<S>(t) + (kind == ROW_C ? S::LENGTH : 0);
        return at.constant ? times(row[kind * at.slots + r], coefficients[place])
                           : coefficients[place];
      };
      Number before[STEPS], h = states.items[r], k = carries.items[r], row_dB = {}, row_dC = {};
      unsigned follows = 0;  // bit t: a state comes to step t
      int none = begins;
#pragma unroll 1
      for (int lane = 0; lane < lanes; ++lane) {
        if (lane == time_lane) {
#pragma unroll
          for (int t = 0; t < STEPS; ++t) {
            before[t] = h;
            if (t >= steps) continue;
            if (own.restarts >> t & 1) none = 1;
            follows |= unsigned(none == 0) << t;
            const Number a = decay(own.delta[r][t], rate);
            if (padding >> t & 1) {
              if (none == 0) h = times(a, h);
              continue;
            }
            const Number x = times(own.x[r][t], coefficient(ROW_B, t));
            h = none ? x : advance(a, h, x);
            none = 0;
            if (gated) {
              auto& y = output_of<S>(at.y, r, t).items[t % 4];
              y = add_output(coefficient(ROW_C, t), h, y);
            }
            if (r < channels) dC[t] = add_scaled(own.dy[r][t], h, dC[t]);
            row_dC = add_scaled(own.dy[r][t], h, row_dC);
          }
        }
        h = from_lane<S::LANES>(h, lane);
        none = from_lane<S::LANES>(none, lane);
      }
#pragma unroll 1
      for (int lane = lanes - 1; lane >= 0; --lane) {
        if (lane == time_lane) {
#pragma unroll
          for (int t = STEPS - 1; t >= 0; --t) {
            if (t >= steps) continue;
            if (!(padding >> t & 1)) {
              const Number B = coefficient(ROW_B, t);
              k = back_output(own.dy[r][t], coefficient(ROW_C, t), k);  // g
              own.s[r][t] = add_inner(B, k, own.s[r][t]);
              if (r < channels) dB[t] = add_scaled(own.x[r][t], k, dB[t]);
              row_dB = add_scaled(own.x[r][t], k, row_dB);
            }
            if (!(follows >> t & 1)) {
              k = Number{};
              continue;
            }
            k = back_times(decay(own.delta[r][t], rate), k);
            const Number x = back_times(before[t], k);
            own.q[r][t] = add_inner(scaled_rate(rate), x, own.q[r][t]);
            dA.items[r] = add_scaled(own.delta[r][t], x, dA.items[r]);
          }
        }
        k = from_lane<S::LANES>(k, lane);
      }
      if (time_lane == 0) row[CARRY * at.slots + r] = k;
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
