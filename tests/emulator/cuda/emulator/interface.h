// What kernels, through the headers of this folder, ask of the runtime (runtime/).
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace emulator __attribute__((visibility("default"))) {

// A place in the source. As a default argument, HERE is the place of the call.
struct Site {
  const char* file;
  int line;
};
#define EMULATOR_HERE {__builtin_FILE(), __builtin_LINE()}

enum class Vote : uint8_t { none, count, all, any };

enum class Collective : uint8_t {
  syncwarp, activemask,
  shuffle, shuffle_up, shuffle_down, shuffle_xor,
  ballot, all, any, match_any, match_all,
  add, minimum, maximum, unsigned_minimum, unsigned_maximum, bit_and, bit_or, bit_xor,
};

// Wait until every thread of the block is at the same barrier; the result of the vote.
int barrier(Vote vote, bool value, Site site);

// Wait until the lanes of `mask` have all called the same operation; this lane's result.
// `argument` and `width` are those of a shuffle. A lane that gives nothing reads as all ones.
uint64_t collective(Collective operation, unsigned mask, uint64_t value, int argument, int width,
                    Site site);

// The block's variable with this key, made at its first use: its bytes are 0xff, NaN for floats.
void* static_shared(const void* key, size_t bytes, size_t alignment, Site site);
void* dynamic_shared(size_t alignment, Site site);

// The numbers of __launch_bounds__: more threads than the first cannot be launched.
void check_launch_bounds(Site site, unsigned threads, unsigned blocks = 0, unsigned cluster = 0);

// End the launch with an error at this place, in the name of the running thread.
[[noreturn]] void fail(Site site, const char* format, ...) __attribute__((format(printf, 2, 3)));

// One launch, as ctypes fills it in (launch.py). The kernel is called with each thread's arguments.
struct Launch {
  uint32_t grid[3], block[3];
  uint64_t dynamic_bytes;  // of shared memory
  uint64_t shared_limit;   // of static and dynamic shared memory together
  uint64_t seed;
  uint64_t first;  // block: those before it are left out
  int32_t order;  // of threads and blocks: forward, reverse, random
};

// 0, or 1 with the text in `error`.
int launch(const Launch& launch, void (*kernel)(void** arguments), void** arguments, char* error,
           size_t room);

}  // namespace emulator
