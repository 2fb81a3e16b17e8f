// The gradient of the selective scan (scan_forward.cu); adjoint.cuh has its equations.
//
//     thread   STEPS steps of CHANNELS channels, in registers (tiles.cuh)
//     block    warps with other channels each; one batch and one group
//     grid     batch * groups * slices * segments
//
// A block takes `walk` blocks of channels, one after the other, and with each it walks a segment of
// time from its end. The states before a tile are those that the forward saved; what comes from the
// segments after its own, scan_carry.cu has found. dB and dC are sums over channels: over those of
// a thread, of a warp and of a block here, and over what the block walks in its part of memory,
// which nobody else writes to. sum_parts.cu adds the parts. So nothing depends on the order of
// blocks.
#include "adjoint_in_order.cuh"
#include "backward_rows.cuh"
#include "parts.cuh"

// What the state loop needs of a tile.
template <class S, class Element, class Real>
DEVICE void prepare(Adjoint<S>& steps, const BackwardArguments& p, const Tile& tile,
                    const Own& own, Real* totals, const Real (&bias)[S::CHANNELS]) {
  read_own<S, Element>(steps.x, p.u, tile, own);
  read_steps<S, Element>(steps, p, tile, own, bias);
  steps.restarts = restarts_of(p.seq_idx, p.ahead, tile, own);
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

template <class S, class Real>
DEVICE void clear_outputs(Real* outputs) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; t += 4) output_of<S>(outputs, r, t) = {};
}

// du and ddelta of a tile; y gets its D u.
template <class S, class Element, class Real>
DEVICE void finish(Adjoint<S>& steps, const BackwardArguments& p, const Tile& tile,
                   const Own& own, Real* outputs, Real* totals,
                   const Real (&skip)[S::CHANNELS]) {
  Real u[S::CHANNELS][S::STEPS];
  read_own<S, Element>(u, p.u, tile, own);
  if (p.z.data && p.D.data)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t)
        output_of<S>(outputs, r, t).items[t % 4] += skip[r] * u[r][t];
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    Real dbias = Real(0);
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) {
      u[r][t] = fused(u[r][t], steps.s[r][t], Real(LN2) * steps.q[r][t]);
      if (p.softplus) u[r][t] *= softplus_slope(steps.delta[r][t]);
      if (t < own.steps) dbias += u[r][t];
    }
    totals[(S::CHANNELS + r) * blockDim.x + threadIdx.x] += dbias;
  }
  finish_du<S>(steps, p.D.data, skip);
  write_own<S, Element>(steps.s, p.du, tile, own);
  write_own<S, Element>(u, p.ddelta, tile, own);
}

// dz of a tile, from y.
template <class S, class Element, class Real>
DEVICE void finish_gate(const BackwardArguments& p, const Tile& tile, const Own& own,
                        Real* outputs) {
  Real dz[S::CHANNELS][S::STEPS], z[S::CHANNELS][S::STEPS];
  read_dy<S, Element>(dz, p.dy, tile, own);
  read_own<S, Element>(z, p.z, tile, own);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) {
      Real y = output_of<S>(outputs, r, t).items[t % 4];
      if constexpr (Traits<typename S::Number>::IS_COMPLEX) y *= Real(2);
      dz[r][t] *= y * silu_slope(z[r][t], sigmoid(z[r][t]));
    }
  write_own<S, Element>(dz, p.dz, tile, own);
}

// The kinds of a tile, chosen here and not in the loop.
template <class S>
DEVICE void adjoint_tile(Adjoint<S>& own, const AdjointStates<S>& at, bool general, bool gated) {
  if (general) adjoint_states<S, true, true>(own, at);
  else if (gated) adjoint_states<S, false, true>(own, at);
  else adjoint_states<S, false, false>(own, at);
}

