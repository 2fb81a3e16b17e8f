// One mistake each. All take 64 floats, (1, 2, ..., 64), and run with 64 threads (faults.py).

#define KERNEL extern "C" __global__ void

// The values of the other warp, which may not have come so far.
KERNEL missing_barrier(float* x) {
  __shared__ float s[64];
  const int i = threadIdx.x;
  s[i] = x[i];
  x[i] = s[63 - i];
}

KERNEL missing_syncwarp(float* x) {
  __shared__ float s[64];
  const int i = threadIdx.x;
  s[i] = x[i];
  x[i] = s[i ^ 1];
}

// The barrier is there, but its readers are overtaken by the next writes.
KERNEL missing_second_barrier(float* x) {
  __shared__ float s[64];
  const int i = threadIdx.x;
  for (int k = 0; k < 2; ++k) {
    s[i] = x[i];
    __syncthreads();
    x[i] = s[(i + 1) % 64];
  }
}

// __syncwarp orders the lanes of a warp, not the warps.
KERNEL syncwarp_for_a_barrier(float* x) {
  __shared__ float s[64];
  const int i = threadIdx.x;
  s[i] = x[i];
  __syncwarp();
  x[i] = s[63 - i];
}

// Shuffles order no memory.
KERNEL shuffle_for_a_syncwarp(float* x) {
  __shared__ float s[64];
  const int i = threadIdx.x;
  s[i] = x[i];
  const int other = __shfl_xor_sync(0xffffffff, i, 1);
  x[i] = s[other];
}

KERNEL global_race(float* x) { x[0] += threadIdx.x; }

KERNEL cross_block_race(float* x) {
  if (threadIdx.x == 0) x[0] += 1.0f;
}

// Atomic in one block, plain in the other.
KERNEL half_atomic(float* x) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) atomicAdd(x, 1.0f);
  if (blockIdx.x == 1) x[0] = 0.0f;
}

// Barriers order the threads of a block, not the blocks.
KERNEL cross_block_race_between_barriers(float* x) {
  __shared__ float s[64];
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  __syncwarp();
  if (threadIdx.x == 1 + blockIdx.x) x[0] = s[0];
  __syncwarp();
  __syncthreads();
}

// Lanes 0 and 1 wait for one another, and so do 2 and 3, which read what 0 and 1 write.
KERNEL race_of_groups(float* x) {
  __shared__ float s[64];
  const int i = threadIdx.x;
  if (i >= 4) return;
  if (i < 2) s[i] = x[i];
  __syncwarp(i < 2 ? 0x3 : 0xc);
  if (i >= 2) x[i] = s[i - 2];
}

KERNEL uninitialised_shared(float* x) {
  __shared__ float s[64];
  const int i = threadIdx.x;
  if (i < 60) s[i] = x[i];
  __syncthreads();
  x[i] = s[i];
}

KERNEL divergent_barrier(float* x) {
  if (threadIdx.x < 32) {
    __syncthreads();
    x[0] = 0.0f;
  } else {
    __syncthreads();
  }
}

KERNEL different_barriers(float* x) {
  if (threadIdx.x < 32) __syncthreads(); else x[0] = __syncthreads_count(1);
}

KERNEL exit_before_barrier(float* x) {
  if (threadIdx.x == 5) return;
  __syncthreads();
  x[threadIdx.x] = 0.0f;
}

KERNEL missing_lanes(float* x) {
  const int i = threadIdx.x;
  if (i < 16) x[i] = __shfl_down_sync(0xffffffff, x[i], 1);
}

KERNEL lanes_at_a_barrier(float* x) {
  if (threadIdx.x == 0) x[0] = __shfl_sync(0x3, x[0], 1);
  __syncthreads();
}

KERNEL lane_not_in_its_mask(float* x) {
  x[threadIdx.x] = __shfl_xor_sync(0x0000ffff, x[threadIdx.x], 1);
}

// With 40 threads.
KERNEL lanes_that_do_not_exist(float* x) {
  if (threadIdx.x >= 32) x[0] = __ballot_sync(0xffff, 1);
}

KERNEL different_masks(float* x) {
  if (threadIdx.x < 2) x[threadIdx.x] = __shfl_sync(threadIdx.x ? 0x3 : 0x7, x[0], 0);
  if (threadIdx.x == 2) x[2] = __shfl_sync(0x7, x[2], 0);
}

KERNEL different_shuffles(float* x) {
  if (threadIdx.x < 16) x[0] = __shfl_up_sync(0xffffffff, x[0], 1);
  else x[1] = __shfl_down_sync(0xffffffff, x[1], 1);
}

KERNEL odd_width(float* x) { x[0] = __shfl_sync(0xffffffff, x[0], 0, 12); }

// Half of the lanes read from lanes that take no part.
KERNEL inactive_source(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0xffff, x[threadIdx.x], threadIdx.x + 8);
}

KERNEL global_read_past_the_end(float* x) { x[0] = x[threadIdx.x + 1]; }

KERNEL global_write_past_the_end(float* x) { x[threadIdx.x + 1] = 0.0f; }

KERNEL static_past_the_end(float* x) {
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = s[0];
}

// Through a pointer, where the size is not known.
KERNEL static_past_the_end_by_pointer(float* x) {
  __shared__ float s[32];
  float* p = s;
  p[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = p[0];
}

// With 63 floats.
KERNEL dynamic_past_the_end(float* x) {
  extern __shared__ float s[];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = s[0];
}

KERNEL dynamic_before_the_start(float* x) {
  extern __shared__ float s[];
  s[int(threadIdx.x) - 1] = x[threadIdx.x];
}

// Launched without any.
KERNEL dynamic_not_asked_for(float* x) {
  extern __shared__ float s[];
  s[threadIdx.x] = x[threadIdx.x];
}

KERNEL integer_overflow(float* x) {
  const int rows = 1 << 20, row = int(threadIdx.x) * 4096;
  x[0] = float(row * rows);
}

KERNEL misaligned_vector(float* x) {
  const float4 v = *reinterpret_cast<const float4*>(x + threadIdx.x);
  if (v.x < 0.0f) x[0] = v.y;
}

// Its array may begin anywhere that floats may.
KERNEL misaligned_shared_vector(float* x) {
  __shared__ float s[64];
  *reinterpret_cast<float4*>(s) = make_float4(1.0f, 2.0f, 3.0f, 4.0f);
  x[0] = s[0];
}

KERNEL null_pointer(float*) {
  float* none = nullptr;
  none[threadIdx.x] = 0.0f;
}

KERNEL large_shift(float* x) { x[0] = float(1u << threadIdx.x); }


KERNEL trap(float*) {
  if (threadIdx.x == 7) __trap();
}

KERNEL division_by_zero(float* x) { x[0] = float(1 / int(threadIdx.x)); }

// Floats and vectors: which alignment holds?
KERNEL different_alignments(float* x) {
  extern __shared__ float s[];
  extern __shared__ float4 vectors[];
  x[0] = s[0] + vectors[0].x;
}

KERNEL too_much_static(float* x) {
  __shared__ float a[6144];
  __shared__ float b[6145];
  x[0] = a[0] + b[0];
}

// 24 KiB, and 32 KiB of dynamic memory that were not asked for.
KERNEL too_much_together(float* x) {
  __shared__ float a[6144];
  extern __shared__ float s[];
  x[0] = a[0] + s[0];
}
