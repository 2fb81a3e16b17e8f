// Scans, sums and compaction with the functions of a warp, and sums with atomics.

// out[i] = in[0] + ... + in[i] within each warp, two ways: with shuffles, through shared memory.
extern "C" __global__ void warp_sums(const float* in, float* shuffled, float* shared) {
  __shared__ float stage[64];
  const int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
  float sum = in[i];
  for (int by = 1; by < 32; by *= 2) {
    const float before = __shfl_up_sync(0xffffffff, sum, by);
    if (lane >= by) sum += before;
  }
  shuffled[i] = sum;

  float* own = stage + threadIdx.x;
  *own = in[i];
  for (int by = 1; by < 32; by *= 2) {
    __syncwarp();
    const float before = lane >= by ? own[-by] : 0.0f;
    __syncwarp();
    *own += before;
  }
  shared[i] = *own;
}

// Neighbours swap their values through shared memory, pair by pair, again and again.
extern "C" __global__ void swap_pairs(float* x, int times) {
  __shared__ float s[64];
  const int i = threadIdx.x;
  const unsigned pair = 3u << i % 32 / 2 * 2;
  float own = x[blockIdx.x * 64 + i];
  for (int k = 0; k < times + i / 8; ++k) {
    s[i] = own;
    __syncwarp(pair);
    own = s[i ^ 1];
    __syncwarp(pair);
  }
  x[blockIdx.x * 64 + i] = own;
}

// The values above `limit`, in order, block by block; count[b] = how many.
extern "C" __global__ void compact(const float* in, float limit, float* out, int* count) {
  __shared__ int of_warp[32];
  const int thread = threadIdx.x, warp = thread / 32;
  const float x = in[blockIdx.x * blockDim.x + thread];
  const unsigned kept = __ballot_sync(0xffffffff, x > limit);
  if (thread % 32 == 0) of_warp[warp] = __popc(kept);
  const int total = __syncthreads_count(x > limit);
  int at = __popc(kept & ((1u << thread % 32) - 1));
  for (int w = 0; w < warp; ++w) at += of_warp[w];
  if (x > limit) out[blockIdx.x * blockDim.x + at] = x;
  if (thread == 0) count[blockIdx.x] = total;
}

// How often each byte occurs, first in shared memory, then for all blocks; and the largest.
extern "C" __global__ void histogram(const unsigned char* in, int size, int* counts, int* largest) {
  __shared__ int own[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x) own[i] = 0;
  __syncthreads();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) {
    atomicAdd(&own[in[i]], 1);
    atomicMax(largest, int(in[i]));
  }
  __syncthreads();
  for (int k = threadIdx.x; k < 256; k += blockDim.x)
    if (own[k]) atomicAdd(&counts[k], own[k]);
}
