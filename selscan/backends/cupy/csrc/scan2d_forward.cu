// The selective scan of maps along the routes of a path, forward: for each route it is the scan of
// scan_forward.cu over the pixels in the order of the route, and y of a pixel is the sum over the
// routes that visit it. Nothing is permuted in memory.
//
//     thread   STEPS steps of CHANNELS channels, in registers (tiles.cuh)
//     block    warps with other channels each; one batch: they share B and C and the pixels
//     grid     batch * channel_blocks; a block takes one route after the other
//
// So the sums of a pixel have one order, and no two blocks write the same number. A step of padding
// has u = B = C = 0, and delta' = softplus(delta_bias): the state decays. Where something is not
// finite, a block works in order (run.cuh).
#include "in_order.cuh"
#include "prepare.cuh"
#include "routes.cuh"

// A, and the states at the beginning of a route: those of before where routes are joined. Whether
// every A that the thread has read is finite.
template <class S>
DEVICE bool begin_route(typename S::Number* rows, const Scan2dArguments& p, int route,
                        int channel, int channels, int slots) {
  using Number = typename S::Number;
  const char* const A = rows_of(p.A, 0, route, channel);
  const bool goes_on = p.joined && route > 0;
  bool finite = true;
  for (int i = threadIdx.x; i < slots * p.states; i += blockDim.x) {
    const int n = i % p.states, c = i / p.states;
    Number a = {};
    if (c < channels) a = read<Number>(A + c * p.A.channel + n * p.A.state, p.A.dtype);
    rows[slot_of<S>(n, 0, c, slots, 2)] = rate_of(a);
    if (!goes_on) rows[slot_of<S>(n, 1, c, slots, 2)] = Number{};
    finite = finite && is_finite(a);
  }
  return finite;
}

// Where states of a chunk's end are saved, from a state and a channel on.
template <class Number>
DEVICE char* saved_at(const Scan2dArguments& p, long long batch, int route, int chunk, int n,
                      int channel) {
  return p.saved.data + batch * p.saved.batch + route * p.saved.route + chunk * p.saved.step +
         n * p.saved.state + channel * (long long)sizeof(Number);
}

// After the thread's last step, if a chunk ends there and another one follows.
template <class S>
DEVICE Saved saved_after(const Scan2dArguments& p, const Tile& tile, const Own& own, int route,
                         int n) {
  const int end = tile.first + own.step + S::STEPS;
  if (!p.saved.data || end % CHUNK != 0 || end >= p.length || own.channels == 0)
    return {nullptr, 0};
  return {saved_at<typename S::Number>(p, tile.batch, route, end / CHUNK - 1, n,
                                       tile.channel + own.channel),
          p.saved.state};
}

// The states at the end of a route that another one continues.
template <class S>
DEVICE void save_end(const typename S::Number* rows, const Scan2dArguments& p, long long batch,
                     int route, int channel, int channels, int slots) {
  using Number = typename S::Number;
  for (int i = threadIdx.x; i < slots * p.states; i += blockDim.x) {
    const int n = i / slots, c = i % slots;
    if (c < channels)
      *reinterpret_cast<Number*>(saved_at<Number>(p, batch, route, p.chunks - 1, n, channel + c)) =
          rows[slot_of<S>(n, 1, c, slots, 2)];
  }
}

