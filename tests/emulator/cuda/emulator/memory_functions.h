// Atomics, and loads and stores with a cache policy.
#pragma once
#include <string.h>

#include <type_traits>

namespace emulator {

// Replace *address by change(*address); the old value. A real atomic, so that ThreadSanitizer knows
// it; relaxed, as CUDA's are: it orders no other memory.
template <class Type, class Change>
Type exchange(Type* address, Change change) {
  using Bits = std::conditional_t<
      sizeof(Type) == 8, unsigned long long,
      std::conditional_t<sizeof(Type) == 4, unsigned, unsigned short>>;
  static_assert(sizeof(Type) == sizeof(Bits), "an atomic has 2, 4 or 8 bytes");
  auto* place = reinterpret_cast<Bits*>(address);
  Bits before = __atomic_load_n(place, __ATOMIC_RELAXED), after;
  Type old;
  do {
    memcpy(&old, &before, sizeof old);
    const Type changed = change(old);
    memcpy(&after, &changed, sizeof after);
  } while (!__atomic_compare_exchange_n(place, &before, after, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  return old;
}

// Integers wrap around.
template <class Type>
Type sum(Type a, Type b) {
  if constexpr (std::is_integral<Type>::value) {
    using Unsigned = std::make_unsigned_t<Type>;
    return static_cast<Type>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return a + b;
  }
}

// The value argument does not take part in the deduction of a template's type.
template <class Type>
struct Same {
  using type = Type;
};

}  // namespace emulator

#define EMULATOR_ATOMIC(name, expression)                                        \
  template <class Type>                                                          \
  Type name(Type* address, typename emulator::Same<Type>::type value) {          \
    return emulator::exchange(address, [=](Type old) -> Type { return expression; }); \
  }
EMULATOR_ATOMIC(atomicAdd, emulator::sum(old, value))
EMULATOR_ATOMIC(atomicExch, ((void)old, value))
EMULATOR_ATOMIC(atomicMin, value < old ? value : old)
EMULATOR_ATOMIC(atomicMax, value > old ? value : old)
EMULATOR_ATOMIC(atomicAnd, old & value)
EMULATOR_ATOMIC(atomicOr, old | value)
EMULATOR_ATOMIC(atomicXor, old ^ value)
EMULATOR_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1)
#undef EMULATOR_ATOMIC

inline int atomicSub(int* address, int value) {
  return int(atomicAdd(reinterpret_cast<unsigned*>(address), 0u - unsigned(value)));
}
inline unsigned atomicSub(unsigned* address, unsigned value) {
  return atomicAdd(address, 0u - value);
}

template <class Type>
Type atomicCAS(Type* address, typename emulator::Same<Type>::type compare,
               typename emulator::Same<Type>::type value) {
  return emulator::exchange(address, [=](Type old) { return old == compare ? value : old; });
}

#define EMULATOR_LOAD(name)          \
  template <class Type>              \
  Type name(const Type* address) {   \
    return *address;                 \
  }
EMULATOR_LOAD(__ldg)
EMULATOR_LOAD(__ldca)
EMULATOR_LOAD(__ldcg)
EMULATOR_LOAD(__ldcs)
EMULATOR_LOAD(__ldcv)
EMULATOR_LOAD(__ldlu)
#undef EMULATOR_LOAD

#define EMULATOR_STORE(name)                                                \
  template <class Type>                                                     \
  void name(Type* address, typename emulator::Same<Type>::type value) {     \
    *address = value;                                                       \
  }
EMULATOR_STORE(__stcg)
EMULATOR_STORE(__stcs)
EMULATOR_STORE(__stwb)
EMULATOR_STORE(__stwt)
#undef EMULATOR_STORE
