// Segments of time, for blocks of their own. A first launch finds what each of them does to a
// state, h behind it = factor * (h before it) + end, and a second one begins each segment with what
// those before it have made of the initial state. The last segment has nobody behind it.
#pragma once
#include "states.cuh"

// Where a block stands.
struct Stand {
  long long batch;
  int group, segment;
  int first, channels;  // of its channels, in the group; how many there are
  int slots, kinds;     // as in slot_of
};

// The map, (end, factor), of a segment, state and channel.
template <class Number>
DEVICE Number* map_at(const Operand& x, const Stand& stand, int segment, int n, int channel) {
  return reinterpret_cast<Number*>(x.data + stand.batch * x.batch + segment * x.time +
                                   stand.group * x.channel + n * x.state) +
         (stand.first + channel) * 2ll;
}

// The states before a segment.
template <class S>
DEVICE void enter_segment(typename S::Number* rows, const ForwardArguments& p, const Stand& stand,
                          int states) {
  using Number = typename S::Number;
#pragma unroll 1
  for (int i = threadIdx.x; i < stand.slots * states; i += blockDim.x) {  // as load_states has it
    const int n = i / stand.slots, c = i % stand.slots;
    if (c >= stand.channels) continue;
    Number& h = rows[slot_of<S>(n, 1, c, stand.slots, stand.kinds)];
    for (int segment = 0; segment < stand.segment; ++segment) {
      const Number* const map = map_at<Number>(p.carries, stand, segment, n, c);
      const bool begins = segment == 0 && !p.initial_state.data;
      h = begins ? map[0] : advance(map[1], h, map[0]);
    }
  }
}

// Behind the rows: two sums for each of a thread's channels.
template <class S>
DEVICE typename S::Real* totals_of(typename S::Number* rows, const ForwardArguments& p,
                                   int states) {
  return reinterpret_cast<typename S::Real*>(rows + (long long)states * p.state_step);
}

// Sums of delta', and whether there was a restart, of a thread's steps so far.
template <class S, class Real>
DEVICE void add_totals(const Steps<S>& own, Real* totals, bool first) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    Real& total = totals[r * blockDim.x + threadIdx.x];
    Real& restarts = totals[(S::CHANNELS + r) * blockDim.x + threadIdx.x];
    total = own.total[r] + (first ? Real(0) : total);
    restarts = own.restarts || (!first && restarts != 0) ? Real(1) : Real(0);
  }
}

// The maps of the own channels, all states. `slot`: the first own channel, in the block.
template <class S, class Real>
DEVICE void store_maps(const typename S::Number* rows, const Real* totals,
                       const ForwardArguments& p, const Stand& stand, int slot, int states) {
  using Number = typename S::Number;
  for (int r = 0; r < S::CHANNELS; ++r) {
    const auto total = over_time<S>(totals[r * blockDim.x + threadIdx.x]);
    const bool restarts =
        over_time<S>(totals[(S::CHANNELS + r) * blockDim.x + threadIdx.x]) != 0;
    for (int n = threadIdx.x % S::LANES; n < states && slot + r < stand.channels; n += S::LANES) {
      const auto number = [&](int kind) {
        return rows[slot_of<S>(n, kind, slot + r, stand.slots, stand.kinds)];
      };
      Number* const map = map_at<Number>(p.carries, stand, stand.segment, n, slot + r);
      map[0] = number(1);
      map[1] = restarts ? Number{} : decay(total, number(0));
    }
  }
}
