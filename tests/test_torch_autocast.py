"""Under torch.autocast the scan takes what the layers around it give, and casts nothing."""

import pytest
from tensors import assert_equal, grads_of, scan, step_of, tensors_of, torch, total

import selscan

sixteen_bits = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


class Mixer(torch.nn.Module):
    """Projections, which autocast runs in 16 bits, and a scan of what they give."""

    def __init__(self, width=5, n=4):
        super().__init__()
        self.into = torch.nn.Linear(width, width)
        self.into_delta = torch.nn.Linear(width, width)
        self.into_b = torch.nn.Linear(width, n)
        self.A = torch.nn.Parameter(-torch.rand(width, n))

    def forward(self, x):
        u, delta, B = self.into(x), self.into_delta(x), self.into_b(x)
        return u, selscan.scan(u, delta, self.A, B, B, delta_softplus=True, layout="bld")


@sixteen_bits
def test_autocast_casts_nothing(dtype):
    tensors, options = tensors_of(dtype="mixed")
    want = scan(tensors, options)
    with torch.autocast("cpu", dtype=dtype):
        got = scan(tensors, options)
        total(tensors, options).backward()
    assert_equal(got, want)
    again, _ = tensors_of(dtype="mixed")
    total(again, options).backward()
    assert_equal(grads_of(tensors), grads_of(again))


def test_autocast_casts_nothing_in_a_step():
    tensors, options = tensors_of((), l=1)
    step, want = step_of(tensors, options), step_of(tensors, options)
    step["state"] = step["state"].clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = selscan.scan_step(**step)
    assert_equal(got, selscan.scan_step(**want))


@pytest.mark.parametrize("compiled", [False, True])
@sixteen_bits
def test_a_scan_takes_what_autocast_gives(dtype, compiled):
    torch.manual_seed(0)
    module = Mixer()
    run = torch.compile(module, fullgraph=True, backend="aot_eager") if compiled else module
    x = torch.randn(2, 9, 5)
    with torch.autocast("cpu", dtype=dtype):
        u, y = run(x)
    y.float().sum().backward()
    assert u.dtype == y.dtype == dtype
    assert {p.grad.dtype for p in module.parameters()} == {torch.float32}
    _, want = Mixer.forward(module, x)
    torch.testing.assert_close(y.float(), want, rtol=0.05, atol=0.05)
