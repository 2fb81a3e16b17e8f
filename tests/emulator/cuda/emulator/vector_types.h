// float4 and its kin, as large and as aligned as CUDA's.
#pragma once
#include <stddef.h>

#define EMULATOR_VECTORS(type, name, align2, align4)                                     \
  struct name##1 {                                                                       \
    type x;                                                                              \
  };                                                                                     \
  struct alignas(align2) name##2 {                                                       \
    type x, y;                                                                           \
  };                                                                                     \
  EMULATOR_VECTOR_OF_3(type, name)                                                       \
  struct alignas(align4) name##4 {                                                       \
    type x, y, z, w;                                                                     \
  };                                                                                     \
  inline name##1 make_##name##1(type x) { return {x}; }                                  \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }                       \
  inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }            \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

#define EMULATOR_VECTOR_OF_3(type, name) \
  struct name##3 {                       \
    type x, y, z;                        \
  };

EMULATOR_VECTORS(signed char, char, 2, 4)
EMULATOR_VECTORS(unsigned char, uchar, 2, 4)
EMULATOR_VECTORS(short, short, 4, 8)
EMULATOR_VECTORS(unsigned short, ushort, 4, 8)
EMULATOR_VECTORS(int, int, 8, 16)
EMULATOR_VECTORS(long, long, 16, 16)
EMULATOR_VECTORS(unsigned long, ulong, 16, 16)
EMULATOR_VECTORS(long long, longlong, 16, 16)
EMULATOR_VECTORS(unsigned long long, ulonglong, 16, 16)
EMULATOR_VECTORS(float, float, 8, 16)
EMULATOR_VECTORS(double, double, 16, 16)

// language.h has uint3, the type of threadIdx.
#undef EMULATOR_VECTOR_OF_3
#define EMULATOR_VECTOR_OF_3(type, name)
EMULATOR_VECTORS(unsigned, uint, 8, 16)

#undef EMULATOR_VECTORS
#undef EMULATOR_VECTOR_OF_3
