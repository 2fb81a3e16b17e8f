// Tiles: stretches of time of a few channels, between global memory, shared memory and registers.
//
// A thread has STEPS consecutive steps of CHANNELS consecutive channels. LANES threads beside one
// another have consecutive stretches of time, the 32 / LANES groups of them have other channels:
//
//     lane = group * LANES + time_lane      a warp's tile: ROWS channels, LENGTH steps
//
// Where time is contiguous in memory, lanes load along it whatever the alignment of rows is, and
// the tile goes through shared memory; where it is not, threads load what is theirs. Steps are
// numbered in the order of the scan: with `reverse`, step s stands at position length - 1 - s.
#pragma once
#include "arguments.cuh"
#include "numbers.cuh"

template <class Number_, int LANES_>
struct Shape {
  using Number = Number_;
  using Real = RealOf<Number>;
  static constexpr bool SMALL = sizeof(Number) == 4;
  static constexpr int LANES = LANES_, GROUPS = 32 / LANES;
  static constexpr int STEPS = SMALL ? 16 : 8, CHANNELS = SMALL ? 2 : 1;
  static constexpr int LENGTH = LANES * STEPS, ROWS = GROUPS * CHANNELS;
  // Row of a tile in shared memory: eight lanes that read 16 bytes each meet no bank twice.
  static constexpr int PITCH = LENGTH + (LANES < 8 ? 4 * LANES : 0);
  // B and then C of a state; states next to one another do not begin in the same bank.
  static constexpr int COEFFICIENTS = 2 * LENGTH + 4;
};

// Where step l of a tile stands in its row: [STEPS / 4][LANES][4], so that the time lanes' 16-byte
// reads lie side by side.
template <class S>
DEVICE int place_of(int l) {
  return l % S::STEPS / 4 * (4 * S::LANES) + l / S::STEPS * 4 + l % 4;
}

// The row of a channel: those of the groups side by side, for the same reason.
template <class S>
DEVICE int row_of(int channel) {
  return channel % S::CHANNELS * S::GROUPS + channel / S::CHANNELS;
}

// Elements along time, or states of B and C, that one load has; Any has no vectors.
template <class Element>
constexpr int VECTOR = CODE<Element> < 0 ? 1 : 4;

// A warp's tile.
struct Tile {
  long long batch;
  int channel, channels;  // the first one; how many of the ROWS exist, 0 or less if none
  int first, length;      // first step; steps of the sequence
  bool reverse;

  DEVICE char* rows(const Operand& x) const {
    return x.data + batch * x.batch + channel * x.channel;
  }
  // Bytes from position 0 to the `width` positions of steps l, l + 1, ...
  DEVICE long long offset(int l, int width, long long time_step) const {
    return (reverse ? (long long)length - width - first - l : (long long)first + l) * time_step;
  }
};

// WIDTH numbers of memory, in the order of the scan.
template <class Element, int WIDTH, class Number>
DEVICE void load(Number (&x)[WIDTH], const char* at, int dtype, bool reverse) {
  if constexpr (CODE<Element> < 0) {
    x[0] = read<Number>(at, dtype);
  } else {
    const auto pack = *reinterpret_cast<const Pack<Element, WIDTH>*>(at);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) x[i] = widen(pack.items[i]);
    if (WIDTH > 1 && reverse)
#pragma unroll
      for (int i = 0; i < WIDTH / 2; ++i) {
        const Number other = x[i];
        x[i] = x[WIDTH - 1 - i];
        x[WIDTH - 1 - i] = other;
      }
  }
}

template <class Element, int WIDTH, class Real>
DEVICE void store(Real (&x)[WIDTH], char* at, int dtype, bool reverse) {
  if constexpr (CODE<Element> < 0) {
    write_real(x[0], at, dtype);
  } else {
    Real ordered[WIDTH];
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) ordered[i] = reverse ? x[WIDTH - 1 - i] : x[i];
    Pack<Element, WIDTH> pack;
    narrow(ordered, pack);
    *reinterpret_cast<Pack<Element, WIDTH>*>(at) = pack;
  }
}

