// Included before a kernel's source; with what calls the kernel.
#pragma once
#include <utility>

#include "language.h"
#include "math_functions.h"
#include "memory_functions.h"
#include "vector_types.h"
#include "warp_functions.h"

namespace emulator {

template <class... Parameters, size_t... I>
void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<const Parameters*>(arguments[I])...);
}

template <class... Parameters>
void call(void (*kernel)(Parameters...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<Parameters...>());
}

// The sizes of a kernel's parameters, ended by a zero.
template <class... Parameters>
const size_t* sizes(void (*)(Parameters...)) {
  static const size_t bytes[] = {sizeof(Parameters)..., 0};
  return bytes;
}

}  // namespace emulator

#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))

// The functions that ctypes finds for kernel `number`. Its name stands where no other hides it.
#define EMULATOR_KERNEL(number, ...)                                                            \
  constexpr auto emulator_kernel_##number = &__VA_ARGS__;                                       \
  EMULATOR_EXPORT const size_t* emulator_sizes_##number() {                                     \
    return emulator::sizes(emulator_kernel_##number);                                           \
  }                                                                                             \
  EMULATOR_EXPORT int emulator_launch_##number(const emulator::Launch* launch, void** arguments, \
                                               char* error, size_t room) {                      \
    const auto run = [](void** values) { emulator::call(emulator_kernel_##number, values); };   \
    return emulator::launch(*launch, run, arguments, error, room);                              \
  }
