// Parts of dB and dC: what a block adds to them, in memory of its own.
#pragma once
#include "backward.cuh"
#include "run.cuh"

// The block's parts of dB and dC, which are null where B or C is constant.
struct Parts {
  const Operand &B, &C;
  char *B_data, *C_data;  // of the first state
  bool adds;              // to what is there
};

// The first number to the end.
template <int K, class Number>
DEVICE void turn(Number (&x)[K]) {
  const Number first = x[0];
#pragma unroll
  for (int i = 0; i + 1 < K; ++i) x[i] = x[i + 1];
  x[K - 1] = first;
}

// Four steps of a part, of which `steps` exist.
template <class Number>
DEVICE void add_to_part(Number (&sums)[4], const Operand& x, char* at, long long step, int steps,
                        bool adds) {
  if (x.dtype == OWN_CODE<Number>) {
#pragma unroll
    for (int i = 0; i < 4; ++i, at += step)
      if (i < steps) {
        Number& part = *reinterpret_cast<Number*>(at);
        part = adds ? add(part, sums[i]) : sums[i];
      }
  } else {
#pragma unroll 1
    for (int i = 0; i < 4; ++i, at += step) {
      if (i < steps) {
        if (adds) sums[0] = add(read<Number>(at, x.dtype), sums[0]);
        write_result(sums[0], at, x.dtype);
      }
      turn<4>(sums);
    }
  }
}

// Sums of a tile over the warps that have channels, into the block's parts. Threads beside one
// another take steps, four each, or states if those are neighbours in memory. Whether all are
// finite.
template <class S>
DEVICE bool flush_sums(const Memory<S>& memory, const Parts& parts, const Tile& tile, int states,
                       int warps) {
  using Number = typename S::Number;
  constexpr int FOURS = S::LENGTH / 4, BOTH = 2 * S::LENGTH;
  const Operand& x = parts.B_data ? parts.B : parts.C;
  const bool along_states = x.state != 0 && x.state < x.time;
  int shift = 0;
  while (along_states && 1 << shift < states) ++shift;
  const int items = along_states ? FOURS << shift : FOURS * states;
  Number zero = {};
  for (int i = threadIdx.x; i < items; i += blockDim.x) {
    const int n = along_states ? i & ((1 << shift) - 1) : i / FOURS;
    const int l = (along_states ? i >> shift : i % FOURS) * 4;
    const int steps = min(4, tile.length - tile.first - l);
    if (steps <= 0 || n >= states) continue;
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
    const unsigned position = tile.position(l), state = n;
    if (parts.B_data)
      add_to_part(B, parts.B, parts.B_data + state * parts.B.state + position * parts.B.time,
                  tile.reverse ? -parts.B.time : parts.B.time, steps, parts.adds);
    if (parts.C_data)
      add_to_part(C, parts.C, parts.C_data + state * parts.C.state + position * parts.C.time,
                  tile.reverse ? -parts.C.time : parts.C.time, steps, parts.adds);
  }
  return is_finite(zero);
}
