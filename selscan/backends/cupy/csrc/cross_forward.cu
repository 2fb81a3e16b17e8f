// The scan of small maps along the cross path with one state, forward: what scan2d_forward.cu does
// for any path. Every number comes once from memory, and y goes there once.
//
//     thread   STEPS pixels of a row, then of a column (cross.cuh)
//     team     one map of a channel at a time
//     block    teams of one batch, which share B and C; each takes `turns` channels
//     grid     batch * channel_blocks
//
// Steps are those of base 2, delta' / ln(2), and the factor ln(2) is put to B. Where something is
// not finite, a block works in order (run.cuh).
#include "cross.cuh"

// Adds C h of a route to y.
template <class S, bool BACK, bool COLUMNS>
DEVICE void add_route(float (&y)[S::STEPS], const float (&u)[S::STEPS],
                      const Stretch<S, COLUMNS>& own, const typename S::Element* delta,
                      const typename S::Pair* pairs, float A, float bias, bool with_softplus,
                      WarpMap* maps, int warp, int warps) {
  constexpr int STEPS = S::STEPS;
  float a[STEPS], x[STEPS];
  typename S::Pair both[STEPS];
  read_pixels<S, S::PITCH>(a, delta, own);
  read_pairs<S>(both, pairs, own);
#pragma unroll
  for (int t = 0; t < STEPS; ++t) a[t] = fused(a[t], float(LOG2E), bias);
  if (with_softplus)
#pragma unroll
    for (int t = 0; t < STEPS; ++t) a[t] = softplus_log2(a[t], exp2_of_minus_size(a[t]));
  float total = 0.0f, end = 0.0f;
#pragma unroll
  for (int t = 0; t < STEPS; ++t) {
    if (!S::WHOLE && !own.has(t)) a[t] = 0.0f;
    x[t] = a[t] * u[t] * both[t].items[0];
    total += a[t];
    a[t] = decay(a[t], A);
  }
#pragma unroll
  for (int i = 0; i < STEPS; ++i) {
    const int t = BACK ? STEPS - 1 - i : i;
    end = advance(a[t], end, x[t]);
  }
  if (S::WHOLE && own.steps == 0) total = end = 0.0f;
  float h = entering<S, BACK>(end, decay(total, A), maps, warp, warps);
#pragma unroll
  for (int i = 0; i < STEPS; ++i) {
    const int t = BACK ? STEPS - 1 - i : i;
    h = advance(a[t], h, x[t]);
    y[t] = add_output(both[t].items[1], h, y[t]);
  }
}

// The same in order: one thread of the team after the other.
template <class S, bool BACK, bool COLUMNS>
DEVICE void add_route_in_order(float (&y)[S::STEPS], const float (&u)[S::STEPS],
                               const Stretch<S, COLUMNS>& own, const typename S::Element* delta,
                               const typename S::Pair* pairs, float A, float bias,
                               bool with_softplus, bool begins, float& carry, int thread,
                               int team_size) {
  constexpr int STEPS = S::STEPS;
  float a[STEPS];
  typename S::Pair both[STEPS];
  read_pixels<S, S::PITCH>(a, delta, own);
  read_pairs<S>(both, pairs, own);
  one_by_one<S, BACK>(carry, thread, team_size, [&](float& h) {
#pragma unroll
    for (int i = 0; i < STEPS; ++i) {
      const int t = BACK ? STEPS - 1 - i : i;
      if (!own.has(t)) continue;
      float step = fused(a[t], float(LOG2E), bias);
      if (with_softplus) step = softplus_log2(step, exp2_of_minus_size(step));
      const float x = step * u[t] * both[t].items[0];
      h = begins ? x : advance(decay(step, A), h, x);
      begins = false;
      y[t] = add_output(both[t].items[1], h, y[t]);
    }
  });
}

// The maps of a team's channel, in shared memory.
template <class S>
struct TeamMaps {
  typename S::Element *u, *delta;
  float* sums;
  int step;  // from a map of delta to the next
};

