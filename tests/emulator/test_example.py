"""A test of a kernel from end to end, as docs/emulator.md shows it."""

import numpy as np
import pytest

from emulator import ORDERS, Module, order, pointers

SOURCE = r"""
// Each block adds its THREADS values by halves; sums[b] = in[b * THREADS] + ...
template <int THREADS>
__global__ void __launch_bounds__(THREADS) block_sums(const float* in, float* sums) {
  __shared__ float parts[THREADS];
  const int thread = threadIdx.x;
  parts[thread] = in[blockIdx.x * THREADS + thread];
#pragma unroll
  for (int half = THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) parts[thread] += parts[thread + half];
  }
  if (thread == 0) sums[blockIdx.x] = parts[0];
}
"""


@pytest.mark.parametrize("kind", ORDERS)
def test_block_sums_are_those_of_numpy(kind):
    x = np.random.default_rng(0).integers(-9, 10, (5, 128)).astype(np.float32)
    sums = np.full(5, np.nan, np.float32)
    kernel = Module(SOURCE, ["block_sums<128>"], file="block_sums.cu").get_function

    with order(kind):
        kernel("block_sums<128>")((5,), (128,), pointers(x, sums))

    assert np.array_equal(sums, x.sum(axis=1))
