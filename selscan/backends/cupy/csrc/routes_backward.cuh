// What a backward along routes needs besides: own steps of maps, rows of a route, parts of dB, dC.
#pragma once
#include "backward.cuh"
#include "parts.cuh"
#include "routes.cuh"

// A thread's place on a route: its own pixels, four beside one another, the next four 4 * LANES
// further.
struct OwnPixels {
  const int* pixels;
  int step;      // the first own of the route
  int channels;  // own ones that exist
};

// Calls visit(r, t, At) for own channels and steps.
template <class S, class Visit>
DEVICE void over_own_pixels(const OwnPixels& own, Visit visit) {
#pragma unroll
  for (int t = 0; t < S::STEPS; t += 4) {
    const auto four = *reinterpret_cast<const Pack<int, 4>*>(own.pixels + t * S::LANES);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r)
        visit(r, t + i, At{four.items[i], own.step + t + i,
                           own.pixels + S::LENGTH + t * S::LANES + i});
  }
}

// Own values of a route; `rows` has the first own channel. Zero where there are none.
template <class S, class Element, class Real>
DEVICE void read_own(Real (&values)[S::CHANNELS][S::STEPS], const MapOperand& x, const char* rows,
                     const OwnPixels& own) {
  over_own_pixels<S>(own, [&](int r, int t, const At& at) {
    Real value[1] = {Real(0)};
    if (at.pixel >= 0 && r < own.channels)
      load<Element>(value, rows + offset_of(x, at) + r * x.channel, x.dtype);
    values[r][t] = value[0];
  });
}

// dy may be float where elements have 16 bits.
template <class S, class Element, class Real>
DEVICE void read_dy(Real (&dy)[S::CHANNELS][S::STEPS], const MapOperand& x, const char* rows,
                    const OwnPixels& own) {
  if constexpr (CODE<Element> == FLOAT16 || CODE<Element> == BFLOAT16)
    if (x.dtype == FLOAT32) return read_own<S, float>(dy, x, rows, own);
  read_own<S, Element>(dy, x, rows, own);
}

// Own values to where they belong; `row` is the first own channel of the warp's. Steps of padding
// are zero in what has steps.
template <class S, class Element, class Real>
DEVICE void put_own(const Real (&values)[S::CHANNELS][S::STEPS], const Target<Real>& to, int row,
                    const OwnPixels& own) {
  const int first = to.x.result.ordered ? PADDING : 0;
  put<Element>(to, [&](auto visit) {
    over_own_pixels<S>(own, [&](int r, int t, const At& at) {
      if (r < own.channels && at.pixel >= first)
        visit(row + r, at.pixel < 0 ? Real(0) : values[r][t], at);
    });
  });
}

// A of a route. What is summed over it begins at zero, unless it is the continuation of another
// route, from which k comes then. Whether every A that the thread has read is finite.
template <class S>
DEVICE bool begin_route(const Memory<S>& memory, const Backward2dArguments& p, const Place& place,
                        int route, bool goes_on) {
  using Number = typename S::Number;
  const char* const A = rows_of(p.A, 0, route, place.channel);
  bool finite = true;
  over_rows(place, p.states, [&](int n, int c) {
    Number a = {};
    if (c < place.channels) a = read<Number>(A + c * p.A.channel + n * p.A.state, p.A.dtype);
    finite = finite && is_finite(a);
    row_at(memory.rows, place, n, RATE, c) = rate_of(a);
    if (!goes_on) row_at(memory.rows, place, n, CARRY, c) = Number{};
  });
  if (!goes_on) clear_totals(memory, p.states);
  return finite;
}

// The states before a tile. Each warp loads those of its channels, lanes along the channels.
template <class S>
DEVICE void load_states_before(const Memory<S>& memory, const Backward2dArguments& p,
                               const Place& place, int route, int chunk) {
  using Number = typename S::Number;
  constexpr int AT_ONCE = 32 / S::ROWS;  // states
  const int lane = threadIdx.x % 32, first = lane / S::ROWS;
  const int c = threadIdx.x / 32 * S::ROWS + lane % S::ROWS;
  const bool continues = chunk == 0 && p.joined && route > 0;
  const bool exists = c < place.channels && (chunk > 0 || continues);
  if (continues) --route, chunk = p.chunks;
  const char* const from = p.saved.data + place.batch * p.saved.batch + route * p.saved.route +
                           (chunk - 1) * p.saved.step +
                           (place.channel + c) * (long long)sizeof(Number);
#pragma unroll 4
  for (int n = first; n < p.states; n += AT_ONCE)
    row_at(memory.rows, place, n, STATE, c) =
        exists ? *reinterpret_cast<const Number*>(from + n * p.saved.state) : Number{};
}

