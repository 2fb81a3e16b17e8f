// The gradient of the scan of maps along routes (scan2d_forward.cu); adjoint.cuh has its equations.
//
//     thread   STEPS steps of CHANNELS channels, in registers (tiles.cuh)
//     block    warps with other channels each; one batch
//     grid     batch * slices
//
// A block takes `walk` blocks of channels, one after the other, and with each all routes, each from
// its end: the last route first, as the routes of a joined path are one sequence. du of a pixel is
// a sum over routes, which the block makes as the forward makes y. dB and dC are sums over channels
// in the block's own part of memory, as in scan_backward.cu; sum_parts.cu adds the parts.
#include "adjoint_in_order.cuh"
#include "routes_backward.cuh"

// What the state loop needs of a tile.
template <class S, class Element, class Real>
DEVICE void prepare(Adjoint<S>& steps, const Backward2dArguments& p, const OwnPixels& own,
                    int count, const char* u, const char* delta, const char* dy, Real* totals,
                    const Real (&bias)[S::CHANNELS]) {
  read_own<S, Element>(steps.x, p.u, u, own);
  read_dy<S, Element>(steps.dy, p.dy, dy, own);
  read_own<S, Element>(steps.delta, p.delta, delta, own);
  steps.restarts = 0;
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) steps.delta[r][t] += bias[r];
  if (p.softplus)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t) steps.delta[r][t] = softplus(steps.delta[r][t]);
  if (count < S::STEPS || own.channels < S::CHANNELS)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t)
        if (t >= count || r >= own.channels) steps.delta[r][t] = Real(0);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    Real dD = Real(0);
    steps.total[r] = Real(0);
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) {
      dD = fused(steps.dy[r][t], steps.x[r][t], dD);
      steps.x[r][t] *= steps.delta[r][t];
      if constexpr (Traits<typename S::Number>::IS_COMPLEX) steps.dy[r][t] *= Real(2);
      steps.total[r] += steps.delta[r][t];
      steps.s[r][t] = steps.q[r][t] = Real(0);
      pin(steps.x[r][t]);
    }
    pin(steps.total[r]);
    totals[r * blockDim.x + threadIdx.x] += dD;
  }
}

// du and ddelta of a tile, in the place of s and q.
template <class S, class Element, class Real>
DEVICE void finish(Adjoint<S>& steps, const Backward2dArguments& p, const OwnPixels& own,
                   int count, const char* u_rows, Real* totals, const Real (&skip)[S::CHANNELS]) {
  Real u[S::CHANNELS][S::STEPS];
  read_own<S, Element>(u, p.u, u_rows, own);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    Real dbias = Real(0);
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) {
      Real ddelta = fused(u[r][t], steps.s[r][t], Real(LN2) * steps.q[r][t]);
      if (p.softplus) ddelta *= softplus_slope(steps.delta[r][t]);
      steps.q[r][t] = ddelta;
      if (t < count) dbias += ddelta;
    }
    totals[(S::CHANNELS + r) * blockDim.x + threadIdx.x] += dbias;
  }
  finish_du<S>(steps, p.D.data, skip);
}

