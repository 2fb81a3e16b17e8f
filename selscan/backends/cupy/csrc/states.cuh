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
  unsigned restarts;        // bit t: no state comes to step t
  unsigned padding;         // bit t: nothing is taken in
  int steps;                // that exist
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
  int begin;                   // no state comes to a step of the tile up to this one
};

// Where states go after a thread's last step, from the first one on.
struct Saved {
  long long address;  // 0: nowhere
  long long step;     // bytes from a state to the next
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

// Whether all numbers are finite that the states of a tile meet, of all threads of the warp: groups
// share the coefficients of a time lane, time lanes the rows of a group.
template <class S>
DEVICE bool all_finite(const Steps<S>& own, const States<S>& at) {
  using Number = typename S::Number;
  using Real = typename S::Real;
  Real nothing = Real(0);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) nothing += nothing_of(own.x[r][t]);
#pragma unroll 1
  for (int n = threadIdx.x % 32 / S::LANES; n < at.count; n += S::GROUPS) {
    Number B[S::STEPS];
    read_row<S>(B, at.coefficients + n * S::COEFFICIENTS);
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) nothing += nothing_of(B[t]);
  }
#pragma unroll 1
  for (int n = threadIdx.x % S::LANES; n < at.count; n += S::LANES)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r) {
      const Number* row = at.row + n * at.row_step + S::CHANNELS + r;
      nothing += nothing_of(row[0]);
      if (at.constant) nothing += nothing_of(row[S::CHANNELS]);
    }
  return !__any_sync(0xffffffffu, nothing != Real(0));
}

// All states of a tile, one after the other: y += C h, and h moves on. COUNT: the first steps, the
// others being past the end. GENERAL: with restarts and constant coefficients. EXACT: with them,
// and with infinite numbers that must not meet a zero which stands for nothing. SAVED: states may
// have to be saved.
//
// Registers are few: one channel after the other, and C not before it is needed.
template <class S, int COUNT, bool GENERAL, bool SAVED, bool EXACT = false>
DEVICE void scan_states(Steps<S>& own, const States<S>& at, Saved saved) {
  using Number = typename S::Number;
  constexpr int LANES = S::LANES, CHANNELS = S::CHANNELS;
  int time_lane = threadIdx.x % LANES;
  pin(time_lane);
  int enters = time_lane == 0 && at.begin < 0;
  pin(enters);
  const unsigned cuts = cuts_of(own.restarts, at.begin, time_lane * S::STEPS);
  int keeps = saved.address != 0;
  pin(keeps);
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
        for (int t = 0; t < COUNT; ++t) {
          if (!EXACT && own.restarts >> t & 1) a[t] = Number{};
          if (EXACT && t >= own.steps) a[t] = one(row);
          if (EXACT && (t >= own.steps || own.padding >> t & 1)) x[t] = Number{};
        }
      }
      const auto moved = [&](int t, Number h) {
        return advance_unless(EXACT && cuts >> t & 1, a[t], h, x[t]);
      };
      if constexpr (EXACT) {
        const auto run = [&](Number h) {
#pragma unroll
          for (int t = 0; t < COUNT; ++t) h = moved(t, h);
          return h;
        };
        const Number before = in_turn<LANES>(slots.items[CHANNELS + r], run);
        const Number end = run(before);
        if (time_lane == LANES - 1) row[CHANNELS + r] = end;
        x[0] = moved(0, before);
      } else {
        advance_if(enters, a[0], slots.items[CHANNELS + r], x[0]);
      }
      if constexpr (LANES > 1 && !EXACT) {
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
          if (t + i > 0) h = moved(t + i, h);
          own.y[r][t + i] = add_output(GENERAL ? times(scale, C[i]) : C[i], h, own.y[r][t + i]);
        }
      }
      last.items[r] = h;
    }
    if (LANES == 1) *reinterpret_cast<Pack<Number, CHANNELS>*>(row + CHANNELS) = last;
    if constexpr (SAVED) {
      if (keeps) *reinterpret_cast<Pack<Number, CHANNELS>*>(saved.address) = last;
      saved.address += saved.step;
    }
  }
}

// A, h and with constant coefficients B, C of the block's channels, all states. Whether there is an
// infinite or NaN rate among the thread's.
template <class S>
DEVICE bool load_states(typename S::Number* rows, const ForwardArguments& p, long long batch,
                        int channel, int channels, int slots, int kinds, int states) {
  using Number = typename S::Number;
  auto nothing = typename S::Real(0);
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
      if (kind == 0) nothing += nothing_of(value = rate_of(value));
      rows[slot_of<S>(n, kind, c, slots, kinds)] = value;
    }
  }
  return nothing != 0;
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
