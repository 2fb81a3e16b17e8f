// Tiles: stretches of time of a few channels, between global memory, shared memory and registers.
//
// A thread has STEPS consecutive steps of CHANNELS consecutive channels. LANES threads beside one
// another have consecutive stretches of time, the 32 / LANES groups of them have other channels:
//
//     lane = group * LANES + time_lane      a warp's tile: ROWS channels, LENGTH steps
//
// Steps are numbered in the order of the scan: with `reverse`, step s stands at position
// length - 1 - s of memory.
#pragma once
#include "arguments.cuh"
#include "elements.cuh"

template <class Number_, int LANES_, int STEPS_, int CHANNELS_>
struct AnyShape {
  using Number = Number_;
  using Real = RealOf<Number>;
  static constexpr int LANES = LANES_, GROUPS = 32 / LANES;
  static constexpr int STEPS = STEPS_, CHANNELS = CHANNELS_;
  static constexpr int LENGTH = LANES * STEPS, ROWS = GROUPS * CHANNELS;
  // Row of a tile in shared memory: eight lanes that read 16 bytes each meet no bank twice.
  static constexpr int PITCH = LENGTH + (LANES < 8 ? 4 * LANES : 0);
  // B and then C of a state; states next to one another do not begin in the same bank.
  static constexpr int COEFFICIENTS = 2 * LENGTH + 4;
};

template <class Number>
constexpr bool SMALL = sizeof(Number) == 4;
// Of the forward.
template <class Number, int LANES>
using Shape = AnyShape<Number, LANES, SMALL<Number> ? 16 : 8, SMALL<Number> ? 2 : 1>;
// Of the backward: a tile has CHUNK steps whatever the numbers are.
constexpr int CHUNK = 32;
template <class Number>
using BackwardShape = AnyShape<Number, sizeof(Number) == 16 ? 8 : 4,
                               sizeof(Number) == 16 ? 4 : 8, SMALL<Number> ? 2 : 1>;

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
  // The position of step l.
  DEVICE int position(int l) const { return reverse ? length - 1 - first - l : first + l; }
  // The first position of all; less than 0 or past the end where the tile is not whole.
  template <class S>
  DEVICE int start() const {
    return reverse ? length - first - S::LENGTH : first;
  }
  template <class S>
  DEVICE bool all_steps() const {
    return length - first >= S::LENGTH;
  }
};

// WIDTH numbers of memory.
template <class Element, int WIDTH, class Number>
DEVICE void load(Number (&x)[WIDTH], const char* at, int dtype) {
  if constexpr (CODE<Element> < 0) {
    x[0] = read<Number>(at, dtype);
  } else {
    const auto pack = *reinterpret_cast<const Pack<Element, WIDTH>*>(at);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) x[i] = widen(pack.items[i]);
  }
}

template <class Element, int WIDTH, class Real>
DEVICE void store(Real (&x)[WIDTH], char* at, int dtype) {
  if constexpr (CODE<Element> < 0) {
    write_real(x[0], at, dtype);
  } else {
    Pack<Element, WIDTH> pack;
    narrow(x, pack);
    *reinterpret_cast<Pack<Element, WIDTH>*>(at) = pack;
  }
}

// The order of values turned around, in a branch: not a selection for each value, which would be
// paid for without `wanted` too.
template <int K, class Number>
DEVICE void turn_if(bool wanted, Number (&x)[K]) {
  if constexpr (K > 1)
    if (wanted) {
#pragma unroll
      for (int i = 0; i < K / 2; ++i) {
        const Number other = x[i];
        x[i] = x[K - 1 - i];
        x[K - 1 - i] = other;
      }
      pin(x[0]);
    }
}

// Lanes along the LENGTH positions of a row, WIDTH each: PER_ROW of them to a row, AT_ONCE rows.
template <class S, int WIDTH>
struct AlongTime {
  // Single elements in at least two chunks, which share the arithmetic of an address.
  static constexpr int MOST = S::LENGTH / WIDTH / (WIDTH == 1 ? 2 : 1);
  static constexpr int PER_ROW = MOST < 32 ? MOST : 32, AT_ONCE = 32 / PER_ROW;
  static constexpr int CHUNK = PER_ROW * WIDTH, CHUNKS = S::LENGTH / CHUNK;
  // From a chunk to the next in shared memory; there may be two for the steps of a thread.
  static constexpr int PLACES = CHUNK < S::STEPS ? CHUNK * S::LANES : CHUNK / S::STEPS * 4;
  int row, l;                                          // of the lane's first access

  DEVICE AlongTime() {
    const int lane = threadIdx.x % 32;
    row = lane / PER_ROW;
    l = lane % PER_ROW * WIDTH;
  }
};

// Bytes of an element along time, where time is contiguous.
template <class Element>
DEVICE int size_along_time(const Operand& x) {
  if constexpr (CODE<Element> < 0) return int(x.time);
  else return sizeof(Element);
}