template <class S>
DEVICE bool scan_channels(const CrossArguments& p, const TeamMaps<S>& maps,
                          const typename S::Pair* pairs, const CrossRow* rows, long long batch,
                          int first, int size, WarpMap* warp_maps, float& carry, bool in_order) {
  const int team_size = S::team_size(p), teams = blockDim.x / team_size;
  const int team = threadIdx.x / team_size, thread = threadIdx.x % team_size;
  const int warp = thread / 32, warps = team_size / 32;
  const int pair_step = p.height * S::PAIRS + S::gap(sizeof(typename S::Pair));
  const Pieces mine(thread, team_size, p.width, size);
  const Stretch<S, false> along_rows(thread, p.height, p.width);
  const Stretch<S, true> along_columns(thread, p.width, p.height);
  bool finite = true;
#pragma unroll 1
  for (int turn = 0; turn < p.turns && first + turn * teams < p.channels; ++turn) {
    // A team without a channel makes something of what is there, and writes nothing.
    const int row = turn * teams + team, channel = min(first + row, p.channels - 1);
    const bool here = first + row < p.channels;
    const CrossRow& own = rows[row];
    const char* const delta = map_of(p.delta, batch, 0, channel);
    const char* const from[5] = {map_of(p.u, batch, 0, channel), delta, delta + p.delta.route,
                                 delta + 2 * p.delta.route, delta + 3 * p.delta.route};
    if (here) bring<S>(maps.u, maps.step, from, mine, p.height);
    S::wait();
    float u[S::STEPS], y[S::STEPS] = {};
    const auto add = [&](auto& along, auto back, int route) {
      constexpr bool BACK = decltype(back)::value;
      const int lines = route % 2 ? p.width : p.height, length = route % 2 ? p.height : p.width;
      if (in_order)
        add_route_in_order<S, BACK>(
            y, u, along, maps.delta + route * maps.step, pairs + route * pair_step, own.A[route],
            own.bias[route], p.softplus != 0, along.template begins<BACK>(lines, length), carry,
            thread, team_size);
      else
        add_route<S, BACK>(
            y, u, along, maps.delta + route * maps.step, pairs + route * pair_step, own.A[route],
            own.bias[route], p.softplus != 0, warp_maps + route * S::WARPS, warp, warps);
    };
    read_pixels<S, S::PITCH>(u, maps.u, along_rows);
    add(along_rows, Constant<false>{}, 0);
    add(along_rows, Constant<true>{}, 2);
    write_pixels<S, S::SUMS>(maps.sums, y, along_rows);
    S::wait();
    read_pixels<S, S::PITCH>(u, maps.u, along_columns);
    read_own_pixels<S, S::SUMS>(y, maps.sums, along_columns);
    add(along_columns, Constant<false>{}, 1);
    add(along_columns, Constant<true>{}, 3);
    if (here && along_columns.steps > 0) {
      float zero = 0.0f;
      add_zeros(zero, y);
      finite = finite && is_finite(zero);
    }
    if (p.D.data) {
      const float skip = own.skip[0] + own.skip[1] + own.skip[2] + own.skip[3];
#pragma unroll
      for (int t = 0; t < S::STEPS; ++t) y[t] = fused(skip, u[t], y[t]);
    }
    write_pixels<S, S::SUMS>(maps.sums, y, along_columns);
    S::wait();
    // What is brought next everyone has read, and the sums are written after the next wait.
    if (here) {
      char* const to = map_of(p.y, batch, 0, channel);
      if (p.y.dtype == CODE<typename S::Element>)
        take_sums<S, typename S::Element>(to, maps.sums, mine, p.height);
      else
        take_sums<S, float>(to, maps.sums, mine, p.height);
    }
  }
  return finite;
}

template <class Element, int SIDE, bool WHOLE>
__global__ void __launch_bounds__(sizeof(Element) == 2 && WHOLE ? 512 : 256, 1)
    cross_forward(const __grid_constant__ CrossArguments p) {
  using S = CrossShape<Element, SIDE, SIDE == 7 ? 7 : 14, WHOLE>;
  using Pair = typename S::Pair;
  extern __shared__ __align__(64) char memory[];
  __shared__ WarpMap warp_maps[CROSS_ROUTES * S::WARPS];
  __shared__ float carries[S::TEAMS];  // of a team
  const int team_size = S::team_size(p);
  const int teams = blockDim.x / team_size, team = threadIdx.x / team_size;
  const int channels = p.turns * teams, first = blockIdx.x % p.channel_blocks * channels;
  const long long batch = blockIdx.x / p.channel_blocks;
  const int pair_step = p.height * S::PAIRS + S::gap(sizeof(Pair));
  const int sum_step = p.height * S::SUMS + S::gap(4);
  const int step = p.height * S::PITCH + S::gap(sizeof(Element));

  CrossRow* const rows = reinterpret_cast<CrossRow*>(memory);
  Pair* const pairs = reinterpret_cast<Pair*>(rows + channels);
  float* const sums = reinterpret_cast<float*>(pairs + CROSS_ROUTES * pair_step);
  Element* const own = reinterpret_cast<Element*>(sums + teams * sum_step) + team * 5 * step;
  const TeamMaps<S> maps = {own, own + step, sums + team * sum_step, step};

  const bool finite_A = load_rows(rows, p, first, channels);
  const bool aligned = is_aligned<S>(p.u) && is_aligned<S>(p.delta) && is_aligned<S>(p.B) &&
                       is_aligned<S>(p.C) && is_aligned<S>(p.y);
  const int size = aligned && p.width % S::VECTOR == 0 ? S::VECTOR : 1;
  const Pieces mine(threadIdx.x, blockDim.x, p.width, size);
  for (int route = 0; route < CROSS_ROUTES; ++route)
    bring_pairs<S>(pairs + route * pair_step, map_of(p.B, batch, route, 0),
                   map_of(p.C, batch, route, 0), float(LN2), mine, p.height);
  run([&](bool in_order) {
    __syncthreads();
    return scan_channels<S>(p, maps, pairs, rows, batch, first, size,
                            warp_maps + team * (team_size / 32), carries[team], in_order) &&
           finite_A;
  });
}
