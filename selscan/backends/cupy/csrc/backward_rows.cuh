// Rows of the backward's blocks between global and shared memory.
#pragma once
#include "backward.cuh"

// A, the gradient behind the segment, in order the one behind all, constant B and C. Whether every
// A that the thread has read is finite.
template <class S>
DEVICE bool load_rows(const Memory<S>& memory, const BackwardArguments& p, const Place& place,
                      bool in_order) {
  using Number = typename S::Number;
  bool finite = true;
  over_rows(place, p.states, [&](int n, int c) {
    const auto at = [&](int kind) -> Number& { return row_at(memory.rows, place, n, kind, c); };
    const Number A = row_of_memory(p.A, place, n, c, Number{});
    finite = finite && is_finite(A);
    at(RATE) = rate_of(A);
    Number k = row_of_memory(p.dlast_state, place, n, c, Number{});
    if (c < place.channels && !in_order)
      for (int s = p.segments - 2; s >= place.segment; --s) {
        const Number* map = kept_at<Number>(p.carries, place, s, n, c, 2);
        k = advance(map[1], k, map[0]);
      }
    at(CARRY) = k;
    if (place.kinds <= ROW_B) return;
    const Number none = one(memory.rows);
    at(ROW_B) = p.constant_b ? row_of_memory(p.B, place, n, c, none) : none;
    at(ROW_C) = p.constant_c ? row_of_memory(p.C, place, n, c, none) : none;
  });
  return finite;
}

// What is summed over the segment begins at zero.
template <class S>
DEVICE void clear_sums(const Memory<S>& memory, const BackwardArguments& p, const Place& place) {
  using Number = typename S::Number;
  clear_totals(memory, p.states);
  if (place.kinds > ROW_B)
    over_rows(place, p.states, [&](int n, int c) {
      row_at(memory.rows, place, n, ROW_DB, c) = Number{};
      row_at(memory.rows, place, n, ROW_DC, c) = Number{};
    });
}

// The states before a tile. Each warp loads those of its channels, lanes along the channels.
template <class S>
DEVICE void load_states_before(const Memory<S>& memory, const BackwardArguments& p,
                               const Place& place, int chunk) {
  using Number = typename S::Number;
  constexpr int AT_ONCE = 32 / S::ROWS;  // states
  const int lane = threadIdx.x % 32, n = lane / S::ROWS;
  const int c = threadIdx.x / 32 * S::ROWS + lane % S::ROWS;
  Number* to = &row_at(memory.rows, place, n, STATE, c);
  const int step = AT_ONCE * place.kinds * place.slots;
  if (chunk == 0) {
    for (int i = n; i < p.states; i += AT_ONCE, to += step)
      *to = row_of_memory(p.initial_state, place, i, c, Number{});
    return;
  }
  const char* from = reinterpret_cast<char*>(kept_at<Number>(p.saved, place, chunk - 1, n, c, 1));
  const bool exists = c < place.channels;
#pragma unroll 4
  for (int i = n; i < p.states; i += AT_ONCE, to += step, from += AT_ONCE * p.saved.state)
    *to = exists ? *reinterpret_cast<const Number*>(from) : Number{};
}

// What was summed over the segment, and the gradient of the initial state. Whether all that the
// thread has written is finite.
template <class S>
DEVICE bool store_rows(const Memory<S>& memory, const BackwardArguments& p, const Place& place,
                       const Own& own, int slot) {
  using Number = typename S::Number;
  const long long part = place.batch * p.segments + place.segment;
  bool finite = true;
  const auto write = [&](const Operand& x, long long batch, int n, int c, Number value) {
    if (!x.data || c >= place.channels) return;
    finite = finite && is_finite(value);
    write_result(value,
                 x.data + batch * x.batch + (long long)(place.channel + c) * x.channel +
                     n * x.state,
                 x.dtype);
  };
  for (int r = 0; r < S::CHANNELS; ++r) {
    const int c = slot + own.channel + r;
    const bool first = threadIdx.x % S::LANES == 0;
    for (int n = 0; n < p.states; ++n) {
      const Number dA =
          over_time<S>(memory.dA[(n * blockDim.x + threadIdx.x) * S::CHANNELS + r]);
      if (first) write(p.dA, part, n, c, dA);
    }
    for (int i = 0; i < 2; ++i) {
      Number sum = {};
      set_real(sum, over_time<S>(memory.totals[(i * S::CHANNELS + r) * blockDim.x + threadIdx.x]));
      if (first) write(i == 0 ? p.dD : p.ddelta_bias, part, 0, c, sum);
    }
  }
  over_rows(place, p.states, [&](int n, int c) {
    const auto at = [&](int kind) { return row_at(memory.rows, place, n, kind, c); };
    if (place.segment == 0) write(p.dinitial_state, place.batch, n, c, at(CARRY));
    if (p.constant_b) write(p.dB, part, n, c, at(ROW_DB));
    if (p.constant_c) write(p.dC, part, n, c, conjugate(at(ROW_DC)));
  });
  return finite;
}
