// Measuring stick: the selective scan and its backward in AVX-512 or AVX2, float32, d_state 1 and 16.
//
//   h[t] = exp(delta'[t] A) h[t-1] + delta'[t] B[t] u[t],   y[t] = C[t] . h[t] + D u[t],
//   delta' = softplus(delta + bias)
//
// Memory: u, delta, y (b, d, l); A (d, n); B, C (b, g, n, l); D, bias (d,); contiguous;
// (d / g) % 16 == 0. Lanes are W channels, 16 or 8. Forward: one task = (batch, block of W channels).
// Backward: one task = (batch, group, slice of the group's blocks), which owns its partial dB and
// dC, so that nothing is added atomically and the bits repeat. Only the state at the start of each
// chunk of T steps is saved; the backward replays a chunk from it.
#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "stick.hpp"

namespace {

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float, Free>;

Buffer buffer(size_t floats) {
  return Buffer(static_cast<float*>(std::aligned_alloc(64, (floats * 4 + 63) / 64 * 64)));
}

struct Problem {
  const float *u, *delta, *A, *B, *C, *D, *bias;
  long batch, dim, length, groups;
};

// (b, g, n, l) -> (b, g, l, n): the n values of a step lie together. For n = 1 nothing would move.
template <int N>
void steps_first(const Problem& p, const float* from, float* to) {
#pragma omp for schedule(static)
  for (long i = 0; i < p.batch * p.groups; i++)
    for (int n = 0; n < N; n += W) {
      const long at = i * N * p.length;
      gather(from + at + n * p.length, p.length, to + at + n, p.length, N);
    }
}

// A of one block of channels, (n, W).
template <int N>
void load_a(const Problem& p, long d0, float factor, float* out) {
  for (int n = 0; n < N; n++)
    for (int j = 0; j < W; j++) out[n * W + j] = p.A[(d0 + j) * N + n] * factor;
}

template <int N, int T>
void forward(const Problem& p, float* y, float* states) {
  const long blocks = p.dim / W, per_group = p.dim / p.groups;
  const long L = p.length, chunks = (L + T - 1) / T;
  const float *Bs = p.B, *Cs = p.C;
  const Buffer turned = buffer(N > 1 ? 2 * p.batch * p.groups * N * L : 0);
  float* const turned_c = turned.get() + p.batch * p.groups * N * L;
  if (N > 1) Bs = turned.get(), Cs = turned_c;
#pragma omp parallel
  {
    if (N > 1) steps_first<N>(p, p.B, turned.get()), steps_first<N>(p, p.C, turned_c);
    alignas(64) float us[T * W], dts[T * W], ys[T * W], As[N * W];
#pragma omp for schedule(static)
    for (long task = 0; task < p.batch * blocks; task++) {
      const long b = task / blocks, d0 = task % blocks * W, row = (b * p.dim + d0) * L;
      const float* const Bg = Bs + (b * p.groups + d0 / per_group) * L * N;
      const float* const Cg = Cs + (b * p.groups + d0 / per_group) * L * N;
      const Vec bias = load(p.bias + d0), D = load(p.D + d0);
      load_a<N>(p, d0, LOG2E, As);
      Vec h[N];
      for (int n = 0; n < N; n++) h[n] = splat(0.0f);
      for (long c = 0; c < chunks; c++) {
        const long t0 = c * T;
        const int steps = std::min<long>(T, L - t0);
        for (int n = 0; n < N; n++) store(states + ((task * chunks + c) * N + n) * W, h[n]);
        gather(p.u + row + t0, L, us, steps);
        gather(p.delta + row + t0, L, dts, steps);
        for (int t = 0; t < steps; t++)
          store(dts + t * W, softplus(add(load(dts + t * W), bias), nullptr));
        for (int t = 0; t < steps; t++) {
          const Vec dt = load(dts + t * W), u = load(us + t * W), dtu = mul(dt, u);
          const float *Bt = Bg + (t0 + t) * N, *Ct = Cg + (t0 + t) * N;
          Vec even = mul(u, D), odd = splat(0.0f);
#pragma GCC unroll 16
          for (int n = 0; n < N; n++) {
            h[n] = fma(exp2(mul(dt, load(As + n * W))), h[n], mul(dtu, splat(Bt[n])));
            (n % 2 ? odd : even) = fma(h[n], splat(Ct[n]), n % 2 ? odd : even);
          }
          store(ys + t * W, add(even, odd));
        }
        scatter(ys, y + row + t0, L, steps);
      }
    }
  }
}

struct Grads {
  float *u, *delta, *A, *B, *C, *D, *bias;
};

// Scratch of one chunk and one block of channels. P states are scanned forward and back before the
// next P, so that their a and h stay near the L1 cache.
template <int N, int P, int T>
struct Tile {
  alignas(64) float u[T * W], dt[T * W], dy[T * W], slope[T * W], db[T * W], da[T * W];
  alignas(64) float a[T * P * W], h[(T + 1) * P * W], As[N * W];
  alignas(64) float dB[N * T * W], dC[N * T * W];  // (n / P, t, P, W), summed over a slice

