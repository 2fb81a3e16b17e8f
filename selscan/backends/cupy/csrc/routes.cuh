// Tiles along a route: which pixel a step visits, and where that lies in an array.
//
// A tile's pixels are in shared memory, in the order that place_of has. A step of padding reads
// zeros and writes nothing, a step past the end of the route is none.
#pragma once
#include "sequences.cuh"
#include "states.cuh"

// LENGTH pixels, and then the rows of the map that they are in.
template <class S>
DEVICE void load_pixels(int* pixels, const char* table, int route, const Tile& tile, int width) {
  const int* const from = reinterpret_cast<const int*>(table) + (long long)route * tile.length;
  for (int l = threadIdx.x; l < S::LENGTH; l += blockDim.x) {
    const int pixel = tile.first + l < tile.length ? from[tile.first + l] : PAST;
    pixels[place_of<S>(l)] = pixel;
    pixels[S::LENGTH + place_of<S>(l)] = max(pixel, 0) / width;
  }
}

// The first step of a route that is no padding. Routes that are joined are one.
template <class Arguments>
DEVICE int first_pixel(const Arguments& p, const char* table, int route) {
  const int skipped = p.joined ? 0 : route, routes = p.joined ? p.routes : 1;
  const int* const from = reinterpret_cast<const int*>(table) + (long long)skipped * p.length;
  int step = 0;
  while (step < routes * p.length && from[step] == PADDING) ++step;
  return step - (route - skipped) * p.length;
}

// Bit t: own step t is padding. `pixels`: those of the thread.
template <class S>
DEVICE unsigned padding_of(const int* pixels) {
  unsigned bits = 0;
#pragma unroll
  for (int t = 0; t < S::STEPS; ++t)
    bits |= unsigned(pixels[place_of<S>(t)] == PADDING) << t;
  return bits;
}

// A step of a route.
struct At {
  int pixel, step;
  const int* row;  // of the map
};

template <class S>
DEVICE At step_at(const int* pixels, int place, int step) {
  return {pixels[place], step, pixels + S::LENGTH + place};
}

// Bytes from the first pixel or step of an array; unsigned factors take fewer instructions.
DEVICE long long offset_of(const MapOperand& x, const At& at) {
  long long offset = unsigned(x.ordered ? at.step : at.pixel) * x.step;
  if (x.row) offset += unsigned(*at.row) * x.row;
  return offset;
}

// The rows of a warp (or of a block) in an array, for a route.
DEVICE char* rows_of(const MapOperand& x, long long batch, int route, int channel) {
  return x.data + batch * x.batch + route * x.route + channel * x.channel;
}

DEVICE bool along_channels(const MapOperand& x) {
  return x.channel != 0 && abs(x.channel) < abs(x.step);
}

// Calls visit(channel, place in the tile, At) for the channels of a warp's tile that exist,
// neighbouring lanes on neighbouring steps or on neighbouring channels.
template <class S, class Visit>
DEVICE void over_tile(const int* pixels, const Tile& tile, bool by_channel, Visit visit) {
  const int lane = threadIdx.x % 32;
  if (by_channel) {
#pragma unroll 2
    for (int i = lane; i < S::ROWS * S::LENGTH; i += 32) {
      const int row = i % S::ROWS, l = i / S::ROWS, place = place_of<S>(l);
      if (row < tile.channels) visit(row, place, step_at<S>(pixels, place, tile.first + l));
    }
    return;
  }
  constexpr int PER_ROW = S::LENGTH < 32 ? S::LENGTH : 32, AT_ONCE = 32 / PER_ROW;
#pragma unroll 1
  for (int l = lane % PER_ROW; l < S::LENGTH; l += PER_ROW) {
    const int place = place_of<S>(l);
    const At at = step_at<S>(pixels, place, tile.first + l);
#pragma unroll 4
    for (int row = lane / PER_ROW; row < tile.channels; row += AT_ONCE) visit(row, place, at);
  }
}

