// Sums of the parts that blocks of the backward left, in the order of the parts.
//
//     thread   one number of a result
//     grid     sums * blocks for the longest of them
#include "arguments.cuh"
#include "elements.cuh"

template <class Number>
__global__ void __launch_bounds__(256) sum_parts(const __grid_constant__ SumArguments p) {
  const long long blocks = (p.most + blockDim.x - 1) / blockDim.x;
  const Sum& x = p.sums[blockIdx.x / blocks];
  const long long i = blockIdx.x % blocks * blockDim.x + threadIdx.x;
  long long count = 1;
#pragma unroll
  for (int axis = 0; axis < SUM_AXES; ++axis) count *= x.sizes[axis];
  if (x.count == 0 || i >= count) return;
  const int size = size_of(x.parts_dtype);
  const char* from = x.parts + i * size;
  Number sum = {};
  for (int part = 0; part < x.count; ++part, from += x.part)
    sum = add(sum, read<Number>(from, x.parts_dtype));
  long long rest = i;
  char* to = x.result;
#pragma unroll
  for (int axis = SUM_AXES - 1; axis >= 0; --axis) {
    to += rest % x.sizes[axis] * x.steps[axis];
    rest /= x.sizes[axis];
  }
  write_result(sum, to, x.dtype);
}
