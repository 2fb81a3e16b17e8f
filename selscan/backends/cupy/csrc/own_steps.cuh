// Sequences between memory and registers, without shared memory: each thread loads its own steps.
//
// Eight steps are few: those of the four lanes along time lie in one or two sectors, and what a
// warp asks for twice is in the cache. Where a step or a channel does not exist, values are zero.
#pragma once
#include "sequences.cuh"

// Bytes from a step to the next, known to the compiler where time is contiguous.
template <class Element>
DEVICE long long time_step(const Operand& x) {
  if (CODE<Element> >= 0 && x.access == ELEMENTS_ALONG_TIME) return sizeof(Element);
  return x.time;
}

// Calls visit(r, t, address) for own channels and steps that exist, WIDTH steps at a time.
template <class S, int WIDTH, bool WHOLE, class Visit>
DEVICE void over_own_steps(const Operand& x, long long time, const Tile& tile, const Own& own,
                           Visit visit) {
  const int first = tile.reverse ? own.step + WIDTH - 1 : own.step;
  // Unsigned factors: a product with 64 bits then takes two instructions instead of four. That of
  // a position before the first may wrap around; there is no step there, and nothing is read.
  char* at = x.data + unsigned(tile.batch) * x.batch +
             unsigned(tile.channel + own.channel) * x.channel +
             unsigned(tile.position(first)) * (unsigned long long)time;
  const long long step = (tile.reverse ? -WIDTH : WIDTH) * time;
#pragma unroll
  for (int t = 0; t < S::STEPS; t += WIDTH, at += step)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
      if (WHOLE || (t < own.steps && r < own.channels)) visit(r, t, at + r * x.channel);
}
template <class S, int WIDTH, class Visit>
DEVICE void over_own_steps(const Operand& x, long long time, const Tile& tile, const Own& own,
                           Visit visit) {
  if (own.steps == S::STEPS && own.channels == S::CHANNELS)
    over_own_steps<S, WIDTH, true>(x, time, tile, own, visit);
  else
    over_own_steps<S, WIDTH, false>(x, time, tile, own, visit);
}

template <class S, class Element, class Real>
DEVICE void read_own(Real (&values)[S::CHANNELS][S::STEPS], const Operand& x, const Tile& tile,
                     const Own& own) {
  constexpr int WIDTH = VECTOR<Element>;
  if (own.steps < S::STEPS || own.channels < S::CHANNELS)
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t) values[r][t] = Real(0);
  if (WIDTH > 1 && x.access == VECTORS_ALONG_TIME)
    over_own_steps<S, WIDTH>(x, sizeof(Element), tile, own, [&](int r, int t, const char* at) {
      Real v[WIDTH];
      load<Element>(v, at, x.dtype);
      turn_if(tile.reverse, v);
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) values[r][t + i] = v[i];
    });
  else if (WIDTH > 1 && x.access == VECTORS_ALONG_CHANNELS)
    along_own_steps<S>(tile.rows(x), x, tile, own, [&](int t, const char* at) {
      Real v[S::CHANNELS];
      load<Element>(v, at, x.dtype);
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r) values[r][t] = v[r];
    });
  else
    over_own_steps<S, 1>(x, time_step<Element>(x), tile, own, [&](int r, int t, const char* at) {
      Real v[1];
      load<Element>(v, at, x.dtype);
      values[r][t] = v[0];
    });
}

template <class S, class Element, class Real>
DEVICE void write_own(const Real (&values)[S::CHANNELS][S::STEPS], const Operand& x,
                      const Tile& tile, const Own& own) {
  constexpr int WIDTH = VECTOR<Element>;
  if (WIDTH > 1 && x.access == VECTORS_ALONG_TIME)
    over_own_steps<S, WIDTH>(x, sizeof(Element), tile, own, [&](int r, int t, char* at) {
      Real v[WIDTH];
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) v[i] = values[r][t + i];
      turn_if(tile.reverse, v);
      store<Element>(v, at, x.dtype);
    });
  else if (WIDTH > 1 && x.access == VECTORS_ALONG_CHANNELS)
    along_own_steps<S>(tile.rows(x), x, tile, own, [&](int t, char* at) {
      Real v[S::CHANNELS];
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r) v[r] = values[r][t];
      store<Element>(v, at, x.dtype);
    });
  else
    over_own_steps<S, 1>(x, time_step<Element>(x), tile, own, [&](int r, int t, char* at) {
      Real v[1] = {values[r][t]};
      store<Element>(v, at, x.dtype);
    });
}
