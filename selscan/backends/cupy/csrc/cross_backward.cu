// The gradient of the scan of small maps along the cross path (cross_forward.cu). The states are
// computed again: nothing is kept by the forward. adjoint.cuh has the equations.
//
//     thread   STEPS pixels of a row, then of a column (cross.cuh), and their sums of dB and dC
//     team     one map of a channel at a time
//     block    teams of one batch, which share B and C; each takes `turns` channels, for the rows
//              and then for the columns; du waits in shared memory in between
//     grid     batch * channel_blocks
//
// dB and dC are sums over channels in the block's own part of memory; sum_parts.cu adds the parts.
// Where something is not finite, a block works in order (run.cuh).
#include "cross_adjoint.cuh"

// dy of a channel as floats: vectors of its elements, or numbers of any dtype in any order.
template <class S>
DEVICE void bring_dy(float* to, const CrossBackwardArguments& p, const char* from,
                     const Pieces& mine, int thread, int threads, bool in_vectors) {
  using Element = typename S::Element;
  if (in_vectors) {
    in_pieces<S>(mine, [&](auto size) {
      constexpr int SIZE = decltype(size)::value;
      over_pieces<SIZE>(mine, p.height, [&](int pixel, int row, int column) {
        const auto x = *reinterpret_cast<const Pack<Element, SIZE>*>(
            from + pixel * int(sizeof(Element)));
#pragma unroll
        for (int i = 0; i < SIZE; ++i) to[row * S::SUMS + column + i] = widen(x.items[i]);
      });
    });
  } else {
    const Pieces single(thread, threads, p.width, 1);
    over_pieces<1>(single, p.height, [&](int pixel, int row, int column) {
      to[row * S::SUMS + column] =
          read<float>(from + pixel * p.dy.step + row * p.dy.row, p.dy.dtype);
    });
  }
}

// What a block has in shared memory.
template <class S>
struct BackwardMaps {
  CrossRow* rows;
  typename S::Pair* pairs;  // of two routes
  float* du;                // of the team's first channel
  char* area;               // of all teams: dy, u and two maps of delta; later sums of dB and dC
  int pair_step, sum_step, step, team_step;  // numbers from a map to the next; bytes of a team
};

// Sums of a team's threads for a channel: dA and dbias of two routes, and dD.
enum { TOTALS = 5 };

// The sum of x over WIDTH lanes, for all of them.
template <int WIDTH>
DEVICE float over_lanes(float x) {
#pragma unroll
  for (int by = WIDTH / 2; by > 0; by /= 2) x += __shfl_xor_sync(0xffffffffu, x, by, WIDTH);
  return x;
}

// The sums of four numbers over WIDTH lanes: number i in the lanes from i * WIDTH / 4 on. Half of
// the lanes go on with half of the numbers.
template <int WIDTH>
DEVICE float over_lanes(const float (&x)[4]) {
  const int lane = threadIdx.x % WIDTH;
  const bool second = lane & WIDTH / 2, odd = lane & WIDTH / 4;
  float two[2];
#pragma unroll
  for (int i = 0; i < 2; ++i)
    two[i] = (second ? x[2 + i] : x[i]) +
             __shfl_xor_sync(0xffffffffu, second ? x[i] : x[2 + i], WIDTH / 2, WIDTH);
  const float one = (odd ? two[1] : two[0]) +
                    __shfl_xor_sync(0xffffffffu, odd ? two[0] : two[1], WIDTH / 4, WIDTH);
  return over_lanes<WIDTH / 4>(one);
}

// The sum of a channel in its place: dA of two routes, dbias of two, dD of all.
DEVICE void write_total(const CrossBackwardArguments& p, long long batch, int route, int channel,
                        int which, float sum) {
  const auto write = [&](const MapOperand& x, int of, float value) {
    if (x.data) write_real(value, map_of(x, batch, of, channel), x.dtype);
  };
  if (which < 2) write(p.dA, route + 2 * which, float(LN2 * LN2) * sum);
  else if (which < 4) write(p.ddelta_bias, route + 2 * (which - 2), sum);
  else
    for (int of = 0; of < CROSS_ROUTES && route == 0; ++of) write(p.dD, of, sum);
}

