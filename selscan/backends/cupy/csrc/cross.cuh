// Small maps in shared memory, for scans with one state along the cross path: rows, columns, and
// both in reverse.
//
// A team of threads scans a map. A thread has STEPS pixels of a row, and then of a column; the two
// directions of an axis share what it reads. `WHOLE`: STEPS divides the sides of the map.
#pragma once
#include "arguments.cuh"
#include "elements.cuh"
#include "lanes.cuh"
#include "run.cuh"

enum { CROSS_ROUTES = 4 };

template <int VALUE>
struct Constant {
  static constexpr int value = VALUE;
};

// Maps of up to SIDE columns.
template <class Element_, int SIDE_, int STEPS_, bool WHOLE_>
struct CrossShape {
  using Element = Element_;
  using Pair = Pack<float, 2>;  // B and C of a pixel
  static constexpr int SIDE = SIDE_, STEPS = STEPS_;
  static constexpr bool WHOLE = WHOLE_;
  static constexpr int TEAM = SIDE / 7 * SIDE / 7 * 8 * 7 / STEPS;  // threads, at most
  static constexpr int TEAM_WARPS = (TEAM + 31) / 32;
  // Warps of a block, at most: the more registers a thread has, the fewer.
  static constexpr int WARPS = sizeof(Element) == 2 && WHOLE ? 16 : 8;
  static constexpr int TEAMS = TEAM < 32 ? WARPS * 32 / TEAM : WARPS;  // of a block, at most
  // Numbers of `size` bytes from a row to the next, and after the rows of a map: threads beside one
  // another meet few banks twice.
  static constexpr int pitch(int size) {
    return SIDE == 7 ? (size == 2 ? 11 : 7) : SIDE == 14 ? (size == 2 ? 14 : 15)
           : SIDE == 28 ? 28 : (size == 2 ? 56 : 60);
  }
  static constexpr int gap(int size) {
    return SIDE == 7 ? (size == 2 ? 0 : 7) : SIDE == 14 && size == 2 ? 14 : 0;
  }
  static constexpr int PITCH = pitch(sizeof(Element)), PAIRS = pitch(sizeof(Pair));
  static constexpr int SUMS = pitch(4);
  // Elements that one load has, where rows are whole vectors.
  static constexpr int WIDEST = SIDE < 56 ? SIDE / 7 : 8;
  static constexpr int MOST = 16 / sizeof(Element) < WIDEST ? 16 / sizeof(Element) : WIDEST;
  static constexpr int VECTOR = PITCH % MOST == 0 ? MOST : 1;

  // Threads of a team: those of large maps are as many as it takes.
  template <class Arguments>
  DEVICE static int team_size(const Arguments& p) {
    return SIDE == 56 ? p.team : TEAM;
  }
  DEVICE static void wait() {  // for the team
    if constexpr (TEAM <= 32) __syncwarp();
    else __syncthreads();
  }
};

// A thread's own pixels.
template <class S, bool COLUMNS>
struct Stretch {
  int line, first, steps;

  DEVICE Stretch(int thread, int lines, int length) {
    const int parts = unsigned(length + S::STEPS - 1) / S::STEPS;
    line = unsigned(thread) / unsigned(parts);
    first = (thread - line * parts) * S::STEPS;
    steps = line < lines ? min(S::STEPS, length - first) : 0;
    if (steps == 0) line = first = 0;
  }
  DEVICE bool has(int t) const { return S::WHOLE ? steps > 0 : t < steps; }
  // Whether a route begins here, at the first pixel or, BACK, at the last one.
  template <bool BACK>
  DEVICE bool begins(int lines, int length) const {
    if (steps == 0) return false;
    return BACK ? line == lines - 1 && first + steps == length : line == 0 && first == 0;
  }
  // Where step t is in rows of a pitch.
  template <int PITCH>
  DEVICE int at(int t) const {
    return COLUMNS ? first * PITCH + line + t * PITCH : line * PITCH + first + t;
  }
};

template <class Stored>
DEVICE void widen_two(Pack<Stored, 2> two, float& x, float& y) {
  x = widen(two.items[0]);
  y = widen(two.items[1]);
}
#ifdef __CUDA_ARCH__
// The upper half is that of a float already.
DEVICE void widen_two(Pack<__nv_bfloat16, 2> two, float& x, float& y) {
  const unsigned both = *reinterpret_cast<const unsigned*>(&two);
  x = __uint_as_float(both << 16);
  y = __uint_as_float(both & 0xffff0000u);
}
#endif