// Lanes along time, WIDTH steps each: PER_ROW of them to a row, AT_ONCE rows.
template <class S, int WIDTH>
struct AlongTime {
  static constexpr int PER_ROW = S::LENGTH / WIDTH < 32 ? S::LENGTH / WIDTH : 32;
  static constexpr int AT_ONCE = 32 / PER_ROW, CHUNK = PER_ROW * WIDTH, CHUNKS = S::LENGTH / CHUNK;
  static constexpr int PLACES = CHUNK / S::STEPS * 4;  // from a chunk to the next in shared memory
  int row, l, place;                                   // of the lane's first access

  DEVICE AlongTime() {
    const int lane = threadIdx.x % 32;
    row = lane / PER_ROW;
    l = lane % PER_ROW * WIDTH;
    place = place_of<S>(l);
  }
};

// Calls visit(address, buffer, exists) for every WIDTH steps of a warp's tile and of its buffer.
template <class S, int WIDTH, int UNROLL, class Real, class Visit>
DEVICE void tile_along_time(Real* buffer, const Operand& x, const Tile& tile, Visit visit) {
  using Along = AlongTime<S, WIDTH>;
  const Along own;
  char* at = tile.rows(x) + own.row * x.channel + tile.offset(own.l, WIDTH, x.time);
  const long long row_step = Along::AT_ONCE * x.channel;
  const int chunk_step = (tile.reverse ? -Along::CHUNK : Along::CHUNK) * int(x.time);
  const int left = tile.length - tile.first - own.l;
  buffer += row_of<S>(own.row) * S::PITCH + own.place;
#pragma unroll(UNROLL > Along::CHUNKS ? UNROLL / Along::CHUNKS : 1)
  for (int row = 0; row < S::ROWS; row += Along::AT_ONCE, at += row_step)
#pragma unroll UNROLL
    for (int c = 0; c < Along::CHUNKS; ++c)
      // Rows at once are an even number, or there is one: row_of(own.row + row) is a sum.
      visit(at + c * chunk_step, buffer + row_of<S>(row) * S::PITCH + c * Along::PLACES,
            row + own.row < tile.channels && c * Along::CHUNK < left);
}

template <class S, class Element, int WIDTH, int UNROLL, class Real>
DEVICE void fetch_along_time(Real* buffer, const Operand& x, const Tile& tile) {
  tile_along_time<S, WIDTH, UNROLL>(buffer, x, tile, [&](const char* at, Real* to, bool exists) {
    Pack<Real, WIDTH> values = {};
    if (exists) load<Element>(values.items, at, x.dtype, tile.reverse);
    *reinterpret_cast<Pack<Real, WIDTH>*>(to) = values;
  });
}

template <class S, class Element, int WIDTH, int UNROLL, class Real>
DEVICE void flush_along_time(Real* buffer, const Operand& y, const Tile& tile) {
  tile_along_time<S, WIDTH, UNROLL>(buffer, y, tile, [&](char* at, const Real* from, bool exists) {
    auto values = *reinterpret_cast<const Pack<Real, WIDTH>*>(from);
    if (exists) store<Element>(values.items, at, y.dtype, tile.reverse);
  });
}

// ---- u, delta, z, y ----------------------------------------------------------------------------

// Calls visit(row, l) for all steps of all rows of a warp's tile, lanes along the rows.
template <class S, class Visit>
DEVICE void along_rows(Visit visit) {
#pragma unroll 2
  for (int i = threadIdx.x % 32; i < S::ROWS * S::LENGTH; i += 32) visit(i % S::ROWS, i / S::ROWS);
}

// A warp's tile into its buffer, unless `take` reads it directly. The warp waits before `take`.
template <class S, class Element, class Real>
DEVICE void fetch(Real* buffer, const Operand& x, const Tile& tile) {
  if (CODE<Element> >= 0 && x.access == VECTORS_ALONG_CHANNELS) return;
  if (CODE<Element> >= 0 && x.access == VECTORS_ALONG_TIME)
    return fetch_along_time<S, Element, VECTOR<Element>, 8>(buffer, x, tile);
  if (x.access == ELEMENTS_ALONG_TIME)
    return fetch_along_time<S, Element, 1, CODE<Element> < 0 ? 4 : 8>(buffer, x, tile);
  const char* data = tile.rows(x);
  along_rows<S>([&](int row, int l) {
    Real value[1] = {};
    if (row < tile.channels && tile.first + l < tile.length)
      load<Element>(value, data + row * x.channel + tile.offset(l, 1, x.time), x.dtype, false);
    buffer[row_of<S>(row) * S::PITCH + place_of<S>(l)] = value[0];
  });
}

