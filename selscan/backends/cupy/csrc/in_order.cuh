// The loop over states in order (run.cuh): one lane after the other.
#pragma once
#include "run.cuh"
#include "states.cuh"

// Whether all values of own channels are finite.
template <class S, class Real>
DEVICE bool all_finite(const Real (&x)[S::CHANNELS][S::STEPS], int channels) {
  Real zero = Real(0);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
    if (r < channels) add_zeros(zero, x[r]);
  return is_finite(zero);
}

// scan_states in order. `steps` of the thread exist; bit t of `padding`: it gives nothing to the
// state and takes nothing from it; `begins`: no state comes to the tile, and in front of all else
// padding is no step.
template <class S>
DEVICE void scan_in_order(Steps<S>& own, const States<S>& at, int steps, unsigned padding,
                          bool begins, Saved saved) {
  using Number = typename S::Number;
  constexpr int CHANNELS = S::CHANNELS;
  const Number* coefficients = at.coefficients;
  Number* row = at.row;
  int lanes = S::LANES;
  pin(lanes);
#pragma unroll 1
  for (int n = at.count; n > 0; --n, row += at.row_step, coefficients += S::COEFFICIENTS) {
    const auto slots = *reinterpret_cast<const Pack<Number, 2 * CHANNELS>*>(row);  // A, h
    __syncwarp();  // all have read the state that the last lane will replace
    Pack<Number, CHANNELS> last;
#pragma unroll
    for (int r = 0; r < CHANNELS; ++r) {
      Number h = slots.items[CHANNELS + r];
      int none = begins;
#pragma unroll 1
      for (int lane = 0; lane < lanes; ++lane) {
        if (lane == int(threadIdx.x % S::LANES)) {
#pragma unroll
          for (int t = 0; t < S::STEPS; ++t) {
            if (t >= steps) continue;
            if (own.restarts >> t & 1) none = 1;
            const Number a = decay(own.delta[r][t], slots.items[r]);
            if (padding >> t & 1) {
              if (none == 0) h = times(a, h);
              continue;
            }
            const int place = place_of<S>(t);
            Number x = times(own.x[r][t], coefficients[place]), C = coefficients[S::LENGTH + place];
            if (at.constant) {
              x = times(x, row[2 * CHANNELS + r]);
              C = times(C, row[3 * CHANNELS + r]);
            }
            h = none ? x : advance(a, h, x);
            none = 0;
            own.y[r][t] = add_output(C, h, own.y[r][t]);
          }
          last.items[r] = h;
        }
        h = from_lane<S::LANES>(h, lane);
        none = from_lane<S::LANES>(none, lane);
      }
      if (threadIdx.x % S::LANES == S::LANES - 1) row[CHANNELS + r] = last.items[r];
    }
    if (saved.data) {
      *reinterpret_cast<Pack<Number, CHANNELS>*>(saved.data) = last;
      saved.data += saved.step;
    }
  }
}
