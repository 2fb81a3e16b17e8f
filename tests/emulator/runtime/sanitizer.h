// What AddressSanitizer and ThreadSanitizer must be told about fibers. The runtime itself is built
// without them: nothing it does to the kernels' memory, or to its own, is a finding.
#pragma once
#include <stddef.h>

#ifdef EMULATOR_ADDRESS
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* size);
void __asan_poison_memory_region(const volatile void* address, size_t size);
void __asan_unpoison_memory_region(const volatile void* address, size_t size);
void __asan_set_error_report_callback(void (*callback)(const char*));
}
#endif

#ifdef EMULATOR_THREAD
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_set_fiber_name(void* fiber, const char* name);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace emulator {

// A stack as AddressSanitizer knows it.
struct StackBounds {
  const void* bottom = nullptr;
  size_t size = 0;
  void* fake = nullptr;

  // Leave this stack for another one; `finished` if nobody comes back.
  void leave_for(const StackBounds& other, bool finished) {
#ifdef EMULATOR_ADDRESS
    __sanitizer_start_switch_fiber(finished ? nullptr : &fake, other.bottom, other.size);
#else
    (void)other, (void)finished;
#endif
  }

  // Arrived on this stack; where from is written to `other`, whose bounds may not be known yet.
  void arrive_from(StackBounds& other) {
#ifdef EMULATOR_ADDRESS
    __sanitizer_finish_switch_fiber(fake, &other.bottom, &other.size);
#else
    (void)other;
#endif
  }

  // The frames on it will never return.
  void abandon() {
#ifdef EMULATOR_ADDRESS
    __asan_unpoison_memory_region(bottom, size);
#endif
  }
};

// Have a function called after a report.
inline void when_reported([[maybe_unused]] void (*callback)(const char*)) {
#ifdef EMULATOR_ADDRESS
  __asan_set_error_report_callback(callback);
#endif
}

inline void forbid_access([[maybe_unused]] void* address, [[maybe_unused]] size_t bytes) {
#ifdef EMULATOR_ADDRESS
  __asan_poison_memory_region(address, bytes);
#endif
}
inline void allow_access([[maybe_unused]] void* address, [[maybe_unused]] size_t bytes) {
#ifdef EMULATOR_ADDRESS
  __asan_unpoison_memory_region(address, bytes);
#endif
}

// A thread as ThreadSanitizer knows it. A switch orders nothing; only acquire after release does.
struct Agent {
  void* handle = nullptr;

#ifdef EMULATOR_THREAD
  static Agent current() { return {__tsan_get_current_fiber()}; }
  static Agent create() { return {__tsan_create_fiber(0)}; }
  void name(const char* text) { __tsan_set_fiber_name(handle, text); }
  void enter() const { __tsan_switch_to_fiber(handle, 1); }
  static void acquire(void* tag) { __tsan_acquire(tag); }
  static void release(void* tag) { __tsan_release(tag); }
#else
  static Agent current() { return {}; }
  static Agent create() { return {}; }
  void name(const char*) {}
  void enter() const {}
  static void acquire(void*) {}
  static void release(void*) {}
#endif
};

// What the build looks for.
#ifdef EMULATOR_ADDRESS
constexpr bool ADDRESSES = true;
#else
constexpr bool ADDRESSES = false;
#endif
#ifdef EMULATOR_THREAD
constexpr bool RACES = true;
#else
constexpr bool RACES = false;
#endif

}  // namespace emulator
