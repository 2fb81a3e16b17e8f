// Conversions, arithmetic and mathematical functions, element by element.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define I int(blockIdx.x * blockDim.x + threadIdx.x)

template <class T>
__device__ unsigned short bits(T x);
template <>
__device__ unsigned short bits(__half x) { return __half_as_ushort(x); }
template <>
__device__ unsigned short bits(__nv_bfloat16 x) { return __bfloat16_as_ushort(x); }

template <class T, class From>
__global__ void narrow(const From* in, unsigned short* out, int n) {
  if (I < n) out[I] = bits(T(in[I]));
}

template <class T>
__global__ void widen(const T* in, float* out, int n) {
  if (I < n) out[I] = float(in[I]);
}

// out: a + b, a - b, a * b, a / b, -a, a < b, a == b.
template <class T>
__global__ void arithmetic(const T* a, const T* b, T* out, int n) {
  if (I >= n) return;
  const T x = a[I], y = b[I];
  out[I] = x + y;
  out[n + I] = x - y;
  out[2 * n + I] = x * y;
  out[3 * n + I] = x / y;
  out[4 * n + I] = -x;
  out[5 * n + I] = T(int(x < y) + 2 * (x == y) + 4 * (x >= y));
  T sum = x;
  sum += y;
  sum *= y;
  out[6 * n + I] = sum;
}

// The functions that a header has by name, for each type.
extern "C" __global__ void by_name(const float* in, unsigned short* halves, float* floats) {
  const float2 v = {in[0], in[1]};
  const __half h = __float2half(v.x);
  const __half2 h2[] = {__floats2half2_rn(v.x, v.y), __float22half2_rn(v),
                        __halves2half2(h, __float2half_rn(v.y)), make_half2(h, half(v.y))};
  const __nv_bfloat16 b = __float2bfloat16(v.x);
  const __nv_bfloat162 b2[] = {__floats2bfloat162_rn(v.x, v.y), __float22bfloat162_rn(v),
                               __halves2bfloat162(b, __float2bfloat16_rn(v.y)),
                               make_bfloat162(b, nv_bfloat16(v.y))};
  for (int i = 0; i < 4; ++i) {
    *halves++ = __half_as_ushort(h2[i].x);
    *halves++ = __half_as_ushort(__high2half(h2[i]));
    *halves++ = __bfloat16_as_ushort(__low2bfloat16(b2[i]));
    *halves++ = __bfloat16_as_ushort(b2[i].y);
  }
  *floats++ = __half2float(__ushort_as_half(0x3c01));
  *floats++ = __bfloat162float(__ushort_as_bfloat16(0x3f81));
  *floats++ = __half22float2(h2[0]).x;
  *floats++ = __high2float(h2[0]);
  *floats++ = __bfloat1622float2(b2[0]).x;
  *floats++ = __low2float(b2[0]);
  *floats++ = __hisnan(__ushort_as_half(0x7fff)) + 2 * __hisnan(h);
}

extern "C" __global__ void functions(const float* in, float* out, int n) {
  if (I >= n) return;
  const float x = in[I];
  const float results[] = {
      exp2f(x),          __expf(x),      __logf(x),        __log2f(x),   expf(x),
      log1pf(x),         rsqrtf(x),      __fdividef(1, x), fmaf(x, x, 1), __saturatef(x),
      fmaxf(x, 0.0f),    min(x, 1.0f),   max(x, 1.0f),
      emulator::ex2_approx_ftz(x),       emulator::lg2_approx_ftz(x),
      emulator::rcp_approx_ftz(x),       emulator::tanh_approx(x),
  };
  int row = 0;
  for (const float result : results) out[row++ * n + I] = result;
}

extern "C" __global__ void integers(long long* out) {
  *out++ = min(-1, 2u);
  *out++ = max(-1, 2u);
  *out++ = min(-1, 2);
  *out++ = max(3ll, -4ll);
  *out++ = __popc(0xf0f0u) + __popcll(~0ull);
  *out++ = __clz(1) + 100 * __clz(0) + 10000 * __clzll(1ll << 40);
  *out++ = __ffs(8) + 100 * __ffs(0);
  *out++ = __brev(0x80000001u);
  *out++ = __brev(0x00000006u);
  *out++ = __umulhi(0xffffffffu, 16u);
  *out++ = __mulhi(-1, 16);
  *out++ = __float_as_int(-0.0f);
  *out++ = __float_as_uint(1.0f);
  *out++ = __int_as_float(0x40000000) == 2.0f;
  *out++ = __double_as_longlong(__longlong_as_double(12345));
}

struct Layout {
  int size, alignment;
};
template <class T>
__device__ Layout layout() { return {int(sizeof(T)), int(alignof(T))}; }

extern "C" __global__ void layouts(Layout* out) {
  const Layout all[] = {
      layout<char1>(),   layout<char2>(),   layout<uchar3>(),  layout<uchar4>(),
      layout<short2>(),  layout<ushort4>(), layout<int2>(),    layout<int3>(),
      layout<int4>(),    layout<uint2>(),   layout<uint3>(),   layout<uint4>(),
      layout<long2>(),   layout<longlong2>(), layout<ulonglong4>(), layout<float1>(),
      layout<float2>(),  layout<float3>(),  layout<float4>(),  layout<double2>(),
      layout<double4>(), layout<__half>(),  layout<__half2>(), layout<__nv_bfloat162>(),
  };
  for (const Layout each : all) *out++ = each;
}

// Old values of atomics, and what they leave.
extern "C" __global__ void atomics(int* i, unsigned* u, unsigned long long* l, float* f, double* d,
                                   double* old) {
  *old++ = atomicAdd(i, -3);
  *old++ = atomicSub(i, 4);
  *old++ = atomicMin(i, -100);
  *old++ = atomicMax(i, 7);
  *old++ = atomicExch(i, 12);
  *old++ = atomicCAS(i, 12, 5);
  *old++ = atomicCAS(i, 12, 6);
  *old++ = atomicAnd(u, 0xfcu);
  *old++ = atomicOr(u, 0x3u);
  *old++ = atomicXor(u, 0xffu);
  *old++ = atomicInc(u, 3u);
  *old++ = atomicDec(u, 9u);
  *old++ = atomicSub(u, 1u);
  *old++ = atomicAdd(l, 1ull);
  *old++ = atomicMax(l, 1ull << 63);
  *old++ = atomicAdd(f, 0.5f);
  *old++ = atomicExch(f, 9);
  *old++ = atomicAdd(d, 0.25);
}

// Loads and stores with a cache policy.
extern "C" __global__ void policies(const float4* in, float4* out) {
  __stcs(out, __ldg(in));
  __stcg(out + 1, __ldcs(in + 1));
  __stwt(out + 2, __ldcg(in + 2));
  __stwb(out + 3, __ldca(in + 3));
  out[4] = __ldcv(in + 3);
  out[5] = __ldlu(in + 2);
}
