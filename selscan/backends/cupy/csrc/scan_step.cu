// One step of the scan for one token, the state updated in place:
//
//     delta' = softplus(delta + delta_bias)        h = exp(delta' A) h + delta' u B
//     y = sum over n of C h + D u                  out = y silu(z)
//
// complex A: twice the real part of the sum.
//
//     lanes    share the states of a row, a (batch, channel) pair; neighbours have neighbouring n
//     block    rows one after another; grid: enough blocks for all rows
//
// A step reads and writes the states and little else, so dtypes are looked at at run time.
#include "arguments.cuh"
#include "elements.cuh"

template <class Number>
__global__ void __launch_bounds__(128) scan_step(const __grid_constant__ StepArguments p) {
  using Real = RealOf<Number>;
  const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  const long long wanted = thread / p.lanes;
  const int lane = threadIdx.x % p.lanes;
  const bool exists = wanted < p.rows;
  const long long row = exists ? wanted : p.rows - 1;
  const int states = exists ? p.states : 0;  // every lane takes part in the shuffles
  const long long b = row / p.channels, d = row % p.channels;
  const long long group = d / (p.channels / p.groups);

  const auto real = [&](const Operand& x) {
    return x.data ? read<Real>(x.data + b * x.batch + d * x.channel, x.dtype) : Real(0);
  };
  Real delta = real(p.delta) + real(p.delta_bias);
  if (p.softplus) delta = softplus(delta);
  const Real u = real(p.u), x = delta * u;
  const char* const A = p.A.data + d * p.A.channel;
  const char* const B = p.B.data + b * p.B.batch + (p.constant_b ? d : group) * p.B.channel;
  const char* const C = p.C.data + b * p.C.batch + (p.constant_c ? d : group) * p.C.channel;
  char* const state = p.state.data + b * p.state.batch + d * p.state.channel;

  Real y = Real(0);
  for (int n = lane; n < states; n += p.lanes) {
    const Number a = decay(delta, rate_of(read<Number>(A + n * p.A.state, p.A.dtype)));
    const Number input = times(x, read<Number>(B + n * p.B.state, p.B.dtype));
    const Number h = advance(a, read<Number>(state + n * p.state.state, p.state.dtype), input);
    y = add_output(read<Number>(C + n * p.C.state, p.C.dtype), h, y);
    write_any(h, state + n * p.state.state, p.state.dtype);
  }
  for (int by = p.lanes / 2; by > 0; by /= 2) y += __shfl_xor_sync(0xffffffffu, y, by);
  if (Traits<Number>::IS_COMPLEX) y *= Real(2);
  if (p.D.data) y = fused(real(p.D), u, y);
  if (p.z.data) y *= silu(real(p.z));
  if (exists && lane == 0) write_real(y, p.y.data + b * p.y.batch + d * p.y.channel, p.y.dtype);
}