// A thread's part of an array, for what is not along time: first channel and step, which exist?
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
DEVICE void along_own_steps(const Operand& x, const Tile& tile, const Own& own, Visit visit) {
  char* at = tile.rows(x) + own.channel * x.channel + tile.offset(own.step, 1, x.time);
  const long long time_step = tile.reverse ? -x.time : x.time;
#pragma unroll
  for (int t = 0; t < S::STEPS; ++t, at += time_step)
    if (t < own.steps && own.channels > 0) visit(t, at);
}

// Own values of a buffer, 16 bytes at a time or so.
template <class S, class Real>
DEVICE void read_tile(Real (&values)[S::CHANNELS][S::STEPS], const Real* buffer, const Own& own) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; t += 4) {
      const Real* at = buffer + row_of<S>(own.channel + r) * S::PITCH + place_of<S>(own.step + t);
      const auto pack = *reinterpret_cast<const Pack<Real, 4>*>(at);
#pragma unroll
      for (int i = 0; i < 4; ++i) values[r][t + i] = pack.items[i];
    }
}

// The thread's values of a tile that was fetched; zeros where there are none.
template <class S, class Element, class Real>
DEVICE void take(Real (&values)[S::CHANNELS][S::STEPS], const Real* buffer, const Operand& x,
                 const Tile& tile, const Own& own) {
  if (CODE<Element> < 0 || x.access != VECTORS_ALONG_CHANNELS)
    return read_tile<S>(values, buffer, own);
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) values[r][t] = Real(0);
  along_own_steps<S>(x, tile, own, [&](int t, const char* at) {
    Real v[S::CHANNELS];
    load<Element>(v, at, x.dtype, false);
#pragma unroll
    for (int r = 0; r < S::CHANNELS; ++r) values[r][t] = v[r];
  });
}

template <class S, class Real>
DEVICE void write_tile(const Real (&values)[S::CHANNELS][S::STEPS], Real* buffer, const Own& own) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
    for (int t = 0; t < S::STEPS; t += 4) {
      Pack<Real, 4> pack;
#pragma unroll
      for (int i = 0; i < 4; ++i) pack.items[i] = values[r][t + i];
      Real* at = buffer + row_of<S>(own.channel + r) * S::PITCH + place_of<S>(own.step + t);
      *reinterpret_cast<Pack<Real, 4>*>(at) = pack;
    }
}

// The thread's values to memory, by way of the buffer of its warp where that makes long runs.
template <class S, class Element, class Real>
DEVICE void put(const Real (&values)[S::CHANNELS][S::STEPS], Real* buffer, const Operand& y,
                const Tile& tile, const Own& own) {
  if (CODE<Element> >= 0 && y.access == VECTORS_ALONG_CHANNELS)
    return along_own_steps<S>(y, tile, own, [&](int t, char* at) {
      Real v[S::CHANNELS];
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r) v[r] = values[r][t];
      store<Element>(v, at, y.dtype, false);
    });
  write_tile<S>(values, buffer, own);
  __syncwarp();
  if (CODE<Element> >= 0 && y.access == VECTORS_ALONG_TIME) {
    flush_along_time<S, Element, VECTOR<Element>, 8>(buffer, y, tile);
  } else if (y.access == ELEMENTS_ALONG_TIME) {
    flush_along_time<S, Element, 1, 4>(buffer, y, tile);
  } else {
    char* data = tile.rows(y);
    along_rows<S>([&](int row, int l) {
      Real value[1] = {buffer[row_of<S>(row) * S::PITCH + place_of<S>(l)]};
      if (row < tile.channels && tile.first + l < tile.length)
        store<Element>(value, data + row * y.channel + tile.offset(l, 1, y.time), y.dtype, false);
    });
  }
}

// ---- B and C -----------------------------------------------------------------------------------

// B and C of some states, of a block's group (or channel); `shared` rows have B, then C.
template <class Number>
struct Coefficients {
  const Operand &B, &C;
  const char *B_data, *C_data;  // of the first state
  bool constant_b, constant_c;  // each channel has its own, which the state loop multiplies with
  int access;                   // of both
};

