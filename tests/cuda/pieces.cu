// Small kernels for the tests of the loader: what they use is what the tests count.
#include "numbers.cuh"

struct Arguments {
    const void *x;
    void *y;
    long long size;
    float factor;
};

// y = factor * exp2(x): one load, one exponential and one store for each item.
template <typename T, int ITEMS>
__global__ void exponential(Arguments a) {
    const T *x = static_cast<const T *>(a.x);
    T *y = static_cast<T *>(a.y);
    const long long first = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * ITEMS;
#pragma unroll
    for (int i = 0; i < ITEMS; i++)
        if (first + i < a.size) narrow(y[first + i], a.factor * exp2f(widen(x[first + i])));
}

// y[block] = the sum of x over a block of WARPS warps: shuffles, shared memory, one barrier.
template <int WARPS>
__global__ void block_sum(Arguments a) {
    __shared__ float parts[WARPS];
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    float sum = i < a.size ? static_cast<const float *>(a.x)[i] : 0.0f;
    for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < WARPS; w++) sum += parts[w];
    static_cast<float *>(a.y)[blockIdx.x] = a.factor * sum;
}

// y = x reversed within each row of ROW, through dynamic shared memory.
template <int ROW>
__global__ void reverse_rows(Arguments a) {
    extern __shared__ float row[];
    const float *x = static_cast<const float *>(a.x) + blockIdx.x * (long long)ROW;
    for (int i = threadIdx.x; i < ROW; i += blockDim.x) row[i] = x[i];
    __syncthreads();
    float *y = static_cast<float *>(a.y) + blockIdx.x * (long long)ROW;
    for (int i = threadIdx.x; i < ROW; i += blockDim.x) y[i] = row[ROW - 1 - i];
}

// An array with an index that is known at run time only lies in local memory.
template <int SIZE>
__global__ void local_array(Arguments a) {
    const int *x = static_cast<const int *>(a.x);
    float table[SIZE];
    for (int i = 0; i < SIZE; i++) table[i] = a.factor * x[i];
    for (int i = 0; i < SIZE; i++) table[x[i] & (SIZE - 1)] += 1.0f;
    static_cast<float *>(a.y)[threadIdx.x] = table[x[threadIdx.x] & (SIZE - 1)];
}

// More values at once than the registers that are left to a thread: some are spilled.
template <int VALUES>
__global__ __launch_bounds__(1024, 2) void spill(Arguments a) {
    const float *x = static_cast<const float *>(a.x);
    float *y = static_cast<float *>(a.y);
    float v[VALUES];
#pragma unroll
    for (int i = 0; i < VALUES; i++) v[i] = x[i * 1024 + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < VALUES; i++) y[i * 1024 + threadIdx.x] = v[VALUES - 1 - i] - v[i];
}
