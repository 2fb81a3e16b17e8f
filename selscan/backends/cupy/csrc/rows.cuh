// What a thread reads of its rows apart from tiles.
#pragma once
#include "sequences.cuh"

// Bit t: seq_idx differs between own step t and the one before it.
// `ahead`: steps that it has before the first one.
DEVICE unsigned restarts_of(const Operand& seq_idx, int ahead, const Tile& tile, const Own& own) {
  if (!seq_idx.data) return 0;
  const char* const first = seq_idx.data + (tile.reverse ? 0 : ahead * seq_idx.time);
  const auto number = [&](int step) -> long long {
    const char* at = first + tile.batch * seq_idx.batch + tile.position(step) * seq_idx.time;
    return seq_idx.dtype == INT64 ? *reinterpret_cast<const long long*>(at)
                                  : *reinterpret_cast<const int*>(at);
  };
  if (!own.steps) return 0;
  unsigned bits = 0;
  long long before = number(own.step - (ahead + tile.first + own.step > 0));
#pragma unroll 1
  for (int t = 0; t < own.steps; ++t) {
    const long long here = number(own.step + t);
    bits |= unsigned(here != before) << t;
    before = here;
  }
  return bits;
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
