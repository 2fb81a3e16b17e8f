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
  int channels, length, states, groups;
  int channel_blocks;  // of a group
  int parts;           // warps that share the states of the same channels
  int staged;          // states of which B and C are in shared memory at once
  int state_step;      // numbers from a state to the next in shared memory
  int softplus, reverse;
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
