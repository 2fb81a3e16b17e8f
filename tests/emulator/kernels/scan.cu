// A plain selective scan, to try the emulator with: templates, a struct by value, a quoted include,
// static and dynamic shared memory, vector loads, shuffles and barriers.
//
//   h[t] = exp(delta[t] A) h[t-1] + delta[t] u[t] B[t],   y[t] = sum over n of C[t] h[t]
//
// u, delta, y: (b, d, l); A: (d, n); B, C: (b, n, l); last: (b, d, n). A block has one (b, d); a
// thread has ITEMS steps of each tile.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "affine.cuh"

struct Problem {
  const void *u, *delta, *B, *C;
  const float* A;
  void* y;
  float* last;
  int channels, length, states;
};

template <class T, int ITEMS>
struct alignas(sizeof(T) * ITEMS) Pack {
  T items[ITEMS];
};

// ITEMS values; zeros past the end. One load where rows keep the vectors aligned.
template <class T, int ITEMS>
__device__ void load(float (&values)[ITEMS], const T* row, int start, int length) {
  if (length % ITEMS == 0 && start + ITEMS <= length) {
    const auto pack = *reinterpret_cast<const Pack<T, ITEMS>*>(row + start);
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) values[i] = float(pack.items[i]);
  } else {
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {
      values[i] = 0.0f;
      if (start + i < length) values[i] = float(row[start + i]);
    }
  }
}

template <class T, int THREADS, int ITEMS>
__global__ void __launch_bounds__(THREADS) scan(const __grid_constant__ Problem p) {
  constexpr int WARPS = THREADS / 32;
  __shared__ Affine of_warp[WARPS];
  extern __shared__ __align__(16) float state[];  // n
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const long long row = (long long)blockIdx.x * p.length, channel = blockIdx.x % p.channels;
  const long long parameters = (long long)blockIdx.x / p.channels * p.states * p.length;
  for (int n = thread; n < p.states; n += THREADS) state[n] = 0.0f;

  for (int tile = 0; tile < p.length; tile += THREADS * ITEMS) {
    const int start = tile + thread * ITEMS;
    float u[ITEMS], delta[ITEMS], y[ITEMS] = {};
    load(u, static_cast<const T*>(p.u) + row, start, p.length);
    load(delta, static_cast<const T*>(p.delta) + row, start, p.length);
    for (int n = 0; n < p.states; ++n) {
      const float A = p.A[channel * p.states + n] * 1.4426950408889634f;
      const long long at = parameters + (long long)n * p.length;
      float B[ITEMS], C[ITEMS];
      load(B, static_cast<const T*>(p.B) + at, start, p.length);
      load(C, static_cast<const T*>(p.C) + at, start, p.length);
      Affine maps[ITEMS], own = {1.0f, 0.0f};
#pragma unroll
      for (int i = 0; i < ITEMS; ++i) {
        maps[i] = {exp2_fast(delta[i] * A), delta[i] * u[i] * B[i]};
        own = then(own, maps[i]);
      }
      const Affine inclusive = warp_scan(own, lane);
      if (lane == 31) of_warp[warp] = inclusive;
      __syncthreads();  // every warp's map is there, and so is the state
      Affine before = {1.0f, state[n]};
      for (int w = 0; w < warp; ++w) before = then(before, of_warp[w]);
      const Affine previous = shift_up(inclusive, 1);
      if (lane > 0) before = then(before, previous);
      float h = before.input;
#pragma unroll
      for (int i = 0; i < ITEMS; ++i) {
        h = fmaf(maps[i].decay, h, maps[i].input);
        y[i] = fmaf(h, C[i], y[i]);
      }
      __syncthreads();  // all have read the state and the warps' maps
      if (thread == THREADS - 1) state[n] = h;
    }
#pragma unroll
    for (int i = 0; i < ITEMS; ++i)
      if (start + i < p.length) static_cast<T*>(p.y)[row + start + i] = T(y[i]);
  }
  __syncthreads();
  for (int n = thread; n < p.states; n += THREADS)
    p.last[(long long)blockIdx.x * p.states + n] = state[n];
}
