// What UndefinedBehaviorSanitizer's checks in a kernel call: an error of the running thread, with
// its place, instead of the runtime library. Layouts: GCC's ubsan.c and LLVM's ubsan_handlers.h.
#pragma once
#include "engine.h"

namespace emulator {

struct SourceLocation {
  const char* file;
  uint32_t line, column;
};

struct TypeDescriptor {
  uint16_t kind, info;
  char name[1];

  int bits() const { return 1 << (info >> 1); }
  bool is_signed() const { return info & 1; }
};

using Operand = uintptr_t;  // a value, or where it is if it is wider

// An integer as text.
struct Number {
  char text[40];
  Number(const TypeDescriptor& type, Operand operand) {
    if (type.kind != 0 || type.bits() > 64) {
      snprintf(text, sizeof text, "(a value)");
    } else if (type.is_signed()) {
      const int unused = 64 - type.bits();
      const auto value = static_cast<int64_t>(uint64_t{operand} << unused) >> unused;
      snprintf(text, sizeof text, "%lld", static_cast<long long>(value));
    } else {
      snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(operand));
    }
  }
};

struct Mismatch {
  SourceLocation place;
  const TypeDescriptor& type;
  unsigned char log_alignment, access;
};

struct OutOfBounds {
  SourceLocation place;
  const TypeDescriptor &array, &index;
};

struct Overflow {
  SourceLocation place;
  const TypeDescriptor& type;
};

struct Shift {
  SourceLocation place;
  const TypeDescriptor &left, &right;
};

inline Site site_of(const SourceLocation& place) {
  return {place.file, static_cast<int>(place.line)};
}

[[noreturn]] inline void overflow(const Overflow& data, const char* sign, Operand a, Operand b) {
  fail(site_of(data.place), "integer overflow: %s %s %s is not a value of type %s",
       Number(data.type, a).text, sign, Number(data.type, b).text, data.type.name);
}

}  // namespace emulator

#pragma GCC visibility push(default)
extern "C" {

using namespace emulator;

void __ubsan_handle_type_mismatch_v1_abort(Mismatch* data, uintptr_t address) {
  static const char* const accesses[] = {"load", "store", "reference", "member access",
                                         "member call", "constructor call"};
  const char* access = data->access < 6 ? accesses[data->access] : "access";
  const size_t alignment = size_t{1} << data->log_alignment;
  const Site site = site_of(data->place);
  if (!address) fail(site, "%s through a null pointer to %s", access, data->type.name);
  fail(site, "misaligned %s: address %p is not a multiple of %zu, as type %s needs", access,
       reinterpret_cast<void*>(address), alignment, data->type.name);
}

void __ubsan_handle_out_of_bounds_abort(OutOfBounds* data, Operand index) {
  fail(site_of(data->place), "index %s is out of bounds for type %s",
       Number(data->index, index).text, data->array.name);
}

void __ubsan_handle_add_overflow_abort(Overflow* data, Operand a, Operand b) {
  overflow(*data, "+", a, b);
}
void __ubsan_handle_sub_overflow_abort(Overflow* data, Operand a, Operand b) {
  overflow(*data, "-", a, b);
}
void __ubsan_handle_mul_overflow_abort(Overflow* data, Operand a, Operand b) {
  overflow(*data, "*", a, b);
}
void __ubsan_handle_divrem_overflow_abort(Overflow* data, Operand a, Operand b) {
  overflow(*data, "/", a, b);
}
void __ubsan_handle_negate_overflow_abort(Overflow* data, Operand a) {
  overflow(*data, "-", 0, a);
}

void __ubsan_handle_shift_out_of_bounds_abort(Shift* data, Operand value, Operand by) {
  fail(site_of(data->place), "shift of type %s by %s", data->left.name,
       Number(data->right, by).text);
  (void)value;
}

}  // extern "C"
#pragma GCC visibility pop