// dB and dC of a route, from the threads' sums: those of the teams, one after the other. Whether
// all are finite.
template <class S, bool COLUMNS>
DEVICE bool flush_pairs(const CrossBackwardArguments& p, const BackwardMaps<S>& maps,
                        long long batch, int route, int team, int teams,
                        const float (&dB)[S::STEPS], const float (&dC)[S::STEPS],
                        const Stretch<S, COLUMNS>& own) {
  using Pair = typename S::Pair;
  Pair* const mine = reinterpret_cast<Pair*>(maps.area + team * maps.team_step);
#pragma unroll
  for (int t = 0; t < S::STEPS; ++t)
    if (own.has(t)) mine[own.template at<S::PAIRS>(t)] = {dB[t], dC[t]};
  __syncthreads();
  const int part = blockIdx.x % p.channel_blocks;
  char* const B = map_of(p.dB, batch, route, 0) + part * p.part_b;
  char* const C = map_of(p.dC, batch, route, 0) + part * p.part_c;
  const Pieces all(threadIdx.x, blockDim.x, p.width, 1);
  float zero = 0.0f;
  over_pieces<1>(all, p.height, [&](int pixel, int row, int column) {
    Pair sum = {0.0f, 0.0f};
#pragma unroll 1
    for (int i = 0; i < teams; ++i) {
      const Pair* const from = reinterpret_cast<const Pair*>(maps.area + i * maps.team_step);
      const Pair more = from[row * S::PAIRS + column];
      sum = {sum.items[0] + more.items[0], sum.items[1] + more.items[1]};
    }
    add_zeros(zero, sum.items);
    sum = {float(LN2) * sum.items[0], float(LN2) * sum.items[1]};
    if (p.parts_in_order) {
      reinterpret_cast<float*>(B)[pixel] = sum.items[0];
      reinterpret_cast<float*>(C)[pixel] = sum.items[1];
    } else {
      write_real(sum.items[0], B + pixel * p.dB.step + row * p.dB.row, p.dB.dtype);
      write_real(sum.items[1], C + pixel * p.dC.step + row * p.dC.row, p.dC.dtype);
    }
  });
  __syncthreads();
  return is_finite(zero);
}