// All that a block does; whether it has met finite numbers only.
template <class Element, class Number, int LANES>
DEVICE bool scan_block(const Scan2dArguments& p, char* memory, bool in_order) {
  using S = Shape<Number, LANES>;
  using Real = typename S::Real;
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32, slots = warps * S::ROWS;
  const int first = blockIdx.x % p.channel_blocks * slots, slot = warp * S::ROWS;
  const int channels = min(slots, p.channels - first);
  Tile tile = {blockIdx.x / p.channel_blocks, first + slot, min(S::ROWS, channels - slot), 0,
               p.length, false};

  constexpr int BUFFER = S::ROWS * S::PITCH;  // two for each warp
  Number* const coefficients = reinterpret_cast<Number*>(memory);
  int* const pixels = reinterpret_cast<int*>(coefficients + p.staged * S::COEFFICIENTS);
  Real* const buffers = reinterpret_cast<Real*>(pixels + 2 * S::LENGTH);
  Number* const rows = reinterpret_cast<Number*>(buffers + warps * 2 * BUFFER);
  Real* const plane = reinterpret_cast<Real*>(rows + p.states * 2 * slots);
  Real* const buffer = buffers + warp * 2 * BUFFER;
  Real* const second = buffer + BUFFER;

  const Shared2d<Real> shared = {p.y, p.sums, p.mode, p.whole != 0,
                                 plane + (long long)slot * p.pixels};
  if (p.y.data) clear<S, Element>(shared, tile, p.routes, p.pixels, p.width);

  bool finite = true;
  Steps<S> steps;
  steps.restarts = 0;
  for (int route = 0; route < p.routes; ++route) {
    __syncthreads();  // nobody is at the states of before
    finite = begin_route<S>(rows, p, route, first, channels, slots) && finite;
    Own own = Own::of<S>(tile);
    Real skip[S::CHANNELS], bias[S::CHANNELS];
    read_row_of<S>(skip, p.D, route, tile.channel + own.channel, own.channels);
    read_row_of<S>(bias, p.delta_bias, route, tile.channel + own.channel, own.channels);
    if constexpr (Traits<Number>::IS_COMPLEX)  // y is doubled at the end
#pragma unroll
      for (int r = 0; r < S::CHANNELS; ++r) skip[r] *= Real(0.5);
    const char* const table = p.table + tile.batch * p.table_batch;
    const int begin = in_order ? first_pixel(p, table, route) : 0;

    for (tile.first = 0; tile.first < p.length; tile.first += S::LENGTH) {
      own = Own::of<S>(tile);
      __syncthreads();  // nobody reads the pixels, B and C of before
      load_pixels<S>(pixels, table, route, tile, p.width);
      __syncthreads();
      const char* const u = rows_of(p.u, tile.batch, route, tile.channel);
      const char* const delta = rows_of(p.delta, tile.batch, route, tile.channel);
      fetch<S, Element>(buffer, u, p.u, pixels, tile);
      fetch<S, Element>(second, delta, p.delta, pixels, tile);

      for (int n = 0; n < p.states; n += p.staged) {
        const int count = min(p.staged, p.states - n);
        if (n > 0) __syncthreads();
        const RouteCoefficients here = {
            p.B, p.C, rows_of(p.B, tile.batch, route, 0) + n * p.B.state,
            rows_of(p.C, tile.batch, route, 0) + n * p.C.state};
        stage<S, Element>(coefficients, here, pixels, tile, count);
        if (n == 0) {
          __syncwarp();
          read_tile<S>(steps.x, buffer, tile, own);
          read_tile<S>(steps.delta, second, tile, own);
          prepare<S>(steps, skip, bias, p.D.data, p.softplus, own.steps);
        }
        __syncthreads();
        if (tile.channels <= 0) continue;
        Number* const row = rows + slot_of<S>(n, 0, slot + own.channel, slots, 2);
        const States<S> at = {coefficients + threadIdx.x % LANES * 4, row, count, p.state_step,
                              false};
        const Saved saved = saved_after<S>(p, tile, own, route, n);
        if (in_order)
          scan_in_order<S>(steps, at, own.steps, padding_of<S>(pixels + threadIdx.x % LANES * 4),
                           tile.first <= begin, saved);
        else
          scan_states<S, S::STEPS, false, true>(steps, at, saved);
      }

      finite = all_finite<S>(steps.y, own.channels) && finite;
      if (!p.y.data) continue;
      if constexpr (Traits<Number>::IS_COMPLEX)
#pragma unroll
        for (int r = 0; r < S::CHANNELS; ++r)
#pragma unroll
          for (int t = 0; t < S::STEPS; ++t) steps.y[r][t] *= Real(2);
      write_tile<S>(steps.y, second, tile, own);
      __syncwarp();
      const Target<Real> y = {shared, rows_of(p.y, tile.batch, route, tile.channel),
                              shared.sum_rows(tile.batch, tile.channel), shared.adds(route, 0),
                              shared.ends(route, p.routes - 1)};
      put<Element>(y, [&](auto visit) {
        over_tile<S>(pixels, tile, shared.by_channel(), [&](int row, int place, const At& at) {
          if (at.pixel >= 0) visit(row, in_buffer<S>(second, row, place), at);
        });
      });
    }
    if (p.joined && p.saved.data && route + 1 < p.routes) {
      __syncthreads();
      save_end<S>(rows, p, tile.batch, route, first, channels, slots);
    }
  }

  __syncwarp();
  if (p.y.data) conclude<S, Element>(shared, tile, p.pixels, p.width);
  return finite;
}

// Element: of u, delta, B and C (and of y, unless that is float), or Any. Number: of the states.
template <class Element, class Number, int LANES>
__global__ void __launch_bounds__(128, sizeof(Number) > 8 ? 2 : 3)
    scan2d_forward(const __grid_constant__ Scan2dArguments p) {
  extern __shared__ __align__(64) char memory[];
  run([&](bool in_order) { return scan_block<Element, Number, LANES>(p, memory, in_order); });
}
