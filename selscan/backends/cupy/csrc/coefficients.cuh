// B and C of a tile in shared memory, [state][B | C][step], for all warps of a block.
#pragma once
#include "tiles.cuh"

// B and C of some states, of a block's group (or channel).
template <class Number>
struct Coefficients {
  const Operand &B, &C;
  const char *B_data, *C_data;  // of the first state
  bool constant_b, constant_c;  // each channel has its own, which the state loop multiplies with
};

// Lanes along time, WIDTH positions each. Both are zero past the end; C is of no use there, but
// what is made with it must be finite.
template <class S, class Element, int WIDTH, bool WHOLE, class Number>
DEVICE void stage_along_time(Number* shared, const Coefficients<Number>& x, const Tile& tile,
                             int states) {
  using Along = AlongTime<S, WIDTH>;
  constexpr int TOGETHER = WIDTH > 1 || Along::CHUNKS < 4 ? 4 : 8;  // of B, and as many of C
  constexpr int ROUNDS = Along::AT_ONCE < 4 ? 4 / Along::AT_ONCE : 1;  // 16 states, four warps
  constexpr int WANTED = Along::CHUNKS < TOGETHER ? TOGETHER / Along::CHUNKS : 1;
  constexpr int UNROLL = WANTED < ROUNDS ? WANTED : ROUNDS;
  const Along own;
  const int position = tile.start<S>() + own.l;
  const int B_size = size_along_time<Element>(x.B), C_size = size_along_time<Element>(x.C);
  const int first = threadIdx.x / 32 * Along::AT_ONCE + own.row;
  const int step = blockDim.x / 32 * Along::AT_ONCE;
  const char* B_at = x.B_data + first * x.B.state + (long long)position * B_size;
  const char* C_at = x.C_data + first * x.C.state + (long long)position * C_size;
  // In shared memory steps are in the order of the scan.
  shared += first * S::COEFFICIENTS +
            place_of<S>(tile.reverse ? S::LENGTH - WIDTH - own.l : own.l);
  const int places = tile.reverse ? -Along::PLACES : Along::PLACES;
#pragma unroll UNROLL
  for (int n = first; n < states; n += step) {
#pragma unroll(WHOLE ? Along::CHUNKS : 4)
    for (int c = 0; c < Along::CHUNKS; ++c) {
      Pack<Number, WIDTH> B, C;
      if (WHOLE || unsigned(position + c * Along::CHUNK) < unsigned(tile.length)) {
        load<Element>(B.items, B_at + c * Along::CHUNK * B_size, x.B.dtype);
        load<Element>(C.items, C_at + c * Along::CHUNK * C_size, x.C.dtype);
        turn_if(tile.reverse, B.items);
        turn_if(tile.reverse, C.items);
      } else {
        B = C = {};
      }
      *reinterpret_cast<Pack<Number, WIDTH>*>(shared + c * places) = B;
      *reinterpret_cast<Pack<Number, WIDTH>*>(shared + c * places + S::LENGTH) = C;
    }
    B_at += step * x.B.state;
    C_at += step * x.C.state;
    shared += step * S::COEFFICIENTS;
  }
}

// Lanes along the states, which are contiguous or nothing is. Constant ones are replaced by 1.
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
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      B[i] = x.constant_b ? one(B) : Number{};
      C[i] = x.constant_c ? one(C) : Number{};
    }
    if (tile.first + l < tile.length) {
      const char* B_at = x.B_data + n * x.B.state + tile.position(l) * x.B.time;
      const char* C_at = x.C_data + n * x.C.state + tile.position(l) * x.C.time;
      if (!x.constant_b) load<Element>(B, B_at, x.B.dtype);
      if (!x.constant_c) load<Element>(C, C_at, x.C.dtype);
    }
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
  const int access = min(x.B.access, x.C.access);  // 0 for constant ones
  if (WIDTH > 1 && access == VECTORS_ALONG_TIME) {
    if (tile.all_steps<S>())
      stage_along_time<S, Element, WIDTH, true>(shared, x, tile, states);
    else
      stage_along_time<S, Element, WIDTH, false>(shared, x, tile, states);
  } else if (access >= ELEMENTS_ALONG_TIME) {
    if (WIDTH > 1 && tile.all_steps<S>())
      stage_along_time<S, Element, 1, true>(shared, x, tile, states);
    else
      stage_along_time<S, Element, 1, false>(shared, x, tile, states);
  } else if (WIDTH > 1 && access == VECTORS_ALONG_CHANNELS) {
    stage_along_states<S, Element, WIDTH>(shared, x, tile, states);
  } else {
    stage_along_states<S, Element, 1>(shared, x, tile, states);
  }
}

// The thread's own steps of a staged row, the first COUNT.
template <class S, int COUNT, class Number>
DEVICE void read_row(Number (&values)[COUNT], const Number* row) {
#pragma unroll
  for (int t = 0; t < COUNT; t += 4) {
    const auto pack = *reinterpret_cast<const Pack<Number, 4>*>(row + t * S::LANES);
#pragma unroll
    for (int i = 0; i < 4; ++i) values[t + i] = pack.items[i];
  }
}
