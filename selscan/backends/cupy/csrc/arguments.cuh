// The one argument of each kernel, a struct by value; arguments.py has the same layout.
#pragma once

// How threads reach the (channel, time) tiles of an array, chosen by the host.
enum Access {
  ELEMENTS_ALONG_CHANNELS,  // any steps; neighbouring lanes take neighbouring channels (or states)
  VECTORS_ALONG_CHANNELS,   // the same with several channels (or states) in one load
  ELEMENTS_ALONG_TIME,      // time is contiguous
  VECTORS_ALONG_TIME,       // and four steps are one load: aligned, length a multiple of 4
};

// An array: steps are bytes between neighbours along an axis, 0 where it has none.
struct Operand {
  char* data;  // null: not given
  long long batch, channel, state, time;  // of B and C: `channel` is the group, if they have time
  int dtype, access;
};

struct ForwardArguments {
  Operand u, delta, z, B, C, y;
  Operand A, D, delta_bias, initial_state, last_state, seq_idx;
  Operand saved, carries;  // `channel` is the group, `time` the chunk or the segment
  int channels, length, states, groups;
  int channel_blocks;  // of a group
  int segments, span;  // of time, each for blocks of its own; steps of a segment
  int maps;            // the launch that finds the maps of segments
  int parts;           // warps that share the states of the same channels
  int staged;          // states of which B and C are in shared memory at once
  int state_step;      // numbers from a state to the next in shared memory
  int softplus, reverse;
  int ahead;           // steps of seq_idx before the first one: 0 or 1
  int constant_b, constant_c;  // no time axis: (d, n)
};

struct StepArguments {
  Operand u, delta, z, B, C, y;
  Operand A, D, delta_bias, state;
  long long rows;  // (batch, channel) pairs
  int channels, states, groups;
  int lanes;  // that share the states of a row: a power of two, at most 32
  int softplus;
  int constant_b, constant_c;
};

struct BackwardArguments {
  Operand u, delta, z, B, C, dy, du, ddelta, dz;
  Operand A, D, delta_bias, initial_state, dlast_state, seq_idx;
  Operand saved, carries;  // `channel` is the group, `time` the chunk or the segment
  Operand dA, dB, dC, dD, ddelta_bias, dinitial_state;
  long long slice_b, slice_c;  // bytes from a slice's part of dB and dC to the next one's
  int channels, length, states, groups;
  int channel_blocks;  // of a group
  int slices, walk;    // blocks that share a group; channel blocks that each of them takes
  int segments, span;  // of time, each for blocks of its own; chunks of a segment
  int staged;          // states of which B and C are in shared memory at once
  int softplus, reverse;
  int ahead;           // steps of seq_idx before the first one: 0 or 1
  int constant_b, constant_c;
};

enum { SUM_AXES = 6 };  // of the gradient of B, a map with a depth for each route

// Sums of parts, a thread for each result.
struct Sum {
  char *parts, *result;
  long long part;      // bytes between parts, in which the numbers follow one another
  long long steps[SUM_AXES];  // of the result, bytes; sizes[0] is the slowest of the parts
  int sizes[SUM_AXES];
  int count;  // of parts; 0: nothing to do
  int parts_dtype, dtype;
};

struct SumArguments {
  Sum sums[5];
  long long most;  // results of one sum
};

// Entries of tables of pixels that are none: a step of padding, and no step at all.
enum { PADDING = -1, PAST = -2 };

struct MoveArguments {
  const char* source;
  char* result;
  const char* list;  // (place, number in the chunk), int32, [route][chunk][length]; or the orders
  long long batch, route, channel, column;  // bytes between neighbours in the source
  long long row;       // what a new row of the source adds to that: 0 where rows follow one another
  long long frame;     // and a new frame
  long long size;      // steps or pixels of the result
  int routes, channels, width, height;
  int chunks, length;  // of the result
  int rows, channel_blocks, pitch;  // channels of a block; numbers from one to the next
  int shift;           // of threads beside one another that take channels
  int gathers, steps;  // of orders per sample: what is done, steps of a route
};

// The check of orders per sample; steps are bytes between neighbours in the source.
struct OrdersArguments {
  const char* source;
  char* result;  // int32, in C order
  long long batch, route, step;
  long long tasks;  // routes of all samples
  long long length, pixels;
  int routes;
};

// An array of maps, or in the order of routes. Steps are bytes, 0 where it has no such axis.
struct MapOperand {
  char* data;  // null: not given
  long long batch, route, channel, state;
  long long step;  // between neighbours in a row, or from a step of a route to the next
  long long row;   // what a new row adds to that: 0 where rows follow one another
  int dtype;
  int ordered;     // has steps, not pixels
};

// Where routes add up what they have for a pixel.
enum Sums {
  APART,     // nowhere: each writes its own
  IN_PLACE,  // in the result, which has the dtype of the arithmetic
  SCRATCH,   // in numbers of that dtype, of the block's own; the last route writes the result
  RESIDENT,  // the same in shared memory
};

struct Scan2dArguments {
  MapOperand u, delta, B, C, y, sums;
  MapOperand A, D, delta_bias;
  MapOperand saved;  // states at the ends of chunks: `step` from a chunk to the next
  const char* table;  // pixels, int32, [route][step]
  long long table_batch;  // bytes from the table of a sample to the next, 0 where they share one
  int channels, length, states, routes, pixels, width;
  int channel_blocks;
  int staged, state_step;  // as in ForwardArguments
  int chunks;      // of a route
  int mode;        // Sums
  int whole;       // every route visits every pixel
  int softplus, joined;
};

struct Backward2dArguments {
  MapOperand u, delta, B, C, dy, du, ddelta, du_sums, ddelta_sums;
  MapOperand A, D, delta_bias, saved;
  MapOperand dA, dB, dC, dD, ddelta_bias;
  const char* table;
  long long table_batch;  // as in Scan2dArguments
  long long part_b, part_c;  // bytes from a part of dB and dC to the next
  int channels, length, states, routes, pixels, width;
  int channel_blocks;
  int slices, walk;  // as in BackwardArguments
  int staged;
  int chunks;
  int du_mode, ddelta_mode;  // Sums
  int whole;
  int parts;     // of dB and dC, for each slice: 1, or one for each route
  int softplus, joined;
};

// Small maps along the cross path, with one state; rows and maps follow one another.
struct CrossArguments {
  MapOperand u, delta, B, C, y;
  MapOperand A, D, delta_bias;
  int channels, height, width;
  int channel_blocks, turns;  // of a batch element; channels that a team takes
  int team;  // threads
  int softplus;
};

struct CrossBackwardArguments {
  MapOperand u, delta, B, C, dy, du, ddelta;
  MapOperand A, D, delta_bias, dA, dB, dC, dD, ddelta_bias;
  long long part_b, part_c;  // bytes from a part of dB and dC to the next
  int channels, height, width;
  int channel_blocks, turns, team;  // as in CrossArguments
  int dy_in_order;     // it has the dtype of u, and its rows follow one another
  int parts_in_order;  // the same of dB and dC, with floats
  int softplus;
};
