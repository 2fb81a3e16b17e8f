// u, delta, z and y: tiles of a warp.
//
// Where time is contiguous in memory, lanes load along it whatever the alignment of rows is, and
// the tile goes through shared memory, in the order of memory; where it is not, threads load what
// is theirs. What does not exist is not loaded: the numbers in its place are of no use to anybody.
#pragma once
#include "tiles.cuh"

// Calls visit(address, place in the buffer) for every WIDTH positions of a warp's tile.
template <class S, int WIDTH, bool WHOLE, int UNROLL, class Real, class Step, class Visit>
DEVICE void along_time(Real* buffer, char* rows, Step row_step, int size, const Tile& tile,
                       Visit visit) {
  using Along = AlongTime<S, WIDTH>;
  const Along own;
  const int position = tile.start<S>() + own.l;
  rows += (long long)row_step * own.row + (long long)position * size;
  buffer += row_of<S>(own.row) * S::PITCH + place_of<S>(own.l);
  // A multiple of CHANNELS, so that row_of(row + i) is a sum.
  constexpr int TIMES = UNROLL / Along::CHUNKS > S::CHANNELS ? UNROLL / Along::CHUNKS : S::CHANNELS;
  constexpr int ROWS_AT_ONCE = TIMES * Along::AT_ONCE < S::ROWS ? TIMES * Along::AT_ONCE : S::ROWS;
#pragma unroll 1
  for (int row = 0; row < S::ROWS; row += ROWS_AT_ONCE) {
#pragma unroll
    for (int i = 0; i < ROWS_AT_ONCE; i += Along::AT_ONCE)
#pragma unroll UNROLL
      for (int c = 0; c < Along::CHUNKS; ++c)
        if (WHOLE || (row + i + own.row < tile.channels &&
                      unsigned(position + c * Along::CHUNK) < unsigned(tile.length)))
          visit(rows + (long long)row_step * i + c * Along::CHUNK * size,
                buffer + row_of<S>(i) * S::PITCH + c * Along::PLACES);
    rows += (long long)row_step * ROWS_AT_ONCE;
    buffer += row_of<S>(ROWS_AT_ONCE) * S::PITCH;
  }
}

// The same for all tiles: most are whole.
template <class S, class Element, int WIDTH, class Real, class Visit>
DEVICE void along_time(Real* buffer, char* rows, const Operand& x, const Tile& tile, Visit visit) {
  constexpr int UNROLL = CODE<Element> < 0 ? 4 : WIDTH > 1 ? 8 : 16;
  const int size = size_along_time<Element>(x);
  const int row_step = int(x.channel);  // 32 bits save registers, and are enough for most arrays
  if (CODE<Element> >= 0 && row_step == x.channel && tile.channels >= S::ROWS &&
      tile.all_steps<S>())
    along_time<S, WIDTH, true, UNROLL>(buffer, rows, row_step, size, tile, visit);
  else
    along_time<S, WIDTH, false, UNROLL / 2>(buffer, rows, x.channel, size, tile, visit);
}

template <class S, class Element, int WIDTH, class Real>
DEVICE void fetch_along_time(Real* buffer, char* rows, const Operand& x, const Tile& tile) {
  along_time<S, Element, WIDTH>(buffer, rows, x, tile, [&](const char* at, Real* to) {
    Pack<Real, WIDTH> values;
    load<Element>(values.items, at, x.dtype);
    *reinterpret_cast<Pack<Real, WIDTH>*>(to) = values;
  });
}

template <class S, class Element, int WIDTH, class Real>
DEVICE void flush_along_time(Real* buffer, char* rows, const Operand& y, const Tile& tile) {
  along_time<S, Element, WIDTH>(buffer, rows, y, tile, [&](char* at, const Real* from) {
    auto values = *reinterpret_cast<const Pack<Real, WIDTH>*>(from);
    store<Element>(values.items, at, y.dtype);
  });
}

// Calls visit(address, place in the buffer) for all that exists, lanes along the channels.
template <class S, class Real, class Visit>
DEVICE void along_channels(Real* buffer, char* rows, const Operand& x, const Tile& tile,
                           Visit visit) {
#pragma unroll 2
  for (int i = threadIdx.x % 32; i < S::ROWS * S::LENGTH; i += 32) {
    const int row = i % S::ROWS, l = i / S::ROWS, position = tile.start<S>() + l;
    if (row < tile.channels && unsigned(position) < unsigned(tile.length))
      visit(rows + row * x.channel + position * x.time,
            buffer + row_of<S>(row) * S::PITCH + place_of<S>(l));
  }
}

// A warp's tile into its buffer, unless `take` reads it directly. The warp waits before `take`.
template <class S, class Element, class Real>
DEVICE void fetch(Real* buffer, char* rows, const Operand& x, const Tile& tile) {
  if (CODE<Element> >= 0 && x.access == VECTORS_ALONG_CHANNELS) return;
  if (CODE<Element> >= 0 && x.access == VECTORS_ALONG_TIME)
    return fetch_along_time<S, Element, VECTOR<Element>>(buffer, rows, x, tile);
  if (x.access == ELEMENTS_ALONG_TIME)
    return fetch_along_time<S, Element, 1>(buffer, rows, x, tile);
  along_channels<S>(buffer, rows, x, tile, [&](const char* at, Real* to) {
    Real value[1];
    load<Element>(value, at, x.dtype);
    *to = value[0];
  });
}

