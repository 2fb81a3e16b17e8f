// The states of a block's channels in shared memory, and the loop over them.
#pragma once
#include "coefficients.cuh"
#include "elements.cuh"
#include "lanes.cuh"

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
  int count;                   // states
  int row_step;                // numbers from a state to the next
  bool constant;               // rows have B and C as well as A and h
  bool begins;                 // no state comes to the first step: it has no decay
};

// Where states go after a thread's last step, from the first one on.
struct Saved {
  char* data;      // null: nowhere
  long long step;  // bytes from a state to the next
};

// Where a number of state n and of a channel stands: the threads' channels one after the other,
// [state][thread][A | h | B | C][CHANNELS], so that a thread reads A and h at once.
template <class S>
DEVICE long long slot_of(int n, int kind, int channel, int slots, int kinds) {
  return (long long)n * kinds * slots + channel / S::CHANNELS * S::CHANNELS * kinds +
         kind * S::CHANNELS + channel % S::CHANNELS;
}

// From each lane's own stretch of time to all until its end. `end`: the state at the end if the
// stretch began at zero (lane 0: as it did begin); `factor`: the decay over the stretch.
template <class S, int BY = 1, class Number>
DEVICE void combine(Number& end, Number& factor) {
  constexpr bool LAST = 2 * BY == S::LANES;
  follow<S::LANES, BY, LAST>(end, factor);
  if constexpr (!LAST) combine<S, 2 * BY>(end, factor);
}

// All states of a tile, one after the other: y += C h, and h moves on. COUNT: the first steps, the
// others being past the end. GENERAL: with restarts and constant coefficients. SAVED: states may
// have to be saved.
//
// Registers are few: one channel after the other, and C not before it is needed.
template <class S, int COUNT, bool GENERAL, bool SAVED>
DEVICE void scan_states(Steps<S>& own, const States<S>& at, Saved saved) {
  using Number = typename S::Number;
  constexpr int LANES = S::LANES, CHANNELS = S::CHANNELS;
  int time_lane = threadIdx.x % LANES;
  if (at.begins && time_lane == 0) time_lane = -1;
  pin(time_lane);
  const Number* coefficients = at.coefficients;
  Number* row = at.row;
#pragma unroll 1
  for (int n = at.count; n > 0; --n, row += at.row_step, coefficients += S::COEFFICIENTS) {
    const auto slots = *reinterpret_cast<const Pack<Number, 2 * CHANNELS>*>(row);  // A, h
    if (LANES > 1) __syncwarp();  // all have read the state that the last lane will replace
    Pack<Number, CHANNELS> last;
#pragma unroll
    for (int r = 0; r < CHANNELS; ++r) {
      Number a[COUNT], x[COUNT];
      read_row<S>(x, coefficients);
#pragma unroll
      for (int t = 0; t < COUNT; ++t) {
        a[t] = decay(own.delta[r][t], slots.items[r]);
        x[t] = times(own.x[r][t], x[t]);  // B
      }
      Number scale = one(row);
      if constexpr (GENERAL) {
        if (at.constant) {
          const Number b = row[2 * CHANNELS + r];
          scale = row[3 * CHANNELS + r];
#pragma unroll
          for (int t = 0; t < COUNT; ++t) x[t] = times(x[t], b);
        }
#pragma unroll
        for (int t = 0; t < COUNT; ++t)
          if (own.restarts >> t & 1) a[t] = Number{};
      }
      advance_if(time_lane == 0, a[0], slots.items[CHANNELS + r], x[0]);
      if constexpr (LANES > 1) {
        Number end = x[0];
#pragma unroll
        for (int t = 1; t < COUNT; ++t) end = advance(a[t], end, x[t]);
        Number factor = decay(own.total[r], slots.items[r]);
        if (GENERAL && own.restarts) factor = Number{};
        combine<S>(end, factor);
        if (time_lane == LANES - 1) row[CHANNELS + r] = end;
        enter<LANES>(x[0], a[0], end);
      }
      Number h = x[0];
#pragma unroll
      for (int t = 0; t < COUNT; t += 4) {
        Number C[4];
        read_row<S>(C, coefficients + S::LENGTH + t * LANES);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (t + i > 0) h = advance(a[t + i], h, x[t + i]);
          own.y[r][t + i] = add_output(GENERAL ? times(scale, C[i]) : C[i], h, own.y[r][t + i]);
        }
      }
      last.items[r] = h;
    }
    if (LANES == 1) *reinterpret_cast<Pack<Number, CHANNELS>*>(row + CHANNELS) = last;
    if constexpr (SAVED)
      if (saved.data) {
        *reinterpret_cast<Pack<Number, CHANNELS>*>(saved.data) = last;
        saved.data += saved.step;
      }
  }
}

// A, h and with constant coefficients B, C of the block's channels, all states. Whether every A
// that the thread has read is finite.
template <class S>
DEVICE bool load_states(typename S::Number* rows, const ForwardArguments& p, long long batch,
                        int channel, int channels, int slots, int kinds, int states) {
  using Number = typename S::Number;
  bool finite = true;
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
      if (kind == 0) finite = finite && is_finite(value);
    }
  }
  return finite;
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
