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
//
// Of orders per sample there is no list: move_by_order takes entries as the table has them. What it
// gathers is read in that order, and a scatter reads the table of a route once for each chunk.
#include "arguments.cuh"
#include "moves.cuh"

struct Chunk {
  int number, route, channel, channels;
  long long batch;
};

DEVICE Chunk chunk_of(const MoveArguments& p, int routes) {
  Chunk chunk;
  long long rest = blockIdx.x;
  chunk.number = rest % p.chunks, rest /= p.chunks;
  chunk.route = rest % routes, rest /= routes;
  chunk.channel = rest % p.channel_blocks * p.rows, chunk.batch = rest / p.channel_blocks;
  chunk.channels = min(p.rows, p.channels - chunk.channel);
  return chunk;
}

// Where a route of a chunk's channels is read from, by a thread that takes some of them.
struct Source {
  const char* data;
  int first, apart;

  DEVICE Source(const MoveArguments& p, const Chunk& chunk, int route)
      : data(p.source + chunk.batch * p.batch + route * p.route + chunk.channel * p.channel),
        first(threadIdx.x & ((1 << p.shift) - 1)),
        apart(1 << p.shift) {}
};

// What is at a place into shared memory, zeros where that is none; `adds`: to what is there.
template <class Stored, class Total>
DEVICE void bring(Total* tile, const MoveArguments& p, const Chunk& chunk, const Source& source,
                  int2 entry, bool adds) {
  const int first = source.first, apart = source.apart;
  long long offset = entry.x * p.column;
  if (p.row) offset += entry.x / p.width * p.row;
  if (p.frame) offset += entry.x / p.width / p.height * p.frame;
  const char* at = source.data + first * p.channel + offset;
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

// The chunk of one route into shared memory; `adds`: to what is there.
template <class Stored, class Total>
DEVICE void fill(Total* tile, const MoveArguments& p, const Chunk& chunk, int route, bool adds) {
  const int2* const list = reinterpret_cast<const int2*>(p.list) +
                           ((long long)route * p.chunks + chunk.number) * p.length;
  const Source source(p, chunk, route);
  for (int i = threadIdx.x >> p.shift; i < p.length; i += blockDim.x >> p.shift) {
    const int2 entry = list[i];
    if (entry.x == PAST || (adds && entry.x < 0)) continue;
    bring<Stored>(tile, p, chunk, source, entry, adds);
  }
}

// The same along orders per sample. To gather, a chunk has its own steps of a route; to scatter, it
// takes what belongs to its pixels of all steps, and the other pixels have zeros.
template <class Stored, class Total>
DEVICE void fill_by_order(Total* tile, const MoveArguments& p, const Chunk& chunk, int route,
                          bool adds) {
  const int* const order = reinterpret_cast<const int*>(p.list) +
                           (chunk.batch * p.routes + route) * p.steps;
  const Source source(p, chunk, route);
  const int start = chunk.number * p.length;
  const int first = p.gathers ? start : 0;
  const int count = p.gathers ? min(p.length, p.steps - start) : p.steps;
  for (int i = threadIdx.x >> p.shift; i < count; i += blockDim.x >> p.shift) {
    const int pixel = order[first + i];
    if (p.gathers)
      bring<Stored>(tile, p, chunk, source, {pixel, i}, adds);
    else if (pixel >= start && pixel - start < p.length)
      bring<Stored>(tile, p, chunk, source, {i, pixel - start}, adds);
  }
}

// From shared memory to the result.
template <class Stored, class Total>
DEVICE void store_chunk(const Total* tile, const MoveArguments& p, const Chunk& chunk, int routes) {
  const long long start = (long long)chunk.number * p.length;
  const int count = min((long long)p.length, p.size - start);
  const long long row = (chunk.batch * routes + chunk.route) * p.channels + chunk.channel;
  Stored* const result = reinterpret_cast<Stored*>(p.result) + row * p.size + start;
  for (int c = threadIdx.x / 32; c < chunk.channels; c += blockDim.x / 32)
#pragma unroll 4
    for (int i = threadIdx.x % 32; i < count; i += 32)
      store_total(result + c * p.size + i, tile[c * p.pitch + i]);
}

template <class Stored, bool ADDS>
__global__ void __launch_bounds__(256) move(const __grid_constant__ MoveArguments p) {
  using Total = typename Summed<Stored>::Total;
  extern __shared__ __align__(16) char memory[];
  Total* const tile = reinterpret_cast<Total*>(memory);
  const int routes = ADDS ? 1 : p.routes;  // of the result
  const Chunk chunk = chunk_of(p, routes);

  if (ADDS) {
    for (int route = 0; route < p.routes; ++route) {
      fill<Stored>(tile, p, chunk, route, route > 0);
      __syncthreads();
    }
  } else {
    fill<Stored>(tile, p, chunk, chunk.route, false);
    __syncthreads();
  }
  store_chunk<Stored>(tile, p, chunk, routes);
}

template <class Stored, bool ADDS>
__global__ void __launch_bounds__(256) move_by_order(const __grid_constant__ MoveArguments p) {
  using Total = typename Summed<Stored>::Total;
  extern __shared__ __align__(16) char memory[];
  Total* const tile = reinterpret_cast<Total*>(memory);
  const int routes = ADDS ? 1 : p.routes;
  const Chunk chunk = chunk_of(p, routes);

  if (!p.gathers)
    for (int i = threadIdx.x; i < p.rows * p.pitch; i += blockDim.x) tile[i] = Total{};
  for (int route = 0; route < (ADDS ? p.routes : 1); ++route) {
    __syncthreads();  // the zeros, and what other routes have, are there
    fill_by_order<Stored>(tile, p, chunk, ADDS ? route : chunk.route, ADDS && route > 0);
  }
  __syncthreads();
  store_chunk<Stored>(tile, p, chunk, routes);
}