// Both routes of an axis, for all channels of the block. Whether all is finite.
template <class S, bool COLUMNS>
DEVICE bool scan_axis(const CrossBackwardArguments& p, const BackwardMaps<S>& maps,
                      long long batch, int first, int size, TwoMaps* first_maps,
                      TwoMaps* second_maps, float (*totals)[TOTALS], float& carry,
                      bool in_order) {
  using Element = typename S::Element;
  constexpr int STEPS = S::STEPS, ROUTE = COLUMNS ? 1 : 0;  // and two routes later
  const int team_size = S::team_size(p), teams = blockDim.x / team_size;
  const int team = threadIdx.x / team_size, thread = threadIdx.x % team_size;
  const int warp = thread / 32, warps = team_size / 32;
  const Stretch<S, COLUMNS> all(thread, COLUMNS ? p.width : p.height, COLUMNS ? p.height : p.width);
  __syncthreads();  // nobody is at the pairs and the sums of before
  {
    const Pieces mine(threadIdx.x, blockDim.x, p.width, size);
    for (int i = 0; i < 2; ++i)
      bring_pairs<S>(maps.pairs + i * maps.pair_step, map_of(p.B, batch, ROUTE + 2 * i, 0),
                     map_of(p.C, batch, ROUTE + 2 * i, 0), 1.0f, mine, p.height);
  }
  __syncthreads();
  const Pieces mine(thread, team_size, p.width, size);
  float* const dy_map = reinterpret_cast<float*>(maps.area + team * maps.team_step);
  Element* const u_map = reinterpret_cast<Element*>(dy_map + maps.sum_step);
  Element* const delta_map = u_map + maps.step;
  const bool dy_in_vectors = p.dy_in_order && (size == 1 || is_aligned<S>(p.dy));
  float dB[2][STEPS] = {}, dC[2][STEPS] = {}, zero = 0.0f;
#pragma unroll 1
  for (int turn = 0; turn < p.turns && first + turn * teams < p.channels; ++turn) {
    // A team without a channel is one without pixels.
    const int row = turn * teams + team, channel = min(first + row, p.channels - 1);
    const bool here = first + row < p.channels;
    Stretch<S, COLUMNS> own = all;
    if (!here) own.steps = 0;
    const CrossRow& numbers = maps.rows[row];
    float* const du_map = maps.du + turn * teams * maps.sum_step;
    const char* const delta = map_of(p.delta, batch, ROUTE, channel);
    const char* const from[3] = {map_of(p.u, batch, 0, channel), delta,
                                 delta + 2 * p.delta.route};
    if (here) {
      bring<S>(u_map, maps.step, from, mine, p.height);
      bring_dy<S>(dy_map, p, map_of(p.dy, batch, 0, channel), mine, thread, team_size,
                  dy_in_vectors);
    }
    S::wait();
    float u[STEPS], dy[STEPS], du[STEPS] = {}, sums[4] = {}, dD = 0.0f;
    read_own_pixels<S, S::PITCH>(u, u_map, own);
    read_own_pixels<S, S::SUMS>(dy, dy_map, own);
    if (COLUMNS) read_own_pixels<S, S::SUMS>(du, du_map, own);
    const auto add = [&](auto back) {
      constexpr int I = decltype(back)::value;
      if (in_order) {
        const int lines = COLUMNS ? p.width : p.height, length = COLUMNS ? p.height : p.width;
        return add_route_in_order<S, I != 0>(
            du, dB[I], dC[I], sums[I], sums[2 + I], u, dy, own, delta_map + I * maps.step,
            maps.pairs + I * maps.pair_step, numbers.A[ROUTE + 2 * I],
            numbers.bias[ROUTE + 2 * I], p.softplus != 0,
            own.template begins<I != 0>(lines, length), carry, thread, team_size);
      }
      add_route<S, I != 0>(du, dB[I], dC[I], sums[I], sums[2 + I], u, dy, own,
                           delta_map + I * maps.step, maps.pairs + I * maps.pair_step,
                           numbers.A[ROUTE + 2 * I], numbers.bias[ROUTE + 2 * I], p.softplus != 0,
                           I == 0 ? first_maps : second_maps, warp, warps);
    };
    add(Constant<0>{});
    add(Constant<1>{});
    add_zeros(zero, du);
    add_zeros(zero, sums);
    if (!COLUMNS)
#pragma unroll
      for (int t = 0; t < STEPS; ++t) dD = fused(dy[t], u[t], dD);
    if (COLUMNS)
#pragma unroll
      for (int t = 0; t < STEPS; ++t) du[t] *= float(LN2);
    if (COLUMNS && p.D.data) {
      const float skip = numbers.skip[0] + numbers.skip[1] + numbers.skip[2] + numbers.skip[3];
#pragma unroll
      for (int t = 0; t < STEPS; ++t) du[t] = fused(skip, dy[t], du[t]);
    }
    write_pixels<S, S::SUMS>(du_map, du, own);
    constexpr int WIDTH = S::TEAM < 32 ? S::TEAM : 32;
    const float sum = over_lanes<WIDTH>(sums);
    if (threadIdx.x % (WIDTH / 4) == 0)
      totals[threadIdx.x / WIDTH][threadIdx.x % WIDTH / (WIDTH / 4)] = sum;
    if (!COLUMNS) {
      dD = over_lanes<WIDTH>(dD);
      if (threadIdx.x % WIDTH == 0) totals[threadIdx.x / WIDTH][4] = dD;
    }
    S::wait();
    if (here) {
      char* const to = map_of(p.ddelta, batch, ROUTE, channel);
      take<S>(to, delta_map, mine, p.height);
      take<S>(to + 2 * p.ddelta.route, delta_map + maps.step, mine, p.height);
      if (COLUMNS) take_sums<S, Element>(map_of(p.du, batch, 0, channel), du_map, mine, p.height);
      if (thread < TOTALS - COLUMNS) {
        float total = 0.0f;
#pragma unroll 1
        for (int i = 0; i < max(1, warps); ++i) total += totals[team * max(1, warps) + i][thread];
        write_total(p, batch, ROUTE, channel, thread, total);
      }
    }
    S::wait();  // nobody is at the maps of this channel
  }
  const bool one = flush_pairs<S>(p, maps, batch, ROUTE, team, teams, dB[0], dC[0], all);
  const bool two = flush_pairs<S>(p, maps, batch, ROUTE + 2, team, teams, dB[1], dC[1], all);
  return is_finite(zero) && one && two;
}

