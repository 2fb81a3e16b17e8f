// A stack of its own for each CUDA thread, and the switch between two of them: 20 lines of assembly
// on x86-64; elsewhere, or with EMULATOR_UCONTEXT, <ucontext.h>, which makes a system call.
#pragma once
#include <stdint.h>
#include <sys/mman.h>

#include <vector>

#if !defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)
#define EMULATOR_UCONTEXT
#endif
#ifdef EMULATOR_UCONTEXT
#include <ucontext.h>
#endif

namespace emulator {

// Pages are only used once they are touched, so there is room for what sanitizers add to frames.
constexpr size_t STACK = 256 << 10, GUARD = 4096;

#ifdef EMULATOR_UCONTEXT
struct Context {
  ucontext_t state;

  void start(char* stack, void (*entry)()) {
    getcontext(&state);
    state.uc_stack.ss_sp = stack;
    state.uc_stack.ss_size = STACK;
    state.uc_link = nullptr;
    makecontext(&state, entry, 0);
  }
  void switch_to(Context& other) { swapcontext(&state, &other.state); }
};
#else
// Saves what a function must preserve on the stack, and the stack pointer in *save; then the same
// in reverse for `load`.
extern "C" void emulator_switch(void** save, void* load);
asm(R"(
.text
.hidden emulator_switch
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch, . - emulator_switch
)");

struct Context {
  void* stack_pointer;

  void start(char* stack, void (*entry)()) {
    auto slots = reinterpret_cast<uintptr_t*>(stack + STACK);
    *--slots = 0;  // where a return address stands: keeps the stack aligned as after a call
    *--slots = reinterpret_cast<uintptr_t>(entry);
    for (int saved = 0; saved < 6; ++saved) *--slots = 0;
    stack_pointer = slots;
  }
  void switch_to(Context& other) { emulator_switch(&stack_pointer, other.stack_pointer); }
};
#endif

// Stacks above a guard page each; they are kept for later launches.
class Stacks {
 public:
  // Null if there is no memory.
  char* get(size_t index) {
    while (stacks_.size() <= index) {
      void* pages = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (pages == MAP_FAILED) return nullptr;
      mprotect(pages, GUARD, PROT_NONE);
      stacks_.push_back(static_cast<char*>(pages) + GUARD);
    }
    return stacks_[index];
  }

 private:
  std::vector<char*> stacks_;
};

}  // namespace emulator