// The same for all pixels of a map: visit(channel, At).
template <class S, class Visit>
DEVICE void over_map(int pixels, int width, int channels, bool by_channel, Visit visit) {
  constexpr int AT_ONCE = S::ROWS < 32 ? 32 / S::ROWS : 1;  // pixels
  const int lane = threadIdx.x % 32, first = by_channel ? lane / S::ROWS : lane;
  const int step = by_channel ? 32 : 1;
#pragma unroll 1
  for (int pixel = first; pixel < pixels; pixel += by_channel ? AT_ONCE : 32) {
    const int map_row = pixel / width;
#pragma unroll 1
    for (int row = by_channel ? lane % S::ROWS : 0; row < channels; row += step)
      visit(row, At{pixel, 0, &map_row});
  }
}

// Of a warp's tile, in its buffer.
template <class S, class Real>
DEVICE Real& in_buffer(Real* buffer, int row, int place) {
  return buffer[row_of<S>(row) * S::PITCH + place];
}

template <class S, class Element, class Real>
DEVICE void fetch(Real* buffer, const char* rows, const MapOperand& x, const int* pixels,
                  const Tile& tile) {
  over_tile<S>(pixels, tile, along_channels(x), [&](int row, int place, const At& at) {
    Real value[1] = {Real(0)};
    if (at.pixel >= 0)
      load<Element>(value, rows + offset_of(x, at) + row * x.channel, x.dtype);
    in_buffer<S>(buffer, row, place) = value[0];
  });
}

// B and C of a route, of some states.
struct RouteCoefficients {
  const MapOperand &B, &C;
  const char *B_data, *C_data;  // of the first state
};

// B and C of a tile, `states` of them, by all warps of the block.
template <class S, class Element, class Number>
DEVICE void stage(Number* shared, const RouteCoefficients& x, const int* pixels, const Tile& tile,
                  int states) {
  const bool along_states = states > 1 && abs(x.B.state) < abs(x.B.step);
  const auto copy = [&](int n, int place, const At& at, long long B_offset, long long C_offset) {
    Number B[1] = {Number{}}, C[1] = {Number{}};
    if (at.pixel >= 0) {
      load<Element>(B, x.B_data + n * x.B.state + B_offset, x.B.dtype);
      load<Element>(C, x.C_data + n * x.C.state + C_offset, x.C.dtype);
    }
    Number* const to = shared + n * S::COEFFICIENTS + place;
    to[0] = B[0];
    to[S::LENGTH] = C[0];
  };
  if (along_states) {
#pragma unroll 1
    for (int i = threadIdx.x; i < states * S::LENGTH; i += blockDim.x) {
      const int l = i / states, place = place_of<S>(l);
      const At at = step_at<S>(pixels, place, tile.first + l);
      copy(i % states, place, at, offset_of(x.B, at), offset_of(x.C, at));
    }
    return;
  }
  const int at_once = max(1, int(blockDim.x) / S::LENGTH), first = threadIdx.x / S::LENGTH;
  if (first >= at_once) return;
#pragma unroll 1
  for (int l = threadIdx.x % S::LENGTH; l < S::LENGTH; l += blockDim.x) {
    const int place = place_of<S>(l);
    const At at = step_at<S>(pixels, place, tile.first + l);
    const long long B_offset = offset_of(x.B, at), C_offset = offset_of(x.C, at);
#pragma unroll 4
    for (int n = first; n < states; n += at_once) copy(n, place, at, B_offset, C_offset);
  }
}

// A result that routes may share, and where they add it up.
template <class Real>
struct Shared2d {
  const MapOperand &result, &sums;
  int mode;
  bool whole;      // every route visits every pixel
  Real* resident;  // of the warp; channels follow one another