// Own pixels of a map; zeros for steps that there are not, anything for a thread without a step.
template <class S, int PITCH, bool COLUMNS, class Stored>
DEVICE void read_pixels(float (&x)[S::STEPS], const Stored* map, const Stretch<S, COLUMNS>& own) {
  const Stored* const from = map + own.template at<PITCH>(0);
  constexpr int STEP = COLUMNS ? PITCH : 1;
  if constexpr (S::WHOLE && !COLUMNS && S::STEPS % 2 == 0 && PITCH % 2 == 0) {
#pragma unroll
    for (int t = 0; t < S::STEPS; t += 2)
      widen_two(*reinterpret_cast<const Pack<Stored, 2>*>(from + t), x[t], x[t + 1]);
  } else {
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) {
      x[t] = 0.0f;
      if (S::WHOLE || own.has(t)) x[t] = widen(from[t * STEP]);
    }
  }
}

template <class S, bool COLUMNS>
DEVICE void read_pairs(typename S::Pair (&x)[S::STEPS], const typename S::Pair* map,
                       const Stretch<S, COLUMNS>& own) {
  const auto* const from = map + own.template at<S::PAIRS>(0);
#pragma unroll
  for (int t = 0; t < S::STEPS; ++t) {
    x[t] = {};
    if (S::WHOLE || own.has(t)) x[t] = from[t * (COLUMNS ? S::PAIRS : 1)];
  }
}

// The same, and zeros for a thread without a step: of maps that others write, or into sums.
template <class S, int PITCH, bool COLUMNS, class Stored>
DEVICE void read_own_pixels(float (&x)[S::STEPS], const Stored* map,
                            const Stretch<S, COLUMNS>& own) {
  if (!S::WHOLE || own.steps > 0) {
    read_pixels<S, PITCH>(x, map, own);
  } else {
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) x[t] = 0.0f;
  }
}

template <class S, bool COLUMNS>
DEVICE void read_own_pairs(typename S::Pair (&x)[S::STEPS], const typename S::Pair* map,
                           const Stretch<S, COLUMNS>& own) {
  if (!S::WHOLE || own.steps > 0) {
    read_pairs<S>(x, map, own);
  } else {
#pragma unroll
    for (int t = 0; t < S::STEPS; ++t) x[t] = {0.0f, 0.0f};
  }
}

template <class S, int PITCH, bool COLUMNS, class Stored>
DEVICE void write_pixels(Stored* map, float (&x)[S::STEPS], const Stretch<S, COLUMNS>& own) {
  if (S::WHOLE && own.steps == 0) return;
  Stored* const to = map + own.template at<PITCH>(0);
#pragma unroll
  for (int t = 0; t < S::STEPS; ++t)
    if (S::WHOLE || own.has(t)) {
      float one[1] = {x[t]};
      narrow(one, *reinterpret_cast<Pack<Stored, 1>*>(to + t * (COLUMNS ? PITCH : 1)));
    }
}

// 2^-|x|, without an instruction for the sign.
DEVICE float exp2_of_minus_size(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("{ .reg .f32 s; abs.f32 s, %1; neg.f32 s, s; ex2.approx.ftz.f32 %0, s; }"
      : "=f"(y)
      : "f"(x));
  return y;
#else
  return exp2_of(-fabsf(x));
#endif
}

// log2(1 + 2^x) from x and 2^-|x|: softplus as numbers.cuh has it, with logarithms of base 2.
DEVICE float softplus_log2(float x, float e) {
  float p = float(0.00510582561 * LOG2E);
  p = fmaf(p, e, float(-0.0289919563 * LOG2E));
  p = fmaf(p, e, float(0.0773807392 * LOG2E));
  p = fmaf(p, e, float(-0.135905996 * LOG2E));
  p = fmaf(p, e, float(0.190713093 * LOG2E));
  p = fmaf(p, e, float(-0.248339459 * LOG2E));
  p = fmaf(p, e, float(0.333179355 * LOG2E));
  p = fmaf(p, e, float(-0.499994367 * LOG2E));
  p = fmaf(p, e, float(LOG2E));
  return fmaf(p, e, fmaxf(x, 0.0f));
}

// ---- between lanes -----------------------------------------------------------------------------

// From each thread's own stretch to all until its end, in the order of lanes or, BACK, from the
// other end.
template <bool BACK, int WIDTH, int BY = 1>
DEVICE void join(float& end, float& factor) {
  if constexpr (BACK) precede<WIDTH, BY, false>(end, factor);
  else follow<WIDTH, BY, false>(end, factor);
  if constexpr (2 * BY < WIDTH) join<BACK, WIDTH, 2 * BY>(end, factor);
}

