// Every function of a warp, its result for each lane in a row of `out`.

struct Rows {
  long long* out;
  template <class T>
  __device__ void add(T value) {
    out[threadIdx.x] = (long long)value;
    out += 32;
  }
};

// in: 32 values. `by`, `width`: of the shuffles.
extern "C" __global__ void shuffles(const int* in, int by, int width, long long* out) {
  const unsigned all = 0xffffffff;
  const int x = in[threadIdx.x];
  Rows rows = {out};
  rows.add(__shfl_sync(all, x, by, width));
  rows.add(__shfl_up_sync(all, x, by, width));
  rows.add(__shfl_down_sync(all, x, by, width));
  rows.add(__shfl_xor_sync(all, x, by, width));
}

// Lanes of `mask` only; the others leave their entries.
extern "C" __global__ void votes(const int* in, unsigned mask, long long* out) {
  if (!(mask >> threadIdx.x & 1)) return;
  const int x = in[threadIdx.x];
  Rows rows = {out};
  int all = 7;
  rows.add(__ballot_sync(mask, x > 0));
  rows.add(__all_sync(mask, x > 0));
  rows.add(__any_sync(mask, x > 0));
  rows.add(__match_any_sync(mask, x));
  rows.add(__match_all_sync(mask, x, &all));
  rows.add(all);
  rows.add(__reduce_add_sync(mask, x));
  rows.add(__reduce_min_sync(mask, x));
  rows.add(__reduce_max_sync(mask, x));
  rows.add(__reduce_min_sync(mask, unsigned(x)));
  rows.add(__reduce_max_sync(mask, unsigned(x)));
  rows.add(__reduce_and_sync(mask, unsigned(x)));
  rows.add(__reduce_or_sync(mask, unsigned(x)));
  rows.add(__reduce_xor_sync(mask, unsigned(x)));
}

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// One lane's value goes to all, for every type that can be shuffled.
extern "C" __global__ void types(double* out) {
  const unsigned all = 0xffffffff;
  const int lane = threadIdx.x;
  double* own = out + 10 * lane;
  own[0] = __shfl_sync(all, lane - 40, 3);
  own[1] = __shfl_sync(all, unsigned(lane) + 4000000000u, 3);
  own[2] = __shfl_sync(all, lane - (1ll << 40), 3);
  own[3] = __shfl_sync(all, (unsigned long long)lane << 58, 3);
  own[4] = __shfl_sync(all, lane + 0.5f, 3);
  own[5] = __shfl_sync(all, lane + 0.1, 3);
  own[6] = float(__shfl_sync(all, __half(lane + 0.25f), 3));
  own[7] = float(__shfl_sync(all, __nv_bfloat16(lane + 0.25f), 3));
  own[8] = __high2float(__shfl_sync(all, __floats2half2_rn(0.0f, lane), 3));
  own[9] = __high2float(__shfl_sync(all, __floats2bfloat162_rn(0.0f, lane), 3));
}

// Two halves of a warp go their own ways and meet again.
extern "C" __global__ void halves(const int* in, long long* out) {
  const int lane = threadIdx.x;
  Rows rows = {out};
  if (lane < 16) {
    rows.add(__activemask());
    rows.add(__reduce_add_sync(0x0000ffff, in[lane]));
    __syncwarp();
  } else {
    rows.add(__activemask());
    rows.add(__reduce_add_sync(0xffff0000, in[lane]));
    __syncwarp();
  }
  rows.add(__activemask());
  rows.add(__shfl_xor_sync(0xffffffff, in[lane], 16));
}

// Votes of a block, in which the last warp is not whole.
extern "C" __global__ void block_votes(const int* in, int* out) {
  const int x = in[threadIdx.x];
  int* own = out + 4 * threadIdx.x;
  own[0] = __syncthreads_count(x > 0);
  own[1] = __syncthreads_and(x > 0);
  own[2] = __syncthreads_or(x > 0);
  own[3] = __ballot_sync(0xffffffff, 1);
}