  // States n0 .. n0 + P - 1: forward from `start` to fill a and h, then back with dh in and out.
  void run(int n0, int steps, const float* B, const float* C, const float* start, float* dh,
           float* dA) {
    Vec A[P], state[P];
    for (int n = 0; n < P; n++) {
      A[n] = mul(load(As + (n0 + n) * W), splat(LOG2E));
      state[n] = load(start + (n0 + n) * W);
      store(h + n * W, state[n]);
    }
    for (int t = 0; t < steps; t++) {
      const Vec step = load(dt + t * W), dtu = mul(step, load(u + t * W));
#pragma GCC unroll 16
      for (int n = 0; n < P; n++) {
        const Vec decay = exp2(mul(step, A[n]));
        state[n] = fma(decay, state[n], mul(dtu, splat(B[t * N + n0 + n])));
        store(a + (t * P + n) * W, decay);
        store(h + ((t + 1) * P + n) * W, state[n]);
      }
    }
    Vec back[P], sum[P];
    for (int n = 0; n < P; n++) {
      A[n] = load(As + (n0 + n) * W);
      back[n] = load(dh + (n0 + n) * W);
      sum[n] = splat(0.0f);
    }
    float *dBn = dB + n0 * T * W, *dCn = dC + n0 * T * W;
    for (int t = steps - 1; t >= 0; t--) {
      const Vec step = load(dt + t * W), dtu = mul(step, load(u + t * W)), g = load(dy + t * W);
      Vec to_b = n0 ? load(db + t * W) : splat(0.0f);
      Vec to_a = n0 ? load(da + t * W) : splat(0.0f);
#pragma GCC unroll 16
      for (int n = 0; n < P; n++) {
        const int i = (t * P + n) * W;
        const Vec d = fma(g, splat(C[t * N + n0 + n]), back[n]);
        accumulate(dCn + i, g, load(h + i + P * W));
        accumulate(dBn + i, d, dtu);
        to_b = fma(d, splat(B[t * N + n0 + n]), to_b);
        back[n] = mul(d, load(a + i));
        const Vec q = mul(back[n], load(h + i));  // dL/da a
        to_a = fma(q, A[n], to_a);
        sum[n] = fma(q, step, sum[n]);
      }
      store(db + t * W, to_b);
      store(da + t * W, to_a);
    }
    for (int n = 0; n < P; n++) {
      store(dh + (n0 + n) * W, back[n]);
      store(dA + (n0 + n) * W, add(load(dA + (n0 + n) * W), sum[n]));
    }
  }
};

// Slices per (batch, group): at least two tasks a thread where there are several threads.
long slices(const Problem& p, long blocks) {
  const long threads = omp_get_max_threads(), pairs = p.batch * p.groups;
  return threads > 1 ? std::min((2 * threads + pairs - 1) / pairs, blocks) : 1;
}

template <int N, int P, int T>
void backward(const Problem& p, const float* states, const float* dy, const Grads& out) {
  const long blocks = p.dim / W, own = blocks / p.groups, L = p.length, chunks = (L + T - 1) / T;
  const long cuts = slices(p, own), pairs = p.batch * p.groups, sums = (N + 2) * W;
  const float *Bs = p.B, *Cs = p.C;
  const Buffer turned = buffer(N > 1 ? 2 * pairs * N * L : 0);
  float* const turned_c = turned.get() + pairs * N * L;
  if (N > 1) Bs = turned.get(), Cs = turned_c;
  const Buffer part_b = buffer(pairs * cuts * N * L), part_c = buffer(pairs * cuts * N * L);
  const Buffer part_a = buffer(p.batch * blocks * sums);  // (batch, block, dA | dbias | dD, W)
  const Buffer carry = buffer(p.batch * blocks * N * W);  // dh across the chunks
  std::memset(part_a.get(), 0, p.batch * blocks * sums * 4);
  std::memset(carry.get(), 0, p.batch * blocks * N * W * 4);
#pragma omp parallel
  {
    if (N > 1) steps_first<N>(p, p.B, turned.get()), steps_first<N>(p, p.C, turned_c);
    using Local = Tile<N, P, T>;
    const Buffer memory = buffer(sizeof(Local) / 4);
    Local& tile = *reinterpret_cast<Local*>(memory.get());
#pragma omp for schedule(dynamic, 1)
    for (long task = 0; task < pairs * cuts; task++) {
      const long pair = task / cuts, cut = task % cuts, b = pair / p.groups, g = pair % p.groups;
      const long first = g * own + own * cut / cuts, last = g * own + own * (cut + 1) / cuts;
      float *dB = part_b.get() + task * N * L, *dC = part_c.get() + task * N * L;
      for (long c = chunks - 1; c >= 0; c--) {
        const long t0 = c * T;
        const int steps = std::min<long>(T, L - t0);
        std::memset(tile.dB, 0, sizeof tile.dB);
        std::memset(tile.dC, 0, sizeof tile.dC);
        for (long k = first; k < last; k++) {
          const long block = b * blocks + k, at = block * W * L + t0;
          const Vec bias = load(p.bias + k * W), D = load(p.D + k * W);
          float* const part = part_a.get() + block * sums;
          load_a<N>(p, k * W, 1.0f, tile.As);
          gather(p.u + at, L, tile.u, steps);
          gather(p.delta + at, L, tile.dt, steps);
          gather(dy + at, L, tile.dy, steps);
          for (int t = 0; t < steps; t++) {
            Vec slope;
            store(tile.dt + t * W, softplus(add(load(tile.dt + t * W), bias), &slope));
            store(tile.slope + t * W, slope);
          }
          for (int n = 0; n < N; n += P)
            tile.run(n, steps, Bs + (pair * L + t0) * N, Cs + (pair * L + t0) * N,
                     states + (block * chunks + c) * N * W, carry.get() + block * N * W, part);
          Vec dbias = splat(0.0f), dD = splat(0.0f);
          for (int t = 0; t < steps; t++) {
            const Vec g = load(tile.dy + t * W), u = load(tile.u + t * W);
            const Vec to_b = load(tile.db + t * W);
            const Vec ddt = mul(fma(to_b, u, load(tile.da + t * W)), load(tile.slope + t * W));
            store(tile.db + t * W, fma(to_b, load(tile.dt + t * W), mul(g, D)));
            store(tile.da + t * W, ddt);
            dbias = add(dbias, ddt);
            dD = fma(g, u, dD);
          }
          store(part + N * W, add(load(part + N * W), dbias));
          store(part + N * W + W, add(load(part + N * W + W), dD));
          scatter(tile.db, out.u + at, L, steps);
          scatter(tile.da, out.delta + at, L, steps);
        }
        for (int n = 0; n < N; n++)
          for (int t = 0; t < steps; t++) {
            const int i = ((n / P * T + t) * P + n % P) * W;
            dB[n * L + t0 + t] = sum(load(tile.dB + i));
            dC[n * L + t0 + t] = sum(load(tile.dC + i));
          }
      }
    }
#pragma omp for schedule(static)
    for (long i = 0; i < pairs * N; i++) {
      const long from = (i / N * cuts * N + i % N) * L;
      for (long t = 0; t < L; t++) {
        float b = 0, c = 0;
        for (long s = 0; s < cuts; s++) {
          b += part_b.get()[from + s * N * L + t];
          c += part_c.get()[from + s * N * L + t];
        }
        out.B[i * L + t] = b, out.C[i * L + t] = c;
      }
    }
#pragma omp for schedule(static)
    for (long i = 0; i < blocks * sums; i++) {
      const long channel = i / sums * W + i % W, n = i % sums / W;
      float total = 0;
      for (long b = 0; b < p.batch; b++) total += part_a.get()[b * blocks * sums + i];
      (n < N ? out.A[channel * N + n] : n == N ? out.bias[channel] : out.D[channel]) = total;
    }
  }
}

constexpr int T = 128;

}  // namespace

extern "C" {
int chunk() { return T; }
int lanes() { return W; }

void scan_forward(const Problem* p, int d_state, float* y, float* states) {
  d_state == 1 ? forward<1, T>(*p, y, states) : forward<16, T>(*p, y, states);
}

void scan_backward(const Problem* p, int d_state, const float* states, const float* dy,
                   const Grads* out) {
  d_state == 1 ? backward<1, 1, T>(*p, states, dy, *out) : backward<16, 4, T>(*p, states, dy, *out);
}
}