// The map of a warp, h -> factor h + end.
using WarpMap = Pack<float, 2>;

// The state before a thread's stretch; `end`: after it, if it began at zero. The thread is
// in a warp of the `warps` of its team, whose `maps` are written again two barriers later or more.
template <class S, bool BACK>
DEVICE float entering(float end, float factor, WarpMap* maps, int warp, int warps) {
  constexpr int WIDTH = S::TEAM < 32 ? S::TEAM : 32;
  join<BACK, WIDTH>(end, factor);
  const int lane = threadIdx.x % WIDTH;
  const bool first = lane == (BACK ? WIDTH - 1 : 0);
  float before = BACK ? from_after<WIDTH>(end, 1) : from_before<WIDTH>(end, 1);
  if (first) before = 0.0f;
  if constexpr (S::TEAM <= 32) {
    return before;
  } else {
    float passed = BACK ? from_after<WIDTH>(factor, 1) : from_before<WIDTH>(factor, 1);
    if (first) passed = 1.0f;
    pin(warp);  // comparisons are not kept
    if (lane == (BACK ? 0 : WIDTH - 1)) maps[warp] = {factor, end};
    __syncthreads();
    float carry = 0.0f;
#pragma unroll
    for (int i = 0; i + 1 < S::TEAM_WARPS; ++i) {
      const int other = BACK ? S::TEAM_WARPS - 1 - i : i;
      if (BACK ? other > warp && other < warps : other < warp)
        carry = fused(maps[other].items[0], carry, maps[other].items[1]);
    }
    return fused(passed, carry, before);
  }
}

// Threads of a team, one after the other: each calls step(carry) in its turn, and `carry` is what
// the one before has left there. DOWN: from the last one on.
template <class S, bool DOWN, class Step>
DEVICE void one_by_one(float& carry, int thread, int team_size, Step step) {
#pragma unroll 1
  for (int i = 0; i < team_size; ++i) {
    if (thread == (DOWN ? team_size - 1 - i : i)) step(carry);
    S::wait();
  }
}

// Elements that are only moved, so many bytes of them.
template <int BYTES>
struct AnyBits {
  using Type = Pack<unsigned, BYTES / 4>;
};
template <>
struct AnyBits<2> {
  using Type = unsigned short;
};
template <int BYTES>
using Bits = typename AnyBits<BYTES>::Type;

// ---- between memory and shared memory ----------------------------------------------------------

// Of a map, what a thread takes: pieces of `size` pixels, one or a vector. Made once: it divides.
struct Pieces {
  int row, column, by_rows, by_columns, each, size;

  DEVICE Pieces(int thread, int threads, int width, int size)
      : each(unsigned(width) / unsigned(size)), size(size) {
    row = unsigned(thread) / unsigned(each);
    column = thread - row * each;
    by_rows = unsigned(threads) / unsigned(each);
    by_columns = threads - by_rows * each;
  }
};

// visit(pixel, row, column) of the first pixel of each piece.
template <int SIZE, class Visit>
DEVICE void over_pieces(const Pieces& mine, int height, Visit visit) {
  int row = mine.row, column = mine.column;
#pragma unroll 1
  while (row < height) {
    visit((row * mine.each + column) * SIZE, row, column * SIZE);
    row += mine.by_rows;
    column += mine.by_columns;
    if (column >= mine.each) {
      column -= mine.each;
      ++row;
    }
  }
}

// Calls move(Constant<size of the pieces>).
template <class S, class Move>
DEVICE void in_pieces(const Pieces& mine, Move move) {
  if (S::VECTOR > 1 && mine.size > 1) move(Constant<S::VECTOR>{});
  else move(Constant<1>{});
}

// COUNT maps of u and of delta, to maps that are `step` numbers apart.
template <class S, int COUNT>
DEVICE void bring(typename S::Element* to, int step, const char* const (&from)[COUNT],
                  const Pieces& mine, int height) {
  in_pieces<S>(mine, [&](auto size) {
    using Piece = Bits<sizeof(typename S::Element) * decltype(size)::value>;
    over_pieces<decltype(size)::value>(mine, height, [&](int pixel, int row, int column) {
      Piece x[COUNT];
#pragma unroll
      for (int i = 0; i < COUNT; ++i)
        x[i] = *reinterpret_cast<const Piece*>(from[i] + pixel * int(sizeof(typename S::Element)));
#pragma unroll
      for (int i = 0; i < COUNT; ++i)
        *reinterpret_cast<Piece*>(to + i * step + row * S::PITCH + column) = x[i];
    });
  });
}

