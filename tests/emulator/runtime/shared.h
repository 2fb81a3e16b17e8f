// Shared memory: each variable of a block is a heap block of exactly its size, filled with 0xff.
#pragma once
#include <stdlib.h>

#include "engine.h"

namespace emulator {

struct Variable {
  const void* key;  // null: the dynamic one
  char* memory;     // as allocated
  size_t offset, bytes, alignment;

  size_t room() const { return offset + (bytes ? bytes : 8); }
};

struct Shared {
  std::vector<Variable> variables;
  size_t used = 0;
  char ready;  // tag: made before it is used
};
Shared shared;

constexpr size_t STATIC_LIMIT = 48 << 10;

// In pages of their own for ThreadSanitizer: what is unmapped has no history when it is used again.
inline void* map_pages(size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

inline bool allocate(Variable& variable) {
  const size_t alignment = variable.alignment < 16 ? 16 : variable.alignment;
  // As aligned as was declared and no more: a vector access that needs more is found. But blocks of
  // the heap begin aligned, and AddressSanitizer must know where a variable begins.
  if (!ADDRESSES && variable.alignment < 16) variable.offset = variable.alignment;
  void* block = nullptr;
  if (RACES)
    block = map_pages(variable.room());
  else if (posix_memalign(&block, alignment, variable.room()))
    return false;
  if (!block) return false;
  variable.memory = static_cast<char*>(block);
  memset(block, 0xff, variable.room());
  if (!variable.bytes) forbid_access(block, variable.room());
  return true;
}

inline void release(Variable& variable) {
  allow_access(variable.memory, variable.room());
  if (RACES)
    munmap(variable.memory, variable.room());
  else
    free(variable.memory);
}

inline void release_shared() {
  for (Variable& variable : shared.variables) release(variable);
  shared.variables.clear();
  shared.used = 0;
}

// In the name of the launch, not of the thread that happens to come first.
inline Variable& add(const void* key, size_t bytes, size_t alignment, Site site) {
  engine.main_agent.enter();
  Variable variable = {key, nullptr, 0, bytes, alignment};
  const bool made = allocate(variable);
  Agent::release(&shared.ready);
  engine.running->agent.enter();
  if (!made) fail(site, "no memory for %zu bytes of shared memory", bytes);
  shared.variables.push_back(variable);
  shared.used += bytes;
  return shared.variables.back();
}

inline Variable& find(const void* key, size_t bytes, size_t alignment, Site site) {
  if (!engine.running) {  // a constructor of a static object: before any launch
    fputs("emulator: shared memory is used outside kernels\n", stderr);
    abort();
  }
  for (Variable& variable : shared.variables)
    if (variable.key == key) return variable;
  return add(key, bytes, alignment, site);
}

void* static_shared(const void* key, size_t bytes, size_t alignment, Site site) {
  const Variable variable = find(key, bytes, alignment, site);
  size_t total = 0;
  for (const Variable& each : shared.variables)
    if (each.key) total += each.bytes;
  const size_t dynamic = engine.launch->dynamic_bytes, limit = engine.launch->shared_limit;
  if (total > STATIC_LIMIT)
    fail(site, "static shared memory must fit in %zu bytes; got %zu", STATIC_LIMIT, total);
  if (total + dynamic > limit)
    fail(site, "shared memory must fit in %zu bytes; got %zu static and %zu dynamic", limit, total,
         dynamic);
  Agent::acquire(&shared.ready);
  return variable.memory + variable.offset;
}

void* dynamic_shared(size_t alignment, Site site) {
  const Variable variable = find(nullptr, engine.launch->dynamic_bytes, alignment, site);
  if (variable.alignment < alignment)
    fail(site, "extern __shared__: all declarations must have the same alignment; got %zu and %zu",
         variable.alignment, alignment);
  Agent::acquire(&shared.ready);
  return variable.memory + variable.offset;
}

}  // namespace emulator
