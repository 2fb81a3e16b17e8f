// What reaches a kernel: arguments, indices, the order of threads.

struct Mixed {
  const float* values;
  signed char small;
  double large;
  short pair[2];
  int index;
};

extern "C" __global__ void arguments(long long integer, double real, bool truth, int small,
                                     unsigned long long large, const __grid_constant__ Mixed mixed,
                                     const float* none, double* out) {
  out[0] = double(integer);
  out[1] = real;
  out[2] = truth;
  out[3] = small;
  out[4] = double(large);
  out[5] = mixed.values[mixed.index];
  out[6] = mixed.small;
  out[7] = mixed.large;
  out[8] = mixed.pair[1];
  out[9] = none == nullptr;
}

extern "C" __global__ void one_int(int) {}

struct alignas(16) Aligned {
  float values[4];
};
extern "C" __global__ void aligned(char, const Aligned a, float* out) { out[0] = a.values[3]; }

// Each thread writes its block and itself where a row-major walk comes to it.
extern "C" __global__ void indices(int4* out) {
  const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const int threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] =
      make_int4(block, threadIdx.x, threadIdx.y, threadIdx.z * warpSize);
}

// The blocks and threads as they come.
extern "C" __global__ void arrivals(int* count, int* out) {
  out[atomicAdd(count, 1)] = blockIdx.x * blockDim.x + threadIdx.x;
}

template <int THREADS>
__global__ void
__launch_bounds__(THREADS * (2 > 1 ? 2 : 1), /* blocks: */ 4)
    bounded(float* x) {
  x[threadIdx.x] = THREADS;
}

// All of the dynamic shared memory, and a little static.
extern "C" __global__ void large(int bytes, int* sum) {
  __shared__ int total;
  extern __shared__ __align__(16) unsigned char memory[];
  if (threadIdx.x == 0) total = 0;
  for (int i = threadIdx.x; i < bytes; i += blockDim.x) memory[i] = 1;
  __syncthreads();
  for (int i = threadIdx.x; i < bytes; i += blockDim.x) atomicAdd(&total, memory[bytes - 1 - i]);
  __syncthreads();
  if (threadIdx.x == 0) *sum = total;
}

// A row of many sums, to be run by several threads of the host at once.
extern "C" __global__ void slow(double* out) {
  __shared__ double x[64];
  x[threadIdx.x] = threadIdx.x;
  for (int i = 0; i < 200; ++i) {
    __syncthreads();
    const double y = x[(threadIdx.x + 1) % 64];
    __syncthreads();
    x[threadIdx.x] = y;
  }
  out[threadIdx.x] = x[threadIdx.x];
}