// All that a block does; whether it has met finite numbers only.
template <class Element, class Number>
DEVICE bool scan_block(const Backward2dArguments& p, char* memory_of_block, bool in_order) {
  using S = BackwardShape<Number>;
  using Real = typename S::Real;
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32, slot = warp * S::ROWS;
  const int slice = blockIdx.x % p.slices, time_lane = threadIdx.x % S::LANES;
  Place place = {blockIdx.x / p.slices, 0, 0, 0, 0, 0, warps * S::ROWS, 3};
  const Memory<S> memory(memory_of_block, p.staged, p.states, place);
  int* const pixels = reinterpret_cast<int*>(memory.outputs);
  const Shared2d<Real> du = {p.du, p.du_sums, p.du_mode, p.whole != 0, nullptr};
  const Shared2d<Real> ddelta = {p.ddelta, p.ddelta_sums, p.ddelta_mode, p.whole != 0, nullptr};
  char* const dB = rows_of(p.dB, place.batch, 0, 0) + slice * (p.part_b * p.parts);
  char* const dC = rows_of(p.dC, place.batch, 0, 0) + slice * (p.part_c * p.parts);
  if (!p.whole || p.parts > 1) {
    clear_parts<Number>(p.dB, p.part_b, p, dB);
    clear_parts<Number>(p.dC, p.part_c, p, dC);
  }

  bool finite = true;
  for (int block = 0; block < p.walk; ++block) {
    place.first = place.channel = (slice * p.walk + block) * place.slots;
    if (place.first >= p.channels) break;
    place.channels = min(place.slots, p.channels - place.first);
    const int active = (place.channels + S::ROWS - 1) / S::ROWS;
    Tile tile = {place.batch, place.channel + slot, min(S::ROWS, place.channels - slot), 0,
                 p.length, false};
    clear<S, Element>(du, tile, p.routes, p.pixels, p.width);
    clear<S, Element>(ddelta, tile, p.routes, p.pixels, p.width);
    const auto target = [&](const Shared2d<Real>& x, int route) -> Target<Real> {
      return {x, rows_of(x.result, tile.batch, route, tile.channel),
              x.sum_rows(tile.batch, tile.channel), x.adds(route, p.routes - 1),
              x.ends(route, 0)};
    };

    for (int route = p.routes - 1; route >= 0; --route) {
      __syncthreads();  // nobody is at the rows of before
      finite = begin_route<S>(memory, p, place, route, p.joined && route < p.routes - 1) && finite;
      Own own = Own::of<S>(tile);
      const int channel = tile.channel + own.channel;
      Real skip[S::CHANNELS], bias[S::CHANNELS];
      read_row_of<S>(skip, p.D, route, channel, own.channels);
      read_row_of<S>(bias, p.delta_bias, route, channel, own.channels);
      if constexpr (Traits<Number>::IS_COMPLEX)  // the gradient of y is doubled
#pragma unroll
        for (int r = 0; r < S::CHANNELS; ++r) skip[r] *= Real(0.5);
      const char* const u = rows_of(p.u, tile.batch, route, channel);
      const char* const delta = rows_of(p.delta, tile.batch, route, channel);
      const char* const dy = rows_of(p.dy, tile.batch, route, channel);
      const int part = p.parts > 1 ? route : 0;
      const char* const table = p.table + tile.batch * p.table_batch;
      const int begin = in_order ? first_pixel(p, table, route) : 0;

      for (int chunk = p.chunks - 1; chunk >= 0; --chunk) {
        tile.first = chunk * CHUNK;
        own = Own::of<S>(tile);
        __syncthreads();  // nobody reads the pixels of before, and all rows are there
        load_pixels<S>(pixels, table, route, tile, p.width);
        load_states_before<S>(memory, p, place, route, chunk);
        __syncthreads();
        const OwnPixels mine = {pixels + time_lane * 4, tile.first + own.step, own.channels};
        Adjoint<S> steps;
        prepare<S, Element>(steps, p, mine, own.steps, u, delta, dy, memory.totals, bias);
        for (int n = 0; n < p.states; n += p.staged) {
          const int count = min(p.staged, p.states - n);
          const RouteCoefficients here = {
              p.B, p.C, rows_of(p.B, tile.batch, route, 0) + n * p.B.state,
              rows_of(p.C, tile.batch, route, 0) + n * p.C.state};
          stage<S, Element>(memory.coefficients, here, pixels, tile, count);
          __syncthreads();
          const AdjointStates<S> at = {
              memory.coefficients + time_lane * 4,
              &row_at(memory.rows, place, n, 0, slot + own.channel),
              memory.sums + warp * 2 * S::LENGTH + time_lane * 4,
              memory.dA + (n * blockDim.x + threadIdx.x) * S::CHANNELS,
              nullptr,
              count,
              place.kinds,
              place.slots,
              warps * 2 * S::LENGTH,
              int(blockDim.x) * S::CHANNELS,
              false};
          if (tile.channels > 0) {
            if (in_order)
              adjoint_in_order<S>(steps, at, own.steps, own.channels, padding_of<S>(mine.pixels),
                                  tile.first <= begin, false);
            else
              adjoint_states<S, false, false>(steps, at);
          }
          __syncthreads();
          char* const dB_here = dB + part * p.part_b + route * p.dB.route + n * p.dB.state;
          char* const dC_here = dC + part * p.part_c + route * p.dC.route + n * p.dC.state;
          finite = flush_sums<S>(memory, p, dB_here, dC_here, pixels, tile, count, active,
                                 block > 0) && finite;
        }
        finite = all_finite<S>(steps.s, own.channels) && all_finite<S>(steps.q, own.channels) &&
                 finite;
        finish<S, Element>(steps, p, mine, own.steps, u, memory.totals, skip);
        put_own<S, Element>(steps.s, target(du, route), own.channel, mine);
        put_own<S, Element>(steps.q, target(ddelta, route), own.channel, mine);
      }
      if (!p.joined || route == 0) end_route<S>(memory, p, place, own, slot, route);
    }
    __syncwarp();
    conclude<S, Element>(du, tile, p.pixels, p.width);
    conclude<S, Element>(ddelta, tile, p.pixels, p.width);
  }
  return finite;
}

// Element: of u, delta, B, C, dy and their gradients, or Any. Number: of the states.
template <class Element, class Number>
__global__ void __launch_bounds__(128, sizeof(Number) > 4 ? 2 : 3)
    scan2d_backward(const __grid_constant__ Backward2dArguments p) {
  extern __shared__ __align__(64) char memory[];
  run([&](bool in_order) { return scan_block<Element, Number>(p, memory, in_order); });
}
