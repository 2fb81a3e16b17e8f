// What the state loop of the forward needs of a tile.
#pragma once
#include "states.cuh"

// delta', delta' u, y = D u (of the sum's first part, if there is D) and the sum of delta', from
// delta and u.
template <class S, class Real>
DEVICE void prepare(Steps<S>& own, const Real (&skip)[S::CHANNELS], const Real (&bias)[S::CHANNELS],
                    bool with_skip, bool with_softplus, int steps) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) own.delta[r][t] += bias[r];
  if (with_softplus)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t) own.delta[r][t] = softplus(own.delta[r][t]);
  if (steps < S::STEPS)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t)
        if (t >= steps) own.delta[r][t] = own.x[r][t] = Real(0);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) own.y[r][t] = Real(0);
  if (with_skip)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t) own.y[r][t] = own.x[r][t] * skip[r];
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    own.total[r] = Real(0);
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) {
      own.x[r][t] *= own.delta[r][t];
      own.total[r] += own.delta[r][t];
    }
    pin(own.total[r]);
  }
}