// B and C at some offsets, WIDTH of each: ones where they are constant, zeros past the end.
template <class Element, int WIDTH, class Number>
DEVICE void load_both(Number (&B)[WIDTH], Number (&C)[WIDTH], const Coefficients<Number>& x,
                      const char* B_at, const char* C_at, bool exists, bool reverse) {
#pragma unroll
  for (int i = 0; i < WIDTH; ++i) {
    B[i] = x.constant_b ? one(B) : Number{};
    C[i] = x.constant_c ? one(C) : Number{};
  }
  if (exists && !x.constant_b) load<Element>(B, B_at, x.B.dtype, reverse);
  if (exists && !x.constant_c) load<Element>(C, C_at, x.C.dtype, reverse);
}

template <class S, class Element, int WIDTH, class Number>
DEVICE void stage_along_time(Number* shared, const Coefficients<Number>& x, const Tile& tile,
                             int states) {
  using Along = AlongTime<S, WIDTH>;
  const Along own;
  const int left = tile.length - tile.first - own.l, sign = tile.reverse ? -Along::CHUNK : Along::CHUNK;
  const long long B_start = tile.offset(own.l, WIDTH, x.B.time);
  const long long C_start = tile.offset(own.l, WIDTH, x.C.time);
  constexpr int UNROLL = Along::CHUNKS < 4 ? 4 / Along::CHUNKS : 1;
#pragma unroll UNROLL
  for (int n = threadIdx.x / 32 * Along::AT_ONCE + own.row; n < states;
       n += blockDim.x / 32 * Along::AT_ONCE)
#pragma unroll 4
    for (int c = 0; c < Along::CHUNKS; ++c) {
      Pack<Number, WIDTH> B, C;
      load_both<Element>(B.items, C.items, x, x.B_data + n * x.B.state + B_start + c * sign * x.B.time,
                         x.C_data + n * x.C.state + C_start + c * sign * x.C.time,
                         c * Along::CHUNK < left, tile.reverse);
      Number* to = shared + n * S::COEFFICIENTS + own.place + c * Along::PLACES;
      *reinterpret_cast<Pack<Number, WIDTH>*>(to) = B;
      *reinterpret_cast<Pack<Number, WIDTH>*>(to + S::LENGTH) = C;
    }
}

// Lanes along the states, which are contiguous or nothing is.
template <class S, class Element, int WIDTH, class Number>
DEVICE void stage_along_states(Number* shared, const Coefficients<Number>& x, const Tile& tile,
                               int states) {
  int shift = 0;
  while (WIDTH << shift < states) ++shift;
  const int n = (threadIdx.x & ((1 << shift) - 1)) * WIDTH;
  if (n >= states) return;
#pragma unroll 2
  for (int l = threadIdx.x >> shift; l < S::LENGTH; l += blockDim.x >> shift) {
    Number B[WIDTH], C[WIDTH];
    load_both<Element>(B, C, x, x.B_data + n * x.B.state + tile.offset(l, 1, x.B.time),
                       x.C_data + n * x.C.state + tile.offset(l, 1, x.C.time),
                       tile.first + l < tile.length, false);
    Number* to = shared + n * S::COEFFICIENTS + place_of<S>(l);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i, to += S::COEFFICIENTS) {
      to[0] = B[i];
      to[S::LENGTH] = C[i];
    }
  }
}

// B and C of a tile, `states` of them (at most 16), by all warps of the block.
template <class S, class Element, class Number>
DEVICE void stage(Number* shared, const Coefficients<Number>& x, const Tile& tile, int states) {
  constexpr int WIDTH = VECTOR<Element>;
  if (WIDTH > 1 && x.access == VECTORS_ALONG_TIME)
    stage_along_time<S, Element, WIDTH>(shared, x, tile, states);
  else if (x.access >= ELEMENTS_ALONG_TIME)
    stage_along_time<S, Element, 1>(shared, x, tile, states);
  else if (WIDTH > 1 && x.access == VECTORS_ALONG_CHANNELS)
    stage_along_states<S, Element, WIDTH>(shared, x, tile, states);
  else
    stage_along_states<S, Element, 1>(shared, x, tile, states);
}

// The thread's own steps of a staged row.
template <class S, int COUNT, class Number>
DEVICE void read_row(Number (&values)[S::STEPS], const Number* row) {
#pragma unroll
  for (int t = 0; t < COUNT; t += 4) {
    const auto pack = *reinterpret_cast<const Pack<Number, 4>*>(row + t * S::LANES);
#pragma unroll
    for (int i = 0; i < 4; ++i) values[t + i] = pack.items[i];
  }
}
