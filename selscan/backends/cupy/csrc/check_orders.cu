// Orders per sample are checked, and copied to a dense table that the other kernels trust.
//
//     thread   some steps of a route
//     block    one route of one sample after the other
//
// A block marks the pixels that its route visits as bits in shared memory, so many of a map at a
// time as there are. There is no way back to the host that would not wait for the GPU: a number that
// is no pixel, or a pixel that a route visits twice, is a failed assertion, as an index out of range
// is in other libraries. It ends all work of the process on the GPU, with an error.
#include "arguments.cuh"

template <class Integer>
__global__ void __launch_bounds__(512) check_orders(const __grid_constant__ OrdersArguments p) {
  constexpr int WORDS = 8192, BITS = 32 * WORDS;
  __shared__ unsigned visited[WORDS];
  for (long long task = blockIdx.x; task < p.tasks; task += gridDim.x) {
    const char* const source = p.source + task / p.routes * p.batch + task % p.routes * p.route;
    int* const result = reinterpret_cast<int*>(p.result) + task * p.length;
    for (long long first = 0; first < p.pixels; first += BITS) {
      for (int i = threadIdx.x; i < WORDS && first + 32 * i < p.pixels; i += blockDim.x)
        visited[i] = 0;
      __syncthreads();
      for (long long t = threadIdx.x; t < p.length; t += blockDim.x) {
        const Integer pixel = *reinterpret_cast<const Integer*>(source + t * p.step);
        const bool exists = pixel >= -1 && pixel < p.pixels;
        if (first == 0) result[t] = exists ? int(pixel) : PADDING;
        assert(exists && "path must be -1 for padding or a pixel number everywhere");
        if (pixel < first || pixel >= first + BITS) continue;
        const unsigned bit = 1u << pixel % 32;
        const unsigned before = atomicOr(visited + (pixel - first) / 32, bit);
        assert(!(before & bit) && "path must be routes that visit a pixel at most once");
      }
      __syncthreads();
    }
  }
}
