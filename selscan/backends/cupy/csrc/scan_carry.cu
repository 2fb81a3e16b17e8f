// What a segment of time does to the gradient k of the states (adjoint.cuh), so that the backward
// can walk all segments at once: k before it = factor * (k behind it) + end. The first segment has
// nobody before it.
//
//     block    warps with other channels each; one batch, group, block of channels and segment
//     grid     batch * groups * channel_blocks * (segments - 1)
#include "backward.cuh"

template <class S, int BY = 1, class Number>
DEVICE void precede_all(Number& end, Number& factor) {
  constexpr bool LAST = 2 * BY == S::LANES;
  precede<S::LANES, BY, LAST>(end, factor);
  if constexpr (!LAST) precede_all<S, 2 * BY>(end, factor);
}

// GENERAL: with restarts and constant C.
template <class S, bool GENERAL>
DEVICE void carry_states(const Adjoint<S>& own, const AdjointStates<S>& at) {
  using Number = typename S::Number;
  const Number* coefficients = at.coefficients;
  Number* row = at.row;
#pragma unroll 1
  for (int n = at.count; n > 0; --n) {
    Number C[S::STEPS];
    read_row<S>(C, coefficients + S::LENGTH);
    const auto rates = channels_of<S>(row + RATE * at.slots);
    const auto carries = channels_of<S>(row + CARRY * at.slots);
    __syncwarp();  // all have read the carry that the first lane will replace
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r) {
      const Number rate = rates.items[r];
      const bool scaled = GENERAL && at.constant;
      const Number by = scaled ? row[ROW_C * at.slots + r] : one(row);
      Number k = threadIdx.x % S::LANES == S::LANES - 1 ? carries.items[r] : Number{};
#pragma unroll
      for (int t = S::STEPS - 1; t >= 0; --t) {
        k = back_output(own.dy[r][t], scaled ? times(by, C[t]) : C[t], k);
        k = back_times(decay(own.delta[r][t], rate), k);
        if (GENERAL && own.restarts >> t & 1) k = Number{};
      }
      Number factor = conjugate(decay(own.total[r], rate));
      if (GENERAL && own.restarts) factor = Number{};
      precede_all<S>(k, factor);
      if (threadIdx.x % S::LANES == 0) row[CARRY * at.slots + r] = k;
    }
    coefficients += S::COEFFICIENTS;
    row += at.kinds * at.slots;
  }
}

// The sums of delta' and whether there is a restart, of a tile, into those of the segment.
template <class S, class Real>
DEVICE void add_totals(Adjoint<S>& own, Real* totals) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    own.total[r] = Real(0);
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) {
      if constexpr (Traits<typename S::Number>::IS_COMPLEX) own.dy[r][t] *= Real(2);
      own.total[r] += own.delta[r][t];
    }
    totals[r * blockDim.x + threadIdx.x] += own.total[r];
    if (own.restarts) totals[(S::CHANNELS + r) * blockDim.x + threadIdx.x] = Real(1);
  }
}

// The map of the segment, (end, factor), for each state and channel.
template <class S>
DEVICE void store_maps(const Memory<S>& memory, const BackwardArguments& p, const Place& place,
                       const Own& own, int slot) {
  using Number = typename S::Number;
  for (int r = 0; r < S::CHANNELS; ++r) {
    const int c = slot + own.channel + r;
    const auto total = over_time<S>(memory.totals[r * blockDim.x + threadIdx.x]);
    const bool restarts =
        over_time<S>(memory.totals[(S::CHANNELS + r) * blockDim.x + threadIdx.x]) != 0;
    for (int n = threadIdx.x % S::LANES; n < p.states && c < place.channels; n += S::LANES) {
      Number* const map = kept_at<Number>(p.carries, place, place.segment - 1, n, c, 2);
      map[0] = row_at(memory.rows, place, n, CARRY, c);
      const Number rate = row_at(memory.rows, place, n, RATE, c);
      map[1] = restarts ? Number{} : conjugate(decay(total, rate));
    }
  }
}

template <class Element, class Number>
__global__ void __launch_bounds__(128, 2) scan_carry(const __grid_constant__ BackwardArguments p) {
  using S = BackwardShape<Number>;
  using Real = typename S::Real;
  extern __shared__ __align__(64) char shared[];
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32, slot = warp * S::ROWS;
  const int of_group = p.channels / p.groups, chunks = (p.length + CHUNK - 1) / CHUNK;
  const int rest = blockIdx.x / (p.segments - 1), group = rest / p.channel_blocks % p.groups;
  const int first = rest % p.channel_blocks * warps * S::ROWS;
  const Place place = {rest / p.channel_blocks / p.groups,
                       group,
                       int(blockIdx.x % (p.segments - 1)) + 1,
                       first,
                       group * of_group + first,
                       min(warps * S::ROWS, of_group - first),
                       warps * S::ROWS,
                       p.constant_c ? 5 : 3};
  const Memory<S> memory(shared, p.staged, p.states, place);
  Tile tile = {place.batch, place.channel + slot, min(S::ROWS, place.channels - slot), 0, p.length,
               p.reverse != 0};
  Own own = Own::of<S>(tile);
  Real bias[S::CHANNELS];
  read_row_of<S>(bias, p.delta_bias, tile.channel + own.channel, own.channels);
  const Coefficients<Number> both = {  // C twice: B is of no use
      p.C,
      p.C,
      p.C.data + place.batch * p.C.batch + place.group * p.C.channel,
      p.C.data + place.batch * p.C.batch + place.group * p.C.channel,
      p.constant_c != 0,
      p.constant_c != 0};

  over_rows(place, p.states, [&](int n, int c) {
    const auto at = [&](int kind) -> Number& { return row_at(memory.rows, place, n, kind, c); };
    at(RATE) = rate_of(row_of_memory(p.A, place, n, c, Number{}));
    at(CARRY) = Number{};
    if (p.constant_c) at(ROW_C) = row_of_memory(p.C, place, n, c, Number{});
  });
  for (int i = 0; i < 2 * S::CHANNELS; ++i) memory.totals[i * blockDim.x + threadIdx.x] = 0;
  Adjoint<S> steps;
  for (int chunk = min((place.segment + 1) * p.span, chunks) - 1; chunk >= place.segment * p.span;
       --chunk) {
    tile.first = chunk * CHUNK;
    own = Own::of<S>(tile);
    read_steps<S, Element>(steps, p, tile, own, bias);
    steps.restarts = restarts_of(p.seq_idx, p.ahead, tile, own);
    add_totals<S>(steps, memory.totals);
    for (int n = 0; n < p.states; n += p.staged) {
      const int count = min(p.staged, p.states - n);
      Coefficients<Number> here = both;
      here.B_data = here.C_data += n * p.C.state;
      __syncthreads();  // nobody reads the C of before, and all rows are there
      stage<S, Element>(memory.coefficients, here, tile, count);
      __syncthreads();
      const AdjointStates<S> at = {memory.coefficients + threadIdx.x % S::LANES * 4,
                                   &row_at(memory.rows, place, n, 0, slot + own.channel),
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   count,
                                   place.kinds,
                                   place.slots,
                                   0,
                                   0,
                                   p.constant_c != 0};
      if (tile.channels > 0) {
        if (p.constant_c || p.seq_idx.data) carry_states<S, true>(steps, at);
        else carry_states<S, false>(steps, at);
      }
    }
  }
  __syncthreads();
  store_maps<S>(memory, p, place, own, slot);
}