// Steps of a thread, and threads of a block: so that few registers are spilled, on sm_90 up to 102
// bytes of them in 16 bits.
template <class Element, int SIDE, bool WHOLE>
constexpr int BACKWARD_STEPS = SIDE == 56 && WHOLE && sizeof(Element) > 2 ? 14 : 7;
template <class Element, int SIDE, bool WHOLE>
constexpr int BACKWARD_THREADS = BACKWARD_STEPS<Element, SIDE, WHOLE> == 14 ? 256
                                 : WHOLE && SIDE != 14                       ? 512
                                 : SIDE == 56                                ? 384
                                                                             : 256;

template <class Element, int SIDE, bool WHOLE>
__global__ void __launch_bounds__(BACKWARD_THREADS<Element, SIDE, WHOLE>, 1)
    cross_backward(const __grid_constant__ CrossBackwardArguments p) {
  using S = CrossShape<Element, SIDE, BACKWARD_STEPS<Element, SIDE, WHOLE>, WHOLE>;
  using Pair = typename S::Pair;
  constexpr int THREADS = BACKWARD_THREADS<Element, SIDE, WHOLE>;
  constexpr int WIDTH = S::TEAM < 32 ? S::TEAM : 32, ROWS = THREADS / WIDTH;
  extern __shared__ __align__(64) char memory[];
  __shared__ TwoMaps warp_maps[THREADS / 16];
  __shared__ float totals[ROWS][TOTALS];
  __shared__ float carries[ROWS];
  const int team_size = S::team_size(p);
  const int teams = blockDim.x / team_size, team = threadIdx.x / team_size;
  const int channels = p.turns * teams, first = blockIdx.x % p.channel_blocks * channels;
  const long long batch = blockIdx.x / p.channel_blocks;
  const int pair_step = p.height * S::PAIRS + S::gap(sizeof(Pair));
  const int sum_step = p.height * S::SUMS + S::gap(4);
  const int step = p.height * S::PITCH + S::gap(sizeof(Element));
  // A multiple of what vectors need.
  const int team_step = (4 * sum_step + 3 * step * int(sizeof(Element)) + 15) / 16 * 16;

  CrossRow* const rows = reinterpret_cast<CrossRow*>(memory);
  Pair* const pairs = reinterpret_cast<Pair*>(rows + channels);
  float* const du = reinterpret_cast<float*>(pairs + 2 * pair_step);
  char* const area = reinterpret_cast<char*>(du + (channels * sum_step + 3) / 4 * 4);
  const BackwardMaps<S> maps = {rows, pairs, du + team * sum_step, area,
                                pair_step, sum_step, step, team_step};
  const bool finite_A = load_rows(rows, p, first, channels);
  const bool aligned = is_aligned<S>(p.u) && is_aligned<S>(p.delta) && is_aligned<S>(p.B) &&
                       is_aligned<S>(p.C) && is_aligned<S>(p.du) && is_aligned<S>(p.ddelta);
  const int size = aligned && p.width % S::VECTOR == 0 ? S::VECTOR : 1;
  TwoMaps* const own_maps = warp_maps + team * (team_size / 32);
  run([&](bool in_order) {
    const bool rows_finite =
        scan_axis<S, false>(p, maps, batch, first, size, own_maps, own_maps + THREADS / 32,
                            totals, carries[team], in_order);
    const bool columns_finite =
        scan_axis<S, true>(p, maps, batch, first, size, own_maps, own_maps + THREADS / 32,
                           totals, carries[team], in_order);
    return finite_A && rows_finite && columns_finite;
  });
}
