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
//     grid     batch * groups * channel_blocks; a block walks along the whole sequence
//
// A tile of B and C is in shared memory, [state][B | C][time]. So are A and, from tile to tile, the
// states, [state][thread][A | h][CHANNELS]. Within a tile a state is in a register. A step past the end has
// delta' = 0, which keeps the state.
#include "arguments.cuh"
#include "numbers.cuh"
#include "tiles.cuh"

// What a thread has of a tile, apart from the states.
template <class S>
struct Steps {
  using Real = typename S::Real;
  Real delta[S::CHANNELS][S::STEPS];  // delta'
  Real x[S::CHANNELS][S::STEPS];      // u, then delta' u
  Real y[S::CHANNELS][S::STEPS];
  Real total[S::CHANNELS];  // the sum of delta'
  unsigned restarts;        // bit t: the state is zero before step t
};

// Where the states are, and which of them the thread takes.
template <class S>
struct States {
  using Number = typename S::Number;
  const Number* coefficients;  // own time lane, first state
  Number* row;                 // own channel, first state
  Number* end;                 // own channel, behind the last state
  int row_step;                // numbers from a state to the next
  bool constant;               // rows have B and C as well as A and h
};

// Where a number of state n and of a channel stands: the threads' channels one after the other,
// [state][thread][A | h | B | C][CHANNELS], so that a thread reads A and h at once.
template <class S>
DEVICE long long slot_of(int n, int kind, int channel, int slots, int kinds) {
  return (long long)n * kinds * slots + channel / S::CHANNELS * S::CHANNELS * kinds +
         kind * S::CHANNELS + channel % S::CHANNELS;
}

template <class S>
DEVICE Pack<typename S::Number, S::CHANNELS> read_slots(const typename S::Number* at) {
  return *reinterpret_cast<const Pack<typename S::Number, S::CHANNELS>*>(at);
}

// From each lane's own stretch of time to all until its end. `end`: the state at the end if the
// stretch began at zero (lane 0: as it did begin); `factor`: the decay over the stretch.
template <class S, class Number>
DEVICE void combine(Number& end, Number factor) {
#pragma unroll
  for (int by = 1; by < S::LANES / 2; by *= 2) follow<S::LANES, false>(end, factor, by);
  follow<S::LANES, true>(end, factor, S::LANES / 2);
}

// All states of a tile, one after the other: y += C h, and h moves on. COUNT: the first steps, the
// others being past the end. GENERAL: with restarts and constant coefficients.
template <class S, int COUNT, bool GENERAL>
DEVICE void scan_states(Steps<S>& own, States<S> at) {
  using Real = typename S::Real;
  using Number = typename S::Number;
  constexpr int LANES = S::LANES;
  int time_lane = threadIdx.x % LANES;
  pin(time_lane);
  const Number* coefficients = at.coefficients;
#pragma unroll 1
  for (Number* row = at.row; row != at.end; row += at.row_step, coefficients += S::COEFFICIENTS) {
    const auto rate = read_slots<S>(row), start = read_slots<S>(row + S::CHANNELS);
    if (LANES > 1) __syncwarp();  // all have read the state that the last lane will replace
    Number B[S::STEPS], C[S::STEPS];
    read_row<S, COUNT>(B, coefficients);
    if (LANES == 1) read_row<S, COUNT>(C, coefficients + S::LENGTH);
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r) {
      Number a[COUNT], x[COUNT], h = start.items[r];
#pragma unroll
      for (int t = 0; t < COUNT; ++t) {
        a[t] = decay(own.delta[r][t], rate.items[r]);
        x[t] = times(own.x[r][t], B[t]);
      }
      Number scale = one(row);
      if constexpr (GENERAL) {
        if (at.constant) {
          const Number b = row[2 * S::CHANNELS + r];
          scale = row[3 * S::CHANNELS + r];
#pragma unroll
          for (int t = 0; t < COUNT; ++t) x[t] = times(x[t], b);
        }
#pragma unroll
        for (int t = 0; t < COUNT; ++t)
          if (own.restarts >> t & 1) a[t] = Number{};
      }
      if constexpr (LANES > 1) {
        Number end = advance(a[0], time_lane == 0 ? h : Number{}, x[0]);
#pragma unroll
        for (int t = 1; t < COUNT; ++t) end = advance(a[t], end, x[t]);
        Number factor = decay(own.total[r], rate.items[r]);
        if (GENERAL && own.restarts) factor = Number{};
        combine<S>(end, factor);
        if (time_lane == LANES - 1) row[S::CHANNELS + r] = end;
        shift<LANES>(h, end);
        read_row<S, COUNT>(C, coefficients + S::LENGTH);  // not before: registers are few
      }
#pragma unroll
      for (int t = 0; t < COUNT; ++t) {
        h = advance(a[t], h, x[t]);
        own.y[r][t] = add_output(GENERAL ? times(scale, C[t]) : C[t], h, own.y[r][t]);
      }
      if (LANES == 1) row[S::CHANNELS + r] = h;
    }
  }
}