// What was summed over a route, or over all where they are joined.
template <class S>
DEVICE void end_route(const Memory<S>& memory, const Backward2dArguments& p, const Place& place,
                      const Own& own, int slot, int route) {
  using Number = typename S::Number;
  const bool writes = threadIdx.x % S::LANES == 0;
  for (int r = 0; r < S::CHANNELS; ++r) {
    const int c = place.channel + slot + own.channel + r;
    const bool exists = writes && r < own.channels;
    for (int n = 0; n < p.states; ++n) {
      const Number dA =
          over_time<S>(memory.dA[(n * blockDim.x + threadIdx.x) * S::CHANNELS + r]);
      if (exists)
        write_result(dA, rows_of(p.dA, place.batch, route, c) + n * p.dA.state, p.dA.dtype);
    }
    for (int i = 0; i < 2; ++i) {
      const MapOperand& x = i == 0 ? p.dD : p.ddelta_bias;
      Number sum = {};
      set_real(sum, over_time<S>(memory.totals[(i * S::CHANNELS + r) * blockDim.x + threadIdx.x]));
      if (exists && x.data) write_result(sum, rows_of(x, place.batch, route, c), x.dtype);
    }
  }
}

// Four steps of a part of dB or dC. Steps of padding are zero in what has steps.
template <class S, class Number>
DEVICE void put_four(Number (&sums)[4], const MapOperand& x, char* data, const int* pixels,
                     int step, bool adds) {
  const int first = x.ordered ? PADDING : 0;
#pragma unroll 1
  for (int k = 0; k < 4; ++k) {
    const At at = step_at<S>(pixels, k, step + k);
    if (at.pixel >= first) {
      char* const to = data + offset_of(x, at);
      Number sum = sums[0];
      if (at.pixel < 0) sum = Number{};
      if (x.dtype == OWN_CODE<Number>) {
        Number& part = *reinterpret_cast<Number*>(to);
        part = adds ? add(part, sum) : sum;
      } else {
        if (adds) sum = add(read<Number>(to, x.dtype), sum);
        write_result(sum, to, x.dtype);
      }
    }
    turn<4>(sums);
  }
}

// Zeros in a slice's parts of dB or dC, before anything is written there.
template <class Number>
DEVICE void clear_parts(const MapOperand& x, long long part, const Backward2dArguments& p,
                        char* data) {
  const int routes = x.route ? p.routes : 1, steps = x.ordered ? p.length : p.pixels;
  for (int k = 0; k < p.parts; ++k)
    for (int route = 0; route < routes; ++route)
      for (int n = 0; n < p.states; ++n)
        for (int i = threadIdx.x; i < steps; i += blockDim.x) {
          const int row = i / p.width;
          write_result(Number{},
                       data + k * part + route * x.route + n * x.state +
                           offset_of(x, At{i, i, &row}),
                       x.dtype);
        }
}

// Sums of a tile over the warps that have channels, into the block's parts. Threads beside one
// another take steps, four each, or states if those are neighbours in memory. Whether all are
// finite.
template <class S>
DEVICE bool flush_sums(const Memory<S>& memory, const Backward2dArguments& p, char* dB, char* dC,
                       const int* pixels, const Tile& tile, int states, int warps, bool adds) {
  using Number = typename S::Number;
  constexpr int FOURS = S::LENGTH / 4, BOTH = 2 * S::LENGTH;
  const bool along_states = states > 1 && abs(p.dB.state) < abs(p.dB.step);
  Number zero = {};
  for (int i = threadIdx.x; i < FOURS * states; i += blockDim.x) {
    const int n = along_states ? i % states : i / FOURS;
    const int l = (along_states ? i / states : i % FOURS) * 4;
    const Number* from = memory.sums + n * (blockDim.x / 32 * BOTH) + place_of<S>(l);
    Number B[4] = {}, C[4] = {};
#pragma unroll
    for (int w = 0; w < 4; ++w)
      if (w < warps) {
        const auto more_b = *reinterpret_cast<const Pack<Number, 4>*>(from + w * BOTH);
        const auto more_c = *reinterpret_cast<const Pack<Number, 4>*>(from + w * BOTH + S::LENGTH);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          B[k] = add(B[k], more_b.items[k]);
          C[k] = add(C[k], conjugate(more_c.items[k]));
        }
      }
    add_zeros(zero, B);
    add_zeros(zero, C);
    put_four<S>(B, p.dB, dB + n * p.dB.state, pixels + place_of<S>(l), tile.first + l, adds);
    put_four<S>(C, p.dC, dC + n * p.dC.state, pixels + place_of<S>(l), tile.first + l, adds);
  }
  return is_finite(zero);
}
