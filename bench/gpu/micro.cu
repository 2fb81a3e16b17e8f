// What a device can do at most: copies, exponentials, reads of shared memory and of the L2 cache.
//
// Each kernel does one thing, many times, and writes a number that depends on all of it, so that
// the compiler cannot leave it out. `rounds` is how many times; chains are independent of another.

constexpr int CHAINS = 8;

struct alignas(16) Four {
  unsigned a, b, c, d;
};

__device__ __forceinline__ float exp2_of(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return emulator::ex2_approx_ftz(x);
#endif
}

__device__ __forceinline__ void mix(unsigned& sum, Four x) {
  sum ^= x.a ^ x.b;
  sum ^= x.c ^ x.d;
}

// `count` times 16 bytes from one place to another, AT_ONCE loads before a store.
template <int AT_ONCE>
__global__ void __launch_bounds__(512) copy(const Four* from, Four* to, long long count) {
  const long long step = (long long)gridDim.x * blockDim.x;
#pragma unroll 1
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count;
       i += AT_ONCE * step) {
    Four x[AT_ONCE];
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k)
      if (i + k * step < count) x[k] = from[i + k * step];
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k)
      if (i + k * step < count) to[i + k * step] = x[k];
  }
}

// x = 2^-x, and FMAS times y = y x + x, in CHAINS chains for each thread. With the negation, which
// is an instruction of its own, FMAS + 1 others come with each exponential.
template <int FMAS>
__global__ void __launch_bounds__(256) exponentials(float* sums, int rounds) {
  float x[CHAINS], y[CHAINS];
#pragma unroll
  for (int i = 0; i < CHAINS; ++i) {
    x[i] = 0.125f * float(i);
    y[i] = 0.0f;
  }
#pragma unroll 1
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) {
      x[i] = exp2_of(-x[i]);
#pragma unroll
      for (int k = 0; k < FMAS; ++k) y[i] = fmaf(y[i], x[i], x[i]);
    }
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < CHAINS; ++i) sum += x[i] + y[i];
  sums[(long long)blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// A warp reads 16 bytes at LANES addresses side by side; each of them is read by 32 / LANES lanes.
template <int LANES>
__global__ void __launch_bounds__(256) shared_reads(const Four* data, unsigned* sums, int rounds) {
  constexpr int SIZE = 512;
  __shared__ __align__(16) Four numbers[SIZE];
  for (int i = threadIdx.x; i < SIZE; i += blockDim.x) numbers[i] = data[i];
  __syncthreads();
  const Four* at = numbers + threadIdx.x % LANES;
  unsigned sum = 0;
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
    const Four* here = at + (round & 7) * LANES;  // below (8 + CHAINS) LANES = SIZE
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) mix(sum, here[i * LANES]);
  }
  sums[(long long)blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// All blocks read all of `count` times 16 bytes, past the L1 cache, again and again.
template <int CHAINS>
__global__ void __launch_bounds__(256)
    cache_reads(const Four* data, unsigned* sums, int count, int rounds) {
  const int first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
  unsigned sum = 0;
  int place = first % count;
#pragma unroll 1
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) {
      const uint4 x = __ldcg(reinterpret_cast<const uint4*>(data) + place);
      mix(sum, {x.x, x.y, x.z, x.w});
      place += step;
      if (place >= count) place -= count;
    }
  }
  sums[first] = sum;
}