// The kinds of a tile, chosen here and not in the loops.
template <class S>
DEVICE void scan_tile(Steps<S>& own, const States<S>& at, const Tile& tile, bool general) {
  if (general) return scan_states<S, S::STEPS, true>(own, at);
  if constexpr (S::LANES == 1)  // short sequences: 49 = 3 * 16 + 1
    if (tile.length - tile.first <= S::STEPS / 2) return scan_states<S, S::STEPS / 2, false>(own, at);
  scan_states<S, S::STEPS, false>(own, at);
}

// Bit t: seq_idx differs between own step t and the one before it.
template <class S>
DEVICE unsigned restarts_of(const Operand& seq_idx, const Tile& tile, const Own& own) {
  if (!seq_idx.data) return 0;
  const auto number = [&](int step) -> long long {
    const char* at = seq_idx.data + tile.batch * seq_idx.batch +
                     tile.offset(step, 1, seq_idx.time);
    return seq_idx.dtype == INT64 ? *reinterpret_cast<const long long*>(at)
                                  : *reinterpret_cast<const int*>(at);
  };
  if (!own.steps) return 0;
  unsigned bits = 0;
  long long before = number(own.step - (tile.first + own.step > 0));
#pragma unroll 1
  for (int t = 0; t < own.steps; ++t) {
    const long long here = number(own.step + t);
    bits |= unsigned(here != before) << t;
    before = here;
  }
  return bits;
}

// delta', delta' u, y = D u (of the sum's first part) and the sum of delta', from delta and u.
template <class S, class Real>
DEVICE void prepare(Steps<S>& own, const Real (&skip)[S::CHANNELS], const Real (&bias)[S::CHANNELS],
                    bool with_softplus, int steps) {
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
        if (t >= steps) own.delta[r][t] = Real(0);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    own.total[r] = Real(0);
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) {
      own.y[r][t] = own.x[r][t] * skip[r];
      own.x[r][t] *= own.delta[r][t];
      own.total[r] += own.delta[r][t];
    }
    pin(own.total[r]);
  }
}

// A row's number for each own channel, zeros where there is none.
template <class S, class Real>
DEVICE void read_row_of(Real (&values)[S::CHANNELS], const Operand& x, int channel, int channels) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    values[r] = Real(0);
    if (x.data && r < channels) values[r] = read<Real>(x.data + (channel + r) * x.channel, x.dtype);
  }
}

// A, h and with constant coefficients B, C of the block's channels, all states.
template <class S>
DEVICE void load_states(typename S::Number* rows, const ForwardArguments& p, long long batch,
                        int channel, int channels, int slots, int kinds, int states) {
  using Number = typename S::Number;
#pragma unroll 1
  for (int kind = 0; kind < kinds; ++kind) {
    const Operand& x = kind == 0 ? p.A : kind == 1 ? p.initial_state : kind == 2 ? p.B : p.C;
    const bool given = kind < 2 ? x.data != nullptr : kind == 2 ? p.constant_b : p.constant_c;
    const Number missing = kind < 2 ? Number{} : one(rows);
    const char* data = x.data + batch * x.batch + channel * x.channel;
#pragma unroll 1
    for (int i = threadIdx.x; i < slots * states; i += blockDim.x) {
      const int n = i / slots, c = i % slots;
      Number value = missing;
      if (given && c < channels) value = read<Number>(data + c * x.channel + n * x.state, x.dtype);
      rows[slot_of<S>(n, kind, c, slots, kinds)] = kind == 0 ? rate_of(value) : value;
    }
  }
}

template <class S>
DEVICE void store_states(const typename S::Number* rows, const Operand& x, long long batch,
                         int channel, int channels, int slots, int kinds, int states) {
  for (int i = threadIdx.x; i < slots * states; i += blockDim.x) {
    const int n = i % states, c = i / states;  // lanes along the states, as they are in memory
    if (c < channels)
      write_any(rows[slot_of<S>(n, 1, c, slots, kinds)],
                x.data + batch * x.batch + (long long)(channel + c) * x.channel + n * x.state,
                x.dtype);
  }
}

// Adds what the other warps of the same channels have to the first one's y.
template <class S>
DEVICE void add_parts(Steps<S>& own, typename S::Real* buffer, int size, int part, int parts,
                      const Own& place) {
  write_tile<S>(own.y, buffer, place);
  __syncthreads();
  if (part == 0)
    for (int k = 1; k < parts; ++k) {
      typename S::Real other[S::CHANNELS][S::STEPS];
      read_tile<S>(other, buffer + k * size, place);
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
        for (int t = 0; t < S::STEPS; ++t) own.y[r][t] += other[r][t];
    }
  __syncthreads();
}

