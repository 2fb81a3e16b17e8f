// A block: run its threads until all have returned, with barriers and the order of threads.
#pragma once
#include "shared.h"
#include "warp.h"

namespace emulator {

enum Order { FORWARD, REVERSE, RANDOM };

// splitmix64 (Steele, Lea and Flood 2014).
inline uint64_t draw() {
  uint64_t z = engine.random += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// 0 to size - 1 as the launch orders them.
inline void arrange(std::vector<uint32_t>& order, size_t size) {
  order.resize(size);
  const bool reverse = engine.launch->order == REVERSE;
  for (size_t i = 0; i < size; ++i) order[i] = static_cast<uint32_t>(reverse ? size - 1 - i : i);
  if (engine.launch->order == RANDOM)
    for (size_t i = size; i > 1; --i) std::swap(order[i - 1], order[draw() % i]);
}

int barrier(Vote vote, bool value, Site site) {
  Thread& thread = *engine.running;
  Warp& warp = warp_of(thread);
  thread.site = site;
  thread.vote = vote;
  thread.value = value;
  thread.state = State::at_barrier;
  warp.ready &= ~(1u << thread.lane);
  warp.at_barrier |= 1u << thread.lane;
  suspend(thread);
  return static_cast<int>(thread.result);
}

// The first function on a thread's stack.
inline void thread_main() {
  Thread& thread = *engine.running;
  thread.stack.arrive_from(engine.main_stack);
  Agent::acquire(&engine.started);
  engine.kernel(engine.arguments);
  Agent::release(&engine.finished);
  Warp& warp = warp_of(thread);
  thread.state = State::finished;
  warp.ready &= ~(1u << thread.lane);
  warp.finished |= 1u << thread.lane;
  suspend(thread);
  __builtin_trap();
}

// What all did before the barrier comes before what any does after it: all release before any
// acquires.
inline void order_block() {
  char* tag = &engine.tags->barrier;
  for (Thread& thread : engine.threads) thread.agent.enter(), Agent::release(tag);
  for (Thread& thread : engine.threads) thread.agent.enter(), Agent::acquire(tag);
  engine.main_agent.enter();
}

// Every thread waits at a barrier or has returned. False: not all at one barrier.
inline bool complete_barrier() {
  const Thread* first = nullptr;
  const Thread* gone = nullptr;
  uint64_t votes = 0;
  for (const Thread& thread : engine.threads) {
    if (thread.state == State::finished) {
      gone = &thread;
      continue;
    }
    if (!first) first = &thread;
    votes += thread.value;
    if (!same(thread.site, first->site) || thread.vote != first->vote)
      return report(thread, "%s: all threads must reach the same barrier; thread %s waits at %s",
                    name_of(thread.vote), Triple(first->index).text, Place(first->site).text);
  }
  if (gone)
    return report(*first, "%s: all threads must reach the barrier; thread %s has exited",
                  name_of(first->vote), Triple(gone->index).text);
  uint64_t result = votes;
  if (first->vote == Vote::all) result = votes == engine.threads.size();
  if (first->vote == Vote::any) result = votes > 0;
  for (Thread& thread : engine.threads) {
    thread.result = result;
    thread.state = State::ready;
  }
  if (RACES) order_block();
  for (Warp& warp : engine.warps) {
    warp.ready = warp.exists;
    warp.at_barrier = 0;
  }
  return true;
}

// Run the lanes that can run, each until it waits. False: an error.
inline bool step(Warp& warp) {
  static std::vector<uint32_t> lanes;
  const bool reverse = engine.launch->order == REVERSE, random = engine.launch->order == RANDOM;
  if (random) arrange(lanes, 32);
  for (unsigned i = 0; i < 32; ++i) {
    const unsigned lane = random ? lanes[i] : reverse ? 31 - i : i;
    if (!(warp.ready >> lane & 1)) continue;
    resume(warp.threads[lane]);
    if (engine.error[0]) return false;
  }
  return complete_collectives(warp);
}

// Lanes wait for others that never come.
inline bool report_deadlock() {
  for (const Thread& thread : engine.threads) {
    if (thread.state != State::at_collective) continue;
    const char* name = name_of(thread.operation);
    const Thread& other = *find_missing(warp_of(thread), thread);
    const Place place(other.site);
    if (other.state == State::at_barrier)
      return report(thread, "%s with mask 0x%08x waits for lane %u, which waits in %s at %s", name,
                    thread.mask, other.lane, name_of(other.vote), place.text);
    return report(thread,
                  "%s with mask 0x%08x waits for lane %u, which waits in %s with mask 0x%08x at %s",
                  name, thread.mask, other.lane, name_of(other.operation), other.mask, place.text);
  }
  __builtin_unreachable();
}

// Run every warp until all its lanes wait or have returned; in random order a step at a time, which
// interleaves the warps. False: an error.
inline bool run_warps() {
  static std::vector<uint32_t> order;
  const bool random = engine.launch->order == RANDOM;
  for (bool again = true; again;) {
    again = false;
    arrange(order, engine.warps.size());
    for (uint32_t index : order) {
      Warp& warp = engine.warps[index];
      while (warp.ready) {
        if (!step(warp)) return false;
        again = true;
        if (random) break;
      }
    }
  }
  return true;
}

inline bool run_threads() {
  for (;;) {
    if (!run_warps()) return false;
    bool finished = true, waiting = true;
    for (const Warp& warp : engine.warps) {
      finished &= warp.finished == warp.exists;
      waiting &= (warp.finished | warp.at_barrier) == warp.exists;
    }
    if (finished) return true;
    if (!waiting) return report_deadlock();
    if (!complete_barrier()) return false;
  }
}

// Threads on their stacks, ready to run. `number`: which block of the launch it is.
inline bool start_threads(size_t number) {
  const size_t size = engine.threads.size(), sets = RACES ? engine.agent_sets : 1;
  const Index block = blockDim;
  for (size_t i = 0; i < size; ++i) {
    Thread& thread = engine.threads[i];
    const size_t slot = number % sets * size + i;
    char* stack = engine.stacks.get(slot);
    if (!stack) return false;
    thread.stack = {stack, STACK, nullptr};
    thread.context.start(stack, thread_main);
    thread.index = {unsigned(i % block.x), unsigned(i / block.x % block.y),
                    unsigned(i / block.x / block.y)};
    thread.warp = unsigned(i / 32);
    thread.lane = i % 32;
    thread.state = State::ready;
    if (RACES) {
      char name[96];
      snprintf(name, sizeof name, "block %s thread %s", Triple(blockIdx).text,
               Triple(thread.index).text);
      thread.agent = engine.agents[slot];
      thread.agent.name(name);
    }
  }
  for (size_t w = 0; w < engine.warps.size(); ++w) {
    const size_t lanes = size - 32 * w;
    const unsigned exists = lanes >= 32 ? FULL : (1u << lanes) - 1;
    engine.warps[w] = {&engine.threads[32 * w], exists, exists, 0, 0, 0, 0};
  }
  return true;
}

inline void run_block(size_t number) {
  engine.tags = std::make_unique<Tags>();
  Agent::release(&engine.started);
  if (!start_threads(number)) {
    snprintf(engine.error, sizeof engine.error, "no memory for the stacks of a block");
    return;
  }
  if (!run_threads())
    for (Thread& thread : engine.threads)
      if (thread.state != State::finished) {
        thread.agent.enter();
        Agent::release(&engine.finished);
        engine.main_agent.enter();
        thread.stack.abandon();
      }
  release_shared();
}

}  // namespace emulator
