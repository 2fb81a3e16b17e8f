// What the kernels of the backward share: a block's place, its rows, and the steps of a tile.
#pragma once
#include "adjoint.cuh"
#include "own_steps.cuh"
#include "rows.cuh"

// The channels that a block has at a time, and where it stands.
struct Place {
  long long batch;
  int group, segment;   // of time
  int first, channel;   // first channel, in its group and of all
  int channels, slots;  // that exist; that there is room for
  int kinds;            // of numbers in a row
};

// The shared memory of a block: scan_carry.cu needs it up to the rows, and without z, seq_idx and
// constant B and C there are no outputs.
template <class S>
struct Memory {
  using Number = typename S::Number;
  using Real = typename S::Real;
  Number *coefficients, *rows, *sums, *dA;
  Real *totals, *outputs;  // two totals for each own channel; y

  DEVICE Memory(char* memory, int staged, int states, const Place& place) {
    const int warps = blockDim.x / 32, own = S::CHANNELS * blockDim.x;
    coefficients = reinterpret_cast<Number*>(memory);
    totals = reinterpret_cast<Real*>(coefficients + staged * S::COEFFICIENTS);
    rows = reinterpret_cast<Number*>(totals + 2 * own);
    sums = rows + states * place.kinds * place.slots;
    dA = sums + warps * staged * 2 * S::LENGTH;
    outputs = reinterpret_cast<Real*>(dA + states * own);
  }
};

// What threads sum up over a stretch of time begins at zero.
template <class S>
DEVICE void clear_totals(const Memory<S>& memory, int states) {
  for (int i = 0; i < states * S::CHANNELS; ++i)
    memory.dA[i * blockDim.x + threadIdx.x] = typename S::Number{};
  for (int i = 0; i < 2 * S::CHANNELS; ++i) memory.totals[i * blockDim.x + threadIdx.x] = 0;
}

// A number of a row of the block.
template <class Number>
DEVICE Number& row_at(Number* rows, const Place& place, int n, int kind, int channel) {
  return rows[(n * place.kinds + kind) * place.slots + channel];
}

// Calls visit(n, channel) for all states of all channels there is room for, lanes along the states,
// as they are in memory.
template <class Visit>
DEVICE void over_rows(const Place& place, int states, Visit visit) {
#pragma unroll 1
  for (int i = threadIdx.x; i < place.slots * states; i += blockDim.x)
    visit(i % states, i / states);
}

// The number of a row in memory; `missing` where there is none.
template <class Number>
DEVICE Number row_of_memory(const Operand& x, const Place& place, int n, int channel,
                            Number missing) {
  if (!x.data || channel >= place.channels) return missing;
  return read<Number>(x.data + place.batch * x.batch +
                          (long long)(place.channel + channel) * x.channel + n * x.state,
                      x.dtype);
}

// Numbers that kernels keep for one another: [...][channel of the group][count].
template <class Number>
DEVICE Number* kept_at(const Operand& x, const Place& place, int time, int n, int channel,
                       int count) {
  return reinterpret_cast<Number*>(x.data + unsigned(place.batch) * x.batch +
                                   unsigned(time) * x.time + unsigned(place.group) * x.channel +
                                   unsigned(n) * x.state) +
         (place.first + channel) * count;
}

// dy may be float where elements have 16 bits.
template <class S, class Element, class Real>
DEVICE void read_dy(Real (&dy)[S::CHANNELS][S::STEPS], const Operand& x, const Tile& tile,
                    const Own& own) {
  if constexpr (CODE<Element> == FLOAT16 || CODE<Element> == BFLOAT16)
    if (x.dtype == FLOAT32) return read_own<S, float>(dy, x, tile, own);
  read_own<S, Element>(dy, x, tile, own);
}

// delta' and the gradient of y without its gate, for a tile; zero where there is no step or no
// channel.
template <class S, class Element, class Real>
DEVICE void read_steps(Adjoint<S>& steps, const BackwardArguments& p, const Tile& tile,
                       const Own& own, const Real (&bias)[S::CHANNELS]) {
  read_dy<S, Element>(steps.dy, p.dy, tile, own);
  read_own<S, Element>(steps.delta, p.delta, tile, own);
  if (p.z.data) {
    Real z[S::CHANNELS][S::STEPS];
    read_own<S, Element>(z, p.z, tile, own);
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t) steps.dy[r][t] *= silu(z[r][t]);
  }
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) steps.delta[r][t] += bias[r];
  if (p.softplus)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t) steps.delta[r][t] = softplus(steps.delta[r][t]);
  if (own.steps < S::STEPS || own.channels < S::CHANNELS)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t)
        if (t >= own.steps || r >= own.channels) steps.delta[r][t] = Real(0);
}
