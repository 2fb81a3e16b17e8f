// The map h -> decay h + input, and its scan over the lanes of a warp.
#pragma once

struct Affine {
  float decay, input;
};

// First `before`, then `after`.
__device__ __forceinline__ Affine then(Affine before, Affine after) {
  return {before.decay * after.decay, fmaf(after.decay, before.input, after.input)};
}

__device__ __forceinline__ Affine shift_up(Affine map, int by) {
  return {__shfl_up_sync(0xffffffff, map.decay, by), __shfl_up_sync(0xffffffff, map.input, by)};
}

// Inclusive: every lane gets the maps up to its own, one after the other.
__device__ __forceinline__ Affine warp_scan(Affine map, int lane) {
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const Affine before = shift_up(map, by);
    if (lane >= by) map = then(before, map);
  }
  return map;
}

__device__ __forceinline__ float exp2_fast(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return emulator::ex2_approx_ftz(x);
#endif
}