// All that a block does; whether it has met finite numbers only. In order it begins at the end of
// the sequence, and keeps nothing until it comes to its segment.
template <class Element, class Number>
DEVICE bool scan_block(const BackwardArguments& p, char* shared, bool in_order) {
  using S = BackwardShape<Number>;
  using Real = typename S::Real;
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const bool constant = p.constant_b || p.constant_c, general = constant || p.seq_idx.data;
  const bool gated = p.z.data || general;  // the general loop has y in any case
  const int of_group = p.channels / p.groups, chunks = (p.length + CHUNK - 1) / CHUNK;
  const int slice = blockIdx.x / p.segments % p.slices;
  Place place = {int(blockIdx.x / p.segments / p.slices / p.groups),
                 int(blockIdx.x / p.segments / p.slices % p.groups),
                 int(blockIdx.x % p.segments), 0, 0, 0, warps * S::ROWS, constant ? 7 : 3};
  const Memory<S> memory(shared, p.staged, p.states, place);
  Real* const outputs =
      memory.outputs + (warp * S::CHANNELS * S::STEPS / 4 * 32 + threadIdx.x % 32) * 4;
  const int time_lane = threadIdx.x % S::LANES;
  const Coefficients<Number> both = {
      p.B,
      p.C,
      p.B.data + place.batch * p.B.batch + place.group * p.B.channel,
      p.C.data + place.batch * p.C.batch + place.group * p.C.channel,
      p.constant_b != 0,
      p.constant_c != 0};
  char* const dB = p.dB.data + slice * p.slice_b + place.batch * p.dB.batch +
                   place.group * p.dB.channel;
  char* const dC = p.dC.data + slice * p.slice_c + place.batch * p.dC.batch +
                   place.group * p.dC.channel;

  bool finite = true;
  for (int block = 0; block < p.walk; ++block) {
    place.first = (slice * p.walk + block) * place.slots;
    if (place.first >= of_group) break;
    place.channel = place.group * of_group + place.first;
    place.channels = min(place.slots, of_group - place.first);
    __syncthreads();  // nobody reads the rows of before
    finite = load_rows<S>(memory, p, place, in_order) && finite;
    clear_sums<S>(memory, p, place);
    const int slot = warp * S::ROWS, active = (place.channels + S::ROWS - 1) / S::ROWS;
    Tile tile = {place.batch, place.channel + slot, min(S::ROWS, place.channels - slot), 0,
                 p.length, p.reverse != 0};
    Own own = Own::of<S>(tile);
    Real skip[S::CHANNELS], bias[S::CHANNELS];
    read_row_of<S>(skip, p.D, tile.channel + own.channel, own.channels);
    read_row_of<S>(bias, p.delta_bias, tile.channel + own.channel, own.channels);
    if constexpr (Traits<Number>::IS_COMPLEX)  // the gradient of y is doubled
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r) skip[r] *= Real(0.5);

    Adjoint<S> steps;
    const int last = min((place.segment + 1) * p.span, chunks) - 1;
    for (int chunk = in_order ? chunks - 1 : last; chunk >= place.segment * p.span; --chunk) {
      tile.first = chunk * CHUNK;
      own = Own::of<S>(tile);
      if (in_order && chunk == last) clear_sums<S>(memory, p, place);
      prepare<S, Element>(steps, p, tile, own, memory.totals, bias);
      if (gated) clear_outputs<S>(outputs);
      for (int n = 0; n < p.states; n += p.staged) {
        const int count = min(p.staged, p.states - n);
        Coefficients<Number> here = both;
        here.B_data += unsigned(n) * p.B.state;
        here.C_data += unsigned(n) * p.C.state;
        if (n == 0) {
          __syncthreads();  // nobody reads the states of before, and all rows are there
          load_states_before<S>(memory, p, place, chunk);
        }
        stage<S, Element>(memory.coefficients, here, tile, count);
        __syncthreads();
        const AdjointStates<S> at = {
            memory.coefficients + time_lane * 4,
            &row_at(memory.rows, place, n, 0, slot + own.channel),
            memory.sums + warp * 2 * S::LENGTH + time_lane * 4,
            memory.dA + (n * blockDim.x + threadIdx.x) * S::CHANNELS,
            outputs,
            count,
            place.kinds,
            place.slots,
            warps * 2 * S::LENGTH,
            int(blockDim.x) * S::CHANNELS,
            constant};
        if (tile.channels > 0) {
          const bool begins = chunk == 0 && !p.initial_state.data;
          if (in_order)
            adjoint_in_order<S>(steps, at, own.steps, own.channels, 0, begins, gated);
          else
            adjoint_tile<S>(steps, at, general, gated);
        }
        __syncthreads();
        if (chunk > last) continue;
        const Parts parts = {p.dB, p.dC, p.constant_b ? nullptr : dB + unsigned(n) * p.dB.state,
                             p.constant_c ? nullptr : dC + unsigned(n) * p.dC.state, block > 0};
        if (!(p.constant_b && p.constant_c))
          finite = flush_sums<S>(memory, parts, tile, count, active) && finite;
      }
      if (chunk > last) continue;
      finite = all_finite<S>(steps.s, own.channels) && all_finite<S>(steps.q, own.channels) &&
               finite;
      finish<S, Element>(steps, p, tile, own, outputs, memory.totals, skip);
      if (p.z.data) finish_gate<S, Element>(p, tile, own, outputs);
    }
    __syncthreads();
    finite = store_rows<S>(memory, p, place, own, slot) && finite;
  }
  return finite;
}

// Element: of u, delta, z, B, C, dy and their gradients, or Any. Number: of the states.
template <class Element, class Number>
__global__ void __launch_bounds__(128, sizeof(Number) > 4 ? 2 : 3)
    scan_backward(const __grid_constant__ BackwardArguments p) {
  extern __shared__ __align__(64) char shared[];
  run([&](bool in_order) { return scan_block<Element, Number>(p, shared, in_order); });
}
