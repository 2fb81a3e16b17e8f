// Numbers of 16 and 32 bits as float.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

inline __device__ float widen(float x) { return x; }
inline __device__ float widen(__half x) { return __half2float(x); }
inline __device__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }

inline __device__ void narrow(float &y, float x) { y = x; }
inline __device__ void narrow(__half &y, float x) { y = __float2half(x); }
inline __device__ void narrow(__nv_bfloat16 &y, float x) { y = __float2bfloat16(x); }
