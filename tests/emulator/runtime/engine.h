// The state of a launch. One at a time: the caller holds a lock (launch.py).
#pragma once
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <memory>
#include <vector>

#include "../cuda/emulator/interface.h"
#include "fiber.h"
#include "sanitizer.h"

// Kernels know these as constants (cuda/emulator/language.h): they are, for each thread.
struct Index {
  unsigned x, y, z;
};
#pragma GCC visibility push(default)
Index threadIdx, blockIdx, blockDim, gridDim;
#pragma GCC visibility pop

namespace emulator {

enum class State : uint8_t { ready, at_barrier, at_collective, finished };

// A CUDA thread, and what it gave to the operation at which it waits.
struct Thread {
  Context context;
  StackBounds stack;
  Agent agent;
  Index index;
  unsigned warp, lane;
  State state;
  Site site;
  Vote vote;
  Collective operation;
  unsigned mask;
  int argument, width;
  uint64_t value, result;
};

// The lanes of a warp in each state, as masks.
struct Warp {
  Thread* threads;
  unsigned exists, ready, at_barrier, at_collective, at_activemask, finished;
};

// What ThreadSanitizer orders by in one block. New memory for each: tags that blocks shared would
// order the blocks.
struct Tags {
  struct Group {
    const Warp* warp;
    unsigned lanes;
    std::unique_ptr<char> tag;
  };
  char barrier;
  std::vector<Group> groups;

  char* of_group(const Warp& warp, unsigned lanes) {
    for (const Group& group : groups)
      if (group.warp == &warp && group.lanes == lanes) return group.tag.get();
    groups.push_back({&warp, lanes, std::make_unique<char>()});
    return groups.back().tag.get();
  }
};

struct Engine {
  const Launch* launch;
  void (*kernel)(void**);
  void** arguments;
  std::vector<Thread> threads;  // of the current block
  std::vector<Warp> warps;
  Thread* running;
  Context main;
  StackBounds main_stack;
  Agent main_agent;
  std::vector<Agent> agents;
  size_t agent_sets;  // the agents of how many blocks
  Stacks stacks;
  uint64_t random;
  std::unique_ptr<Tags> tags;
  char started, finished;  // tags: the launch before its threads, and its threads before its end
  char error[1024];
};
Engine engine;

inline bool same(Site a, Site b) { return a.line == b.line && !strcmp(a.file, b.file); }

// A site and an index as text.
struct Place {
  char text[256];
  explicit Place(Site site) {
    const char* slash = strrchr(site.file, '/');
    snprintf(text, sizeof text, "%s:%d", slash ? slash + 1 : site.file, site.line);
  }
};

struct Triple {
  char text[40];
  explicit Triple(Index i) { snprintf(text, sizeof text, "(%u, %u, %u)", i.x, i.y, i.z); }
};

// Record an error in the name of a thread; the first one stays.
__attribute__((format(printf, 3, 0))) inline void record(const Thread& thread, Site site,
                                                          const char* format, va_list list) {
  if (engine.error[0]) return;
  const size_t room = sizeof engine.error;
  const int used = snprintf(engine.error, room, "%s: block %s thread %s: ", Place(site).text,
                            Triple(blockIdx).text, Triple(thread.index).text);
  vsnprintf(engine.error + used, room - used, format, list);
}

// The same from the scheduler. False: the block cannot go on.
__attribute__((format(printf, 2, 3))) inline bool report(const Thread& thread, const char* format,
                                                          ...) {
  va_list list;
  va_start(list, format);
  record(thread, thread.site, format, list);
  va_end(list);
  return false;
}

inline Warp& warp_of(const Thread& thread) { return engine.warps[thread.warp]; }

template <class Function>
void for_lanes(unsigned mask, Function function) {
  for (; mask; mask &= mask - 1) function(static_cast<unsigned>(__builtin_ctz(mask)));
}

// From the scheduler to a thread.
inline void resume(Thread& thread) {
  engine.running = &thread;
  threadIdx = thread.index;
  thread.agent.enter();
  engine.main_stack.leave_for(thread.stack, false);
  engine.main.switch_to(thread.context);
  engine.main_stack.arrive_from(thread.stack);
  engine.running = nullptr;
}

// From the running thread to the scheduler.
inline void suspend(Thread& thread) {
  engine.main_agent.enter();
  thread.stack.leave_for(engine.main_stack, thread.state == State::finished);
  thread.context.switch_to(engine.main);
  thread.stack.arrive_from(engine.main_stack);
}

void fail(Site site, const char* format, ...) {
  va_list list;
  va_start(list, format);
  record(*engine.running, site, format, list);
  va_end(list);
  suspend(*engine.running);
  __builtin_unreachable();
}

}  // namespace emulator
