// The selective scan, forward. For every batch, channel d of group g, and state n:
//
//     delta' = softplus(delta + delta_bias[d])                              (softplus optional)
//     h[t]   = exp(delta'[t] A[d,n]) h[t-1] + delta'[t] u[t] B[g,n,t]       h[-1] = initial_state
//     y[t]   = sum over n of C[g,n,t] h[t]  +  D[d] u[t]                    out = y silu(z)
//
// complex A: twice the real part of the sum. Where seq_idx changes, h[t-1] is replaced by zero.
//
//     thread   STEPS steps of CHANNELS channels, in registers (tiles.cuh)
//     block    some warps with other channels each, or `parts` warps with the same channels and a
//              part of the states; one batch and one group, so that they share B and C
//     grid     batch * groups * channel_blocks * segments; a block walks along the whole sequence,
//              or along a segment of it (segments.cuh)
//
// A tile of B and C is in shared memory (coefficients.cuh). So are A and, from tile to tile, the
// states (states.cuh). Within a tile a state is in a register. A step past the end has delta' = 0,
// which keeps the state. For a backward, states after every CHUNK steps are saved. Where something
// is not finite, a block works in order (run.cuh), and from the first step on.
#include "coefficients.cuh"
#include "in_order.cuh"
#include "prepare.cuh"
#include "rows.cuh"
#include "segments.cuh"

// The kinds of a tile, chosen here and not in the loops.
template <class S>
DEVICE void scan_tile(Steps<S>& own, const States<S>& at, const Tile& tile, bool general,
                      bool keeps, Saved saved) {
  if (general) return scan_states<S, S::STEPS, true, true>(own, at, saved);
  if constexpr (S::LANES == 1)  // short sequences: 49 = 3 * 16 + 1
    if (tile.length - tile.first <= S::STEPS / 2)
      return scan_states<S, S::STEPS / 2, false, false>(own, at, saved);
  if (keeps) return scan_states<S, S::STEPS, false, true>(own, at, saved);
  scan_states<S, S::STEPS, false, false>(own, at, saved);
}

// Adds what the other warps of the same channels have to the first one's y.
template <class S>
DEVICE void add_parts(Steps<S>& own, typename S::Real* buffer, int size, int part, int parts,
                      const Tile& tile, const Own& place) {
  write_tile<S>(own.y, buffer, tile, place);
  __syncthreads();
  if (part == 0)
    for (int k = 1; k < parts; ++k) {
      typename S::Real other[S::CHANNELS][S::STEPS];
      read_tile<S>(other, buffer + k * size, tile, place);
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
        for (int t = 0; t < S::STEPS; ++t) own.y[r][t] += other[r][t];
    }
  __syncthreads();
}

// Where the thread's states after its last step are saved, from state n on: they are where a chunk
// ends and another follows.
template <class S>
DEVICE Saved saved_after(const ForwardArguments& p, const Tile& tile, const Own& own, int group,
                         int channel, int n) {
  const int end = tile.first + own.step + S::STEPS;
  if (end % CHUNK != 0 || end >= p.length || own.channels == 0) return {nullptr, 0};
  return {p.saved.data + tile.batch * p.saved.batch + (end / CHUNK - 1) * p.saved.time +
              group * p.saved.channel + n * p.saved.state +
              (channel + own.channel) * int(sizeof(typename S::Number)),
          p.saved.state};
}

