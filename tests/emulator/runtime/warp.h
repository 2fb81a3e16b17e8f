// Operations of the lanes of a warp: they wait for one another, then one of them computes for all.
#pragma once
#include "engine.h"

namespace emulator {

constexpr unsigned FULL = 0xffffffff;
constexpr uint64_t NOTHING = ~uint64_t(0);  // NaN: what comes from a lane that takes no part

inline const char* name_of(Collective operation) {
  static const char* const names[] = {
      "__syncwarp", "__activemask", "__shfl_sync", "__shfl_up_sync", "__shfl_down_sync",
      "__shfl_xor_sync", "__ballot_sync", "__all_sync", "__any_sync", "__match_any_sync",
      "__match_all_sync", "__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync",
      "__reduce_min_sync", "__reduce_max_sync", "__reduce_and_sync", "__reduce_or_sync",
      "__reduce_xor_sync"};
  return names[static_cast<int>(operation)];
}

inline const char* name_of(Vote vote) {
  static const char* const names[] = {"__syncthreads", "__syncthreads_count", "__syncthreads_and",
                                      "__syncthreads_or"};
  return names[static_cast<int>(vote)];
}

inline bool is_shuffle(Collective operation) {
  return operation >= Collective::shuffle && operation <= Collective::shuffle_xor;
}

uint64_t collective(Collective operation, unsigned mask, uint64_t value, int argument, int width,
                    Site site) {
  Thread& thread = *engine.running;
  const unsigned self = 1u << thread.lane;
  const char* name = name_of(operation);
  Warp& warp = warp_of(thread);
  if (!(mask & self))
    fail(site, "%s: mask 0x%08x must name the calling lane, %u", name, mask, thread.lane);
  if (mask != FULL && (mask & ~warp.exists))
    fail(site, "%s: mask 0x%08x names lanes that the block does not have", name, mask);
  if (is_shuffle(operation) && (width < 1 || width > 32 || (width & (width - 1))))
    fail(site, "%s: width must be a power of two up to 32; got %d", name, width);
  thread.site = site;
  thread.operation = operation;
  thread.mask = mask & warp.exists;
  thread.value = value;
  thread.argument = argument;
  thread.width = width;
  thread.state = State::at_collective;
  warp.ready &= ~self;
  (operation == Collective::activemask ? warp.at_activemask : warp.at_collective) |= self;
  suspend(thread);
  return thread.result;
}

// The lane from which a lane reads in a shuffle; its own where it would leave its segment.
// As PTX has it, only five bits of the argument count, and xor may reach earlier segments.
inline unsigned source_lane(const Thread& thread) {
  const int lane = static_cast<int>(thread.lane), width = thread.width;
  const int first = lane / width * width, by = thread.argument & 31;
  int source = lane;
  switch (thread.operation) {
    case Collective::shuffle: return first + (by & (width - 1));
    case Collective::shuffle_up: source = lane - by < first ? lane : lane - by; break;
    case Collective::shuffle_down: source = lane + by >= first + width ? lane : lane + by; break;
    default: source = (lane ^ by) >= first + width ? lane : lane ^ by;
  }
  return static_cast<unsigned>(source);
}

inline uint32_t reduce(Collective operation, uint32_t a, uint32_t b) {
  const auto x = static_cast<int32_t>(a), y = static_cast<int32_t>(b);
  switch (operation) {
    case Collective::add: return a + b;
    case Collective::minimum: return x < y ? a : b;
    case Collective::maximum: return x > y ? a : b;
    case Collective::unsigned_minimum: return a < b ? a : b;
    case Collective::unsigned_maximum: return a > b ? a : b;
    case Collective::bit_and: return a & b;
    case Collective::bit_or: return a | b;
    default: return a ^ b;
  }
}

// The lanes of a group whose value is `value`.
inline unsigned matching(const Warp& warp, unsigned group, uint64_t value) {
  unsigned mask = 0;
  for_lanes(group, [&](unsigned lane) {
    mask |= unsigned(warp.threads[lane].value == value) << lane;
  });
  return mask;
}

// What a lane gets that does not depend on the lane.
inline uint64_t common_result(const Warp& warp, unsigned group, const Thread& first) {
  const unsigned no = matching(warp, group, 0);
  switch (first.operation) {
    case Collective::ballot: return group & ~no;
    case Collective::all: return no == 0;
    case Collective::any: return no != group;
    case Collective::match_all: return matching(warp, group, first.value) == group ? group : 0;
    case Collective::activemask: return group;
    case Collective::syncwarp: return 0;
    default: break;
  }
  auto total = static_cast<uint32_t>(first.value);
  for_lanes(group & ~(1u << first.lane), [&](unsigned lane) {
    total = reduce(first.operation, total, static_cast<uint32_t>(warp.threads[lane].value));
  });
  return total;
}

// __syncwarp alone orders memory: what its lanes did before comes before what they do after it.
// All release before any acquires, and no other lanes of the warp know the tag.
inline void order_memory(const Warp& warp, unsigned group) {
  char* tag = engine.tags->of_group(warp, group);
  for_lanes(group, [&](unsigned lane) { warp.threads[lane].agent.enter(), Agent::release(tag); });
  for_lanes(group, [&](unsigned lane) { warp.threads[lane].agent.enter(), Agent::acquire(tag); });
  engine.main_agent.enter();
}

inline void complete(Warp& warp, unsigned group) {
  Thread& first = warp.threads[__builtin_ctz(group)];
  if (is_shuffle(first.operation)) {
    for_lanes(group, [&](unsigned lane) {
      const unsigned source = source_lane(warp.threads[lane]);
      const bool given = group >> source & 1;
      warp.threads[lane].result = given ? warp.threads[source].value : NOTHING;
    });
  } else if (first.operation == Collective::match_any) {
    for_lanes(group, [&](unsigned lane) {
      warp.threads[lane].result = matching(warp, group, warp.threads[lane].value);
    });
  } else {
    const uint64_t result = common_result(warp, group, first);
    for_lanes(group, [&](unsigned lane) { warp.threads[lane].result = result; });
  }
  if (RACES && first.operation == Collective::syncwarp) order_memory(warp, group);
  for_lanes(group, [&](unsigned lane) { warp.threads[lane].state = State::ready; });
  warp.at_collective &= ~group;
  warp.at_activemask &= ~group;
  warp.ready |= group;
}

// Does a lane wait at the operation of another, with the same mask? __syncwarp may be called from
// several places.
inline bool meets(const Thread& thread, const Thread& other) {
  return thread.state == State::at_collective && thread.operation == other.operation &&
         thread.mask == other.mask &&
         (thread.operation == Collective::syncwarp || same(thread.site, other.site));
}

// The first lane of a mask that does not meet the others of it; null if all do.
inline const Thread* find_missing(const Warp& warp, const Thread& first) {
  const Thread* missing = nullptr;
  for_lanes(first.mask, [&](unsigned lane) {
    if (!missing && !meets(warp.threads[lane], first)) missing = &warp.threads[lane];
  });
  return missing;
}

// __activemask waits until no lane of the warp can run: those that meet at one place are the active
// ones.
inline void complete_activemask(Warp& warp) {
  const Site site = warp.threads[__builtin_ctz(warp.at_activemask)].site;
  unsigned group = 0;
  for_lanes(warp.at_activemask, [&](unsigned lane) {
    group |= unsigned(same(warp.threads[lane].site, site)) << lane;
  });
  complete(warp, group);
}

// Complete what can be completed. False: an error.
inline bool complete_collectives(Warp& warp) {
  for (unsigned left = warp.at_collective; left;) {
    const Thread& first = warp.threads[__builtin_ctz(left)];
    left &= left - 1;
    if (const unsigned gone = first.mask & warp.finished)
      return report(first, "%s: mask 0x%08x names lane %d, which has exited",
                    name_of(first.operation), first.mask, __builtin_ctz(gone));
    if ((first.mask & ~warp.at_collective) || find_missing(warp, first)) continue;
    left &= ~first.mask;
    complete(warp, first.mask);
  }
  if (!warp.ready && warp.at_activemask) complete_activemask(warp);
  return true;
}

}  // namespace emulator
