// Blocks that meet an infinity or a NaN do their work again, one step after the other.
//
// Lanes and segments of time make maps of states, h -> factor h + end, and zeros stand for what is
// not there: a state that restarts, the one before the first step, padding, steps past the end,
// channels beyond the last one. Where all is finite that is the same. Else 0 * infinity is NaN, and
// a factor may vanish where its decays do not. So a block looks at what it has made. If something
// is not finite, or an A is not, it begins anew: in order, with nothing in the place of what is not
// there. So nothing that a launch reads may be written by it.
#pragma once
#include "numbers.cuh"

// Calls block(in_order), which says whether all is finite, once or twice.
template <class Block>
DEVICE void run(Block block) {
  int in_order = 0;
#pragma unroll 1
  for (;;) {
    pin(in_order);  // else the block might be compiled twice
    const bool finite = __syncthreads_and(block(in_order != 0));
    // A vote, although all agree: the compiler knows by it that warps stay together.
    if (__all_sync(0xffffffffu, finite || in_order != 0)) return;
    in_order = 1;
  }
}

// Adds no more than zeros, unless something is not finite.
template <int K, class Number>
DEVICE void add_zeros(Number& zero, const Number (&x)[K]) {
#pragma unroll
  for (int i = 0; i < K; ++i) zero = add_scaled(RealOf<Number>(0), x[i], zero);
}