// A map of B, times a factor, and one of C as pairs.
template <class S>
DEVICE void bring_pairs(typename S::Pair* to, const char* B, const char* C, float factor,
                        const Pieces& mine, int height) {
  using Element = typename S::Element;
  in_pieces<S>(mine, [&](auto size) {
    constexpr int SIZE = decltype(size)::value, MOST = 16 / sizeof(typename S::Pair);
    constexpr int WANTED = SIZE < MOST ? SIZE : MOST, STORED = S::PAIRS % WANTED ? 1 : WANTED;
    over_pieces<SIZE>(mine, height, [&](int pixel, int row, int column) {
      const int offset = pixel * int(sizeof(Element));
      const auto b = *reinterpret_cast<const Pack<Element, SIZE>*>(B + offset);
      const auto c = *reinterpret_cast<const Pack<Element, SIZE>*>(C + offset);
#pragma unroll
      for (int i = 0; i < SIZE; i += STORED) {
        Pack<typename S::Pair, STORED> pairs;
#pragma unroll
        for (int k = 0; k < STORED; ++k)
          pairs.items[k] = {factor * widen(b.items[i + k]), widen(c.items[i + k])};
        *reinterpret_cast<decltype(pairs)*>(to + row * S::PAIRS + column + i) = pairs;
      }
    });
  });
}

// A map of shared memory as it is.
template <class S>
DEVICE void take(char* to, const typename S::Element* from, const Pieces& mine, int height) {
  in_pieces<S>(mine, [&](auto size) {
    using Piece = Bits<sizeof(typename S::Element) * decltype(size)::value>;
    over_pieces<decltype(size)::value>(mine, height, [&](int pixel, int row, int column) {
      *reinterpret_cast<Piece*>(to + pixel * int(sizeof(typename S::Element))) =
          *reinterpret_cast<const Piece*>(from + row * S::PITCH + column);
    });
  });
}

// A map of sums as one of Stored.
template <class S, class Stored>
DEVICE void take_sums(char* to, const float* from, const Pieces& mine, int height) {
  in_pieces<S>(mine, [&](auto size) {
    constexpr int SIZE = decltype(size)::value, MOST = 16 / sizeof(Stored);
    constexpr int STORED = SIZE < MOST ? SIZE : MOST;
    over_pieces<SIZE>(mine, height, [&](int pixel, int row, int column) {
#pragma unroll
      for (int i = 0; i < SIZE; i += STORED) {
        float x[STORED];
#pragma unroll
        for (int k = 0; k < STORED; ++k) x[k] = from[row * S::SUMS + column + i + k];
        Pack<Stored, STORED> pack;
        narrow(x, pack);
        *reinterpret_cast<Pack<Stored, STORED>*>(to + (pixel + i) * int(sizeof(Stored))) = pack;
      }
    });
  });
}

// Whether maps of an array begin at whole vectors.
template <class S>
DEVICE bool is_aligned(const MapOperand& x) {
  const long long all = reinterpret_cast<long long>(x.data) | x.batch | x.route | x.channel;
  return all % min(16, S::VECTOR * size_of(x.dtype)) == 0;
}

// A map of an array.
DEVICE char* map_of(const MapOperand& x, long long batch, int route, int channel) {
  return x.data + batch * x.batch + route * x.route + channel * x.channel;
}

// A, delta_bias log2(e) and D of the routes of a channel.
struct CrossRow {
  float A[CROSS_ROUTES], bias[CROSS_ROUTES], skip[CROSS_ROUTES];
};

// Whether every A that the thread has read is finite.
template <class Arguments>
DEVICE bool load_rows(CrossRow* rows, const Arguments& p, int first, int channels) {
  bool finite = true;
  for (int i = threadIdx.x; i < CROSS_ROUTES * channels; i += blockDim.x) {
    const int route = i % CROSS_ROUTES, row = i / CROSS_ROUTES;
    const int channel = min(first + row, p.channels - 1);
    const auto number = [&](const MapOperand& x) {
      return x.data ? read<float>(map_of(x, 0, route, channel), x.dtype) : 0.0f;
    };
    rows[row].A[route] = float(LN2) * rate_of(number(p.A));
    rows[row].bias[route] = float(LOG2E) * number(p.delta_bias);
    rows[row].skip[route] = number(p.D);
    finite = finite && is_finite(rows[row].A[route]);
  }
  return finite;
}