// All that a block does; whether it has met finite numbers only.
template <class Element, class Number, int LANES, bool ONE_STATE>
DEVICE bool scan_block(const ForwardArguments& p, char* memory, bool in_order) {
  using S = Shape<Number, LANES>;
  using Real = typename S::Real;
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const int parts = ONE_STATE ? 1 : p.parts, states = ONE_STATE ? 1 : p.states;
  const int staged = ONE_STATE ? 1 : p.staged;
  const int part = warp % parts, slots = warps / parts * S::ROWS;
  const bool constant = p.constant_b || p.constant_c, general = constant || p.seq_idx.data;
  const bool keeps = p.saved.data != nullptr;
  const int kinds = constant ? 4 : 2;

  const int segments = p.segments - p.maps, block = blockIdx.x / segments;
  const int group = block / p.channel_blocks % p.groups, of_group = p.channels / p.groups;
  const int first = block % p.channel_blocks * slots;  // of the block, in its group
  const int channel = group * of_group + first, channels = min(slots, of_group - first);
  const Stand stand = {block / p.channel_blocks / p.groups, group, int(blockIdx.x) % segments,
                       first, channels, slots, kinds};
  const int slot = warp / parts * S::ROWS;  // the warp's first channel
  Tile tile = {stand.batch, channel + slot, min(S::ROWS, channels - slot),
               stand.segment * p.span, p.length, p.reverse != 0};
  const int begin = tile.first, end = begin + min(p.span, p.length - begin);
  if (in_order) tile.first = 0;

  constexpr int BUFFER = S::ROWS * S::PITCH;  // two for each warp
  Number* const coefficients = reinterpret_cast<Number*>(memory);
  Real* const buffers = reinterpret_cast<Real*>(coefficients + staged * S::COEFFICIENTS);
  Number* const rows = reinterpret_cast<Number*>(buffers + warps * 2 * BUFFER);
  Real* const buffer = buffers + warp * 2 * BUFFER;
  Real* const second = buffer + BUFFER;

  bool finite = load_states<S>(rows, p, tile.batch, channel, channels, slots, kinds, states);
  if (stand.segment > 0 && !p.maps && !in_order) enter_segment<S>(rows, p, stand, states);
  Own own = Own::of<S>(tile);
  Real skip[S::CHANNELS], bias[S::CHANNELS];
  read_row_of<S>(skip, p.D, tile.channel + own.channel, part == 0 ? own.channels : 0);
  read_row_of<S>(bias, p.delta_bias, tile.channel + own.channel, own.channels);
  if constexpr (Traits<Number>::IS_COMPLEX)  // y is doubled at the end
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r) skip[r] *= Real(0.5);
  const Coefficients<Number> both = {p.B,
                                     p.C,
                                     p.B.data + tile.batch * p.B.batch + group * p.B.channel,
                                     p.C.data + tile.batch * p.C.batch + group * p.C.channel,
                                     p.constant_b != 0,
                                     p.constant_c != 0};
  char* const u = tile.rows(p.u);
  char* const delta = tile.rows(p.delta);
  char* const z = tile.rows(p.z);
  char* const y = tile.rows(p.y);

  Steps<S> steps;
  for (; tile.first < end; tile.first += S::LENGTH) {
    own = Own::of<S>(tile);
    __syncwarp();  // the buffers are free
    fetch<S, Element>(buffer, u, p.u, tile);
    fetch<S, Element>(second, delta, p.delta, tile);

    for (int n = 0; n < states; n += staged) {
      const int count = ONE_STATE ? 1 : min(staged, states - n);
      __syncthreads();  // nobody reads the B and C of before
      Coefficients<Number> here = both;
      here.B_data += n * p.B.state;
      here.C_data += n * p.C.state;
      stage<S, Element>(coefficients, here, tile, count);
      if (n == 0) {  // here, not before the loop: what goes around it would be copied
        take<S, Element>(steps.x, buffer, u, p.u, tile, own);
        take<S, Element>(steps.delta, second, delta, p.delta, tile, own);
        __syncwarp();
        if (p.z.data) fetch<S, Element>(buffer, z, p.z, tile);
        steps.restarts = restarts_of(p.seq_idx, p.ahead, tile, own);
        prepare<S>(steps, skip, bias, p.D.data && part == 0, p.softplus, own.steps);
        if (p.maps) add_totals<S>(steps, totals_of<S>(rows, p, states), tile.first == begin);
      }
      __syncthreads();
      const int per_part = (count + parts - 1) / parts;
      const int from = min(part * per_part, count), to = min(from + per_part, count);
      Number* const row = rows + slot_of<S>(n + from, 0, slot + own.channel, slots, kinds);
      const States<S> at = {coefficients + from * S::COEFFICIENTS + threadIdx.x % LANES * 4, row,
                            to - from, p.state_step, constant,
                            !p.initial_state.data && tile.first == (p.maps ? begin : 0)};
      Saved saved = {nullptr, 0};
      if (keeps && tile.first >= begin)
        saved = saved_after<S>(p, tile, own, group, first + slot, n + from);
      if (tile.channels <= 0) continue;
      if (in_order) scan_in_order<S>(steps, at, own.steps, 0, at.begins, saved);
      else scan_tile<S>(steps, at, tile, general, keeps, saved);
    }

    if (parts > 1) add_parts<S>(steps, second, 2 * BUFFER, part, parts, tile, own);
    if (part == 0) finite = all_finite<S>(steps.y, own.channels) && finite;
    if (part != 0 || !p.y.data || tile.first < begin) continue;
    if constexpr (Traits<Number>::IS_COMPLEX)
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
        for (int t = 0; t < S::STEPS; ++t) steps.y[r][t] *= Real(2);
    if (p.z.data) {
      Real gate[S::CHANNELS][S::STEPS];
      take<S, Element>(gate, buffer, z, p.z, tile, own);
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
        for (int t = 0; t < S::STEPS; ++t) steps.y[r][t] *= silu(gate[r][t]);
    }
    if constexpr (CODE<Element> == FLOAT16 || CODE<Element> == BFLOAT16)
      if (p.y.dtype == FLOAT32) {
        put<S, float>(steps.y, second, y, p.y, tile, own);
        continue;
      }
    put<S, Element>(steps.y, second, y, p.y, tile, own);
  }

  __syncthreads();
  if (p.maps && part == 0)
    store_maps<S>(rows, totals_of<S>(rows, p, states), p, stand, slot + own.channel, states);
  if (p.last_state.data && stand.segment == segments - 1)
    store_states<S>(rows, p.last_state, tile.batch, channel, channels, slots, kinds, states);
  return finite || p.maps;
}

// Element: of u, delta, z, B and C (and of y, unless that is float), or Any. Number: of the states.
template <class Element, class Number, int LANES, bool ONE_STATE>
__global__ void __launch_bounds__(128, sizeof(Number) > 8 ? 2 : 3)
    scan_forward(const __grid_constant__ ForwardArguments p) {
  extern __shared__ __align__(64) char memory[];
  run([&](bool in_order) {
    return scan_block<Element, Number, LANES, ONE_STATE>(p, memory, in_order);
  });
}