// Element: of u, delta, z, B and C (and of y, unless that is float), or Any. Number: of the states.
template <class Element, class Number, int LANES, bool ONE_STATE>
__global__ void __launch_bounds__(128, 3)
    scan_forward(const __grid_constant__ ForwardArguments p) {
  using S = Shape<Number, LANES>;
  using Real = typename S::Real;
  extern __shared__ __align__(64) char memory[];
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const int parts = ONE_STATE ? 1 : p.parts, states = ONE_STATE ? 1 : p.states;
  const int staged = ONE_STATE ? 1 : p.staged;
  const int part = warp % parts, slots = warps / parts * S::ROWS;
  const bool constant = p.constant_b || p.constant_c, general = constant || p.seq_idx.data;
  const int kinds = constant ? 4 : 2;

  const int group = blockIdx.x / p.channel_blocks % p.groups, of_group = p.channels / p.groups;
  const int first = blockIdx.x % p.channel_blocks * slots;  // of the block, in its group
  const int channel = group * of_group + first, channels = min(slots, of_group - first);
  const int slot = warp / parts * S::ROWS;  // the warp's first channel
  Tile tile = {blockIdx.x / p.channel_blocks / p.groups, channel + slot,
               min(S::ROWS, channels - slot), 0, p.length, p.reverse != 0};

  constexpr int BUFFER = S::ROWS * S::PITCH;  // two for each warp
  Number* const coefficients = reinterpret_cast<Number*>(memory);
  Real* const buffers = reinterpret_cast<Real*>(coefficients + staged * S::COEFFICIENTS);
  Number* const rows = reinterpret_cast<Number*>(buffers + warps * 2 * BUFFER);
  Real* const buffer = buffers + warp * 2 * BUFFER;
  Real* const second = buffer + BUFFER;

  load_states<S>(rows, p, tile.batch, channel, channels, slots, kinds, states);
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
                               p.constant_c != 0,
                               min(p.constant_b ? VECTORS_ALONG_TIME : p.B.access,
                                   p.constant_c ? VECTORS_ALONG_TIME : p.C.access)};

  Steps<S> steps;
  for (; tile.first < p.length; tile.first += S::LENGTH) {
    own = Own::of<S>(tile);
    __syncwarp();  // the buffers are free
    fetch<S, Element>(buffer, p.u, tile);
    fetch<S, Element>(second, p.delta, tile);
    __syncwarp();
    take<S, Element>(steps.x, buffer, p.u, tile, own);
    take<S, Element>(steps.delta, second, p.delta, tile, own);
    __syncwarp();
    if (p.z.data) fetch<S, Element>(buffer, p.z, tile);
    steps.restarts = restarts_of<S>(p.seq_idx, tile, own);

    for (int n = 0; n < states; n += staged) {
      const int count = ONE_STATE ? 1 : min(staged, states - n);
      __syncthreads();  // nobody reads the B and C of before
      Coefficients<Number> here = both;
      here.B_data += n * p.B.state;
      here.C_data += n * p.C.state;
      stage<S, Element>(coefficients, here, tile, count);
      if (n == 0) prepare<S>(steps, skip, bias, p.softplus, own.steps);
      __syncthreads();
      const int per_part = (count + parts - 1) / parts;
      const int from = min(part * per_part, count), to = min(from + per_part, count);
      Number* const row = rows + slot_of<S>(n + from, 0, slot + own.channel, slots, kinds);
      const States<S> at = {
          coefficients + from * S::COEFFICIENTS + threadIdx.x % LANES * 4, row,
          row + (to - from) * kinds * slots, kinds * slots, constant};
      if (tile.channels > 0) scan_tile<S>(steps, at, tile, general);
    }

    if (parts > 1) add_parts<S>(steps, second, 2 * BUFFER, part, parts, own);
    if (part != 0 || !p.y.data) continue;
    if constexpr (Traits<Number>::IS_COMPLEX)
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
        for (int t = 0; t < S::STEPS; ++t) steps.y[r][t] *= Real(2);
    if (p.z.data) {
      Real z[S::CHANNELS][S::STEPS];
      take<S, Element>(z, buffer, p.z, tile, own);
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
        for (int t = 0; t < S::STEPS; ++t) steps.y[r][t] *= silu(z[r][t]);
    }
    if constexpr (CODE<Element> == FLOAT16 || CODE<Element> == BFLOAT16)
      if (p.y.dtype == FLOAT32) {
        put<S, float>(steps.y, second, p.y, tile, own);
        continue;
      }
    put<S, Element>(steps.y, second, p.y, tile, own);
  }

  __syncthreads();
  if (p.last_state.data)
    store_states<S>(rows, p.last_state, tile.batch, channel, channels, slots, kinds, states);
}
