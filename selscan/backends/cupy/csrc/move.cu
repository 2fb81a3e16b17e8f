// Maps to sequences along the routes of a path, and back.
//
//     result[b, r, d, i] = source[b, r, d, place[r, i]]      0 where place is -1        ADDS: no
//     result[b, d, i]    = the sum over r of those, in the order of r                   ADDS: yes
//
// To gather, i is a step and a place is a pixel; to scatter, i is a pixel and a place is a step.
//
//     block    a chunk of `length` numbers i of `rows` channels, in shared memory
//     thread   reads (place, number) pairs of a list that the host has sorted by place
//     grid     batch * blocks of channels * routes (ADDS: one after the other) * chunks
//
// So neighbours in the source are read by neighbouring threads, whatever the path is: a chunk of a
// column route is a transpose of a few columns, one of windows is read window by window. Where
// channels are neighbours in the source, 1 << shift threads take channels of the same place. The
// result is in C order and is written along it.
#include "arguments.cuh"
#include "moves.cuh"

struct Chunk {
  int number, route, channel, channels;
  long long batch;
};

// The chunk of one route into shared memory; `adds`: to what is there.
template <class Stored, class Total>
DEVICE void fill(Total* tile, const MoveArguments& p, const Chunk& chunk, int route, bool adds) {
  const int2* const list = reinterpret_cast<const int2*>(p.list) +
                           ((long long)route * p.chunks + chunk.number) * p.length;
  const char* const source = p.source + chunk.batch * p.batch + route * p.route +
                             chunk.channel * p.channel;
  const int apart = 1 << p.shift, first = threadIdx.x & (apart - 1);
  for (int i = threadIdx.x >> p.shift; i < p.length; i += blockDim.x >> p.shift) {
    const int2 entry = list[i];
    if (entry.x == PAST || (adds && entry.x < 0)) continue;
    long long offset = entry.x * p.column;
    if (p.row) offset += entry.x / p.width * p.row;
    if (p.frame) offset += entry.x / p.width / p.height * p.frame;
    const char* at = source + first * p.channel + offset;
    Total* to = tile + first * p.pitch + entry.y;
#pragma unroll 4
    for (int c = first; c < chunk.channels; c += apart) {
      Total x = {};
      if (entry.x >= 0) x = total_of(*reinterpret_cast<const Stored*>(at));
      *to = adds ? plus(*to, x) : x;
      at += apart * p.channel;
      to += apart * p.pitch;
    }
  }
}

template <class Stored, bool ADDS>
__global__ void __launch_bounds__(256) move(const __grid_constant__ MoveArguments p) {
  using Total = typename Summed<Stored>::Total;
  extern __shared__ __align__(16) char memory[];
  Total* const tile = reinterpret_cast<Total*>(memory);
  const int routes = ADDS ? 1 : p.routes;  // of the result
  Chunk chunk;
  long long rest = blockIdx.x;
  chunk.number = rest % p.chunks, rest /= p.chunks;
  chunk.route = rest % routes, rest /= routes;
  chunk.channel = rest % p.channel_blocks * p.rows, chunk.batch = rest / p.channel_blocks;
  chunk.channels = min(p.rows, p.channels - chunk.channel);

  if (ADDS) {
    for (int route = 0; route < p.routes; ++route) {
      fill<Stored>(tile, p, chunk, route, route > 0);
      __syncthreads();
    }
  } else {
    fill<Stored>(tile, p, chunk, chunk.route, false);
    __syncthreads();
  }

  const long long start = (long long)chunk.number * p.length;
  const int count = min((long long)p.length, p.size - start);
  const long long row = (chunk.batch * routes + chunk.route) * p.channels + chunk.channel;
  Stored* const result = reinterpret_cast<Stored*>(p.result) + row * p.size + start;
  for (int c = threadIdx.x / 32; c < chunk.channels; c += blockDim.x / 32)
#pragma unroll 4
    for (int i = threadIdx.x % 32; i < count; i += 32)
      store_total(result + c * p.size + i, tile[c * p.pitch + i]);
}