// A thread's part of a tile: first channel and step, which exist?
struct Own {
  int channel, channels;  // in the warp's tile
  int step, steps;

  template <class S>
  static DEVICE Own of(const Tile& tile) {
    const int lane = threadIdx.x % 32, channel = lane / S::LANES * S::CHANNELS;
    const int step = lane % S::LANES * S::STEPS;
    return {channel, max(0, min(S::CHANNELS, tile.channels - channel)), step,
            max(0, min(S::STEPS, tile.length - tile.first - step))};
  }
};

// Calls visit(t, address) for the own steps that exist, of own channels.
template <class S, class Visit>
DEVICE void along_own_steps(char* rows, const Operand& x, const Tile& tile, const Own& own,
                            Visit visit) {
  char* at = rows + own.channel * x.channel + tile.position(own.step) * x.time;
  const long long time_step = tile.reverse ? -x.time : x.time;
#pragma unroll
  for (int t = 0; t < S::STEPS; ++t, at += time_step)
    if (t < own.steps && own.channels > 0) visit(t, at);
}

// Where the thread's own steps stand in a buffer that has the order of memory: four of them beside
// one another, the next four 4 * LANES further.
template <class S, class Real>
DEVICE Real* own_place(Real* buffer, const Tile& tile, const Own& own) {
  const int l = tile.reverse ? S::LENGTH - S::STEPS - own.step : own.step;
  return buffer + row_of<S>(own.channel) * S::PITCH + place_of<S>(l);
}

// Own values of a buffer, 16 bytes at a time or so.
template <class S, class Real>
DEVICE void read_tile(Real (&values)[S::CHANNELS][S::STEPS], Real* buffer, const Tile& tile,
                      const Own& own) {
  const Real* at = own_place<S>(buffer, tile, own);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
#pragma unroll
    for (int t = 0; t < S::STEPS; t += 4) {
      const auto pack =
          *reinterpret_cast<const Pack<Real, 4>*>(at + row_of<S>(r) * S::PITCH + t * S::LANES);
#pragma unroll
      for (int i = 0; i < 4; ++i) values[r][t + i] = pack.items[i];
    }
    turn_if(tile.reverse, values[r]);
  }
}

// The thread's values where channels are vectors, from memory.
template <class S, class Element, class Real>
DEVICE void take_channels(Real (&values)[S::CHANNELS][S::STEPS], char* rows, const Operand& x,
                          const Tile& tile, const Own& own) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) values[r][t] = Real(0);
  along_own_steps<S>(rows, x, tile, own, [&](int t, const char* at) {
    Real v[S::CHANNELS];
    load<Element>(v, at, x.dtype);
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r) values[r][t] = v[r];
  });
}

// The thread's values of a tile that was fetched.
template <class S, class Element, class Real>
DEVICE void take(Real (&values)[S::CHANNELS][S::STEPS], Real* buffer, char* rows, const Operand& x,
                 const Tile& tile, const Own& own) {
  if constexpr (CODE<Element> >= 0)
    if (x.access == VECTORS_ALONG_CHANNELS)
      return take_channels<S, Element>(values, rows, x, tile, own);
  read_tile<S>(values, buffer, tile, own);
}

template <class S, class Real>
DEVICE void write_tile(const Real (&values)[S::CHANNELS][S::STEPS], Real* buffer, const Tile& tile,
                       const Own& own) {
  Real* at = own_place<S>(buffer, tile, own);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    Real ordered[S::STEPS];
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) ordered[t] = values[r][t];
    turn_if(tile.reverse, ordered);
#pragma unroll
    for (int t = 0; t < S::STEPS; t += 4) {
      Pack<Real, 4> pack;
#pragma unroll
      for (int i = 0; i < 4; ++i) pack.items[i] = ordered[t + i];
      *reinterpret_cast<Pack<Real, 4>*>(at + row_of<S>(r) * S::PITCH + t * S::LANES) = pack;
    }
  }
}

// The thread's values to memory, by way of the buffer of its warp where that makes long runs.
template <class S, class Element, class Real>
DEVICE void put(const Real (&values)[S::CHANNELS][S::STEPS], Real* buffer, char* rows,
                const Operand& y, const Tile& tile, const Own& own) {
  if (CODE<Element> >= 0 && y.access == VECTORS_ALONG_CHANNELS)
    return along_own_steps<S>(rows, y, tile, own, [&](int t, char* at) {
      Real v[S::CHANNELS];
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r) v[r] = values[r][t];
      store<Element>(v, at, y.dtype);
    });
  write_tile<S>(values, buffer, tile, own);
  __syncwarp();
  if (CODE<Element> >= 0 && y.access == VECTORS_ALONG_TIME)
    return flush_along_time<S, Element, VECTOR<Element>>(buffer, rows, y, tile);
  if (y.access == ELEMENTS_ALONG_TIME)
    return flush_along_time<S, Element, 1>(buffer, rows, y, tile);
  along_channels<S>(buffer, rows, y, tile, [&](char* at, const Real* from) {
    Real value[1] = {*from};
    store<Element>(value, at, y.dtype);
  });
}