  DEVICE bool by_channel() const { return along_channels(result); }
  // Whether some route finds what others left, or zeros.
  DEVICE bool adds(int route, int first) const { return mode != APART && !(whole && route == first); }
  // Whether a route writes the result, and not a sum.
  DEVICE bool ends(int route, int last) const {
    return mode == APART || (mode == SCRATCH && whole && route == last);
  }
  DEVICE char* sum_rows(long long batch, int channel) const {
    return mode == RESIDENT ? reinterpret_cast<char*>(resident) : rows_of(sums, batch, 0, channel);
  }
};

// A result of 16 bits may be asked for as float.
template <class Element, class Real>
DEVICE void store_result(Real x, char* at, int dtype) {
  Real value[1] = {x};
  if constexpr (CODE<Element> == FLOAT16 || CODE<Element> == BFLOAT16)
    if (dtype == FLOAT32) {
      store<float>(value, at, dtype);
      return;
    }
  store<Element>(value, at, dtype);
}

// Where a block keeps what its routes add up, and where the result goes: of some rows.
template <class Real>
struct Target {
  const Shared2d<Real>& x;
  char *rows, *sums;
  bool adds, ends;

  DEVICE Real& sum(int row, const At& at) const {
    return *reinterpret_cast<Real*>(sums + row * x.sums.channel + offset_of(x.sums, at));
  }
  template <class Element>
  DEVICE void write(Real value, int row, const At& at) const {
    store_result<Element>(value, rows + row * x.result.channel + offset_of(x.result, at),
                          x.result.dtype);
  }
};

// Puts what a route has for a pixel, or for a step, where it belongs. `over(visit)` calls
// visit(row, value, At); it is asked for three times, so that no loop has a branch.
template <class Element, class Real, class Over>
DEVICE void put(const Target<Real>& to, Over over) {
  if (to.x.mode == APART)
    over([&](int row, Real value, const At& at) { to.template write<Element>(value, row, at); });
  else if (!to.ends)
    over([&](int row, Real value, const At& at) {
      Real& sum = to.sum(row, at);
      if (to.adds) value += sum;
      sum = value;
    });
  else
    over([&](int row, Real value, const At& at) {
      if (to.adds) value += to.sum(row, at);
      to.template write<Element>(value, row, at);
    });
}

// Zeros where no route may write, before any does.
template <class S, class Element, class Real>
DEVICE void clear(const Shared2d<Real>& x, const Tile& tile, int routes, int pixels, int width) {
  if (x.whole || x.result.ordered) return;
  char* const sums = x.sum_rows(tile.batch, tile.channel);
  for (int route = 0; route < (x.mode == APART ? routes : 1); ++route) {
    const Target<Real> to = {x, rows_of(x.result, tile.batch, route, tile.channel), sums, false,
                             false};
    put<Element>(to, [&](auto visit) {
      over_map<S>(pixels, width, tile.channels, x.by_channel(),
                  [&](int row, const At& at) { visit(row, Real(0), at); });
    });
  }
}

// The result from its sums, unless the last route has written it.
template <class S, class Element, class Real>
DEVICE void conclude(const Shared2d<Real>& x, const Tile& tile, int pixels, int width) {
  if (x.mode < SCRATCH || (x.mode == SCRATCH && x.whole)) return;
  const Target<Real> to = {x, rows_of(x.result, tile.batch, 0, tile.channel),
                           x.sum_rows(tile.batch, tile.channel), true, true};
  over_map<S>(pixels, width, tile.channels, x.by_channel(), [&](int row, const At& at) {
    to.template write<Element>(to.sum(row, at), row, at);
  });
}

// A row's number for each own channel, zeros where there is none.
template <class S, class Real>
DEVICE void read_row_of(Real (&values)[S::CHANNELS], const MapOperand& x, int route, int channel,
                        int channels) {
#pragma unroll
  for (int r = 0; r < S::CHANNELS; ++r) {
    values[r] = Real(0);
    if (x.data && r < channels)
      values[r] = read<Real>(rows_of(x, 0, route, channel + r), x.dtype);
  }
}
