"""Mixers of maps, written the way VMamba-style code calls the extensions, against plain torch."""

import pytest

torch = pytest.importorskip("torch")

import plain_torch as plain  # noqa: E402
from plain_torch import assert_same, exact_copy, shaken  # noqa: E402
from torch import nn  # noqa: E402

import selscan  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _patched():
    """As in a script whose first lines these are."""
    with selscan.patch():
        yield


def function_around(extension, form):
    """A Function around the fwd and bwd of an extension, in one of the forms of such calls."""

    class Around(torch.autograd.Function):
        @staticmethod
        def forward(ctx, u, delta, A, B, C, D, bias, wide):
            with torch.cuda.device(u.device):  # as around Triton kernels
                if form == "gate":
                    out, x, *_ = extension.fwd(u, delta, A, B, C, D, None, bias, True)
                else:
                    last = (1, wide) if form == "oflex" else (1,)
                    out, x, *_ = extension.fwd(u, delta, A, B, C, D, bias, True, *last)
            ctx.save_for_backward(u, delta, A, B, C, D, bias, x)
            return out

        @staticmethod
        def backward(ctx, dout):
            u, delta, A, B, C, D, bias, x = ctx.saved_tensors
            dout = dout if dout.stride(-1) == 1 else dout.contiguous()
            if form == "gate":
                end = None, bias, dout, x, None, None, True, False
                found = extension.bwd(u, delta, A, B, C, D, *end)
            else:
                found = extension.bwd(u, delta, A, B, C, D, bias, dout, x, True, 1)
            return *found[:7], None

    return Around


def cross(x):
    """Maps (b, d, h, w) as four sequences, (b, 4, d, l)."""
    rows, columns = x.flatten(2), x.transpose(2, 3).flatten(2)
    both = torch.stack((rows, columns), 1)
    return torch.cat((both, both.flip(-1)), 1)


def merged(y, h, w):
    """The sum of four sequences (b, 4, d, l), back in place."""
    both = y[:, :2] + y[:, 2:].flip(-1)
    return (both[:, 0].unflatten(2, (h, w)) + both[:, 1].unflatten(2, (w, h)).mT).flatten(2)


class CrossMixer(nn.Module):
    """Scans in four directions, in groups."""

    def __init__(self, d=6, n=1, rank=2, k=4):
        super().__init__()
        self.k, self.sizes = k, (rank, n, n)
        self.x_proj = nn.Parameter(torch.randn(k, rank + 2 * n, d) / d)
        self.dt_proj = nn.Parameter(torch.randn(k, d, rank) / rank)
        self.dt_bias = nn.Parameter(torch.rand(k * d))
        self.A_logs = nn.Parameter(torch.rand(k * d, n))
        self.Ds = nn.Parameter(torch.ones(k * d))

    def forward(self, x, scan):
        b, d, h, w = x.shape
        xs = cross(x)
        rows = torch.einsum("bkdl,kcd->bkcl", xs, self.x_proj)
        dt, B, C = rows.split(self.sizes, 2)
        delta = torch.einsum("bkrl,kdr->bkdl", dt, self.dt_proj)
        A = -self.A_logs.float().exp() if x.dtype != torch.float64 else -self.A_logs.exp()
        ys = scan(
            xs.reshape(b, -1, h * w),
            delta.reshape(b, -1, h * w),
            A,
            B.contiguous(),
            C.contiguous(),
            self.Ds,
            self.dt_bias,
        )
        return merged(ys.view(b, self.k, d, -1), h, w)


def plain_cross(x, parameters):
    exact = CrossMixer().double()
    for name, parameter in parameters.items():
        delattr(exact, name)
        setattr(exact, name, parameter)

    def scan(u, delta, A, B, C, D, bias):
        return plain.scan(u, delta, A, B, C, D, None, bias, True)[0]

    return CrossMixer.forward(exact, x, scan)


FORMS = {
    "selective_scan_cuda": "gate",
    "selective_scan_cuda_core": "core",
    "selective_scan_cuda_nrow": "core",
    "selective_scan_cuda_oflex": "oflex",
}


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", FORMS)
def test_a_mixer_of_maps_around_an_extension(name, autocast):
    extension = __import__(name)
    scan = function_around(extension, FORMS[name]).apply
    mixer, x = shaken(CrossMixer()), torch.randn(2, 6, 3, 5, requires_grad=True)
    parameters = exact_copy(mixer)
    inputs = [x, *mixer.parameters()]
    exact = [plain.in_float64(x), *parameters.values()]
    want = plain_cross(exact[0], parameters)

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        got = mixer(x, lambda *args: scan(*args, True))

    assert got.dtype == torch.float32
    assert_same(got, want, inputs, exact, 3e-2 if autocast else 5e-6)


def test_all_extensions_are_there_at_once():
    import selective_scan_cuda_core
    import selective_scan_cuda_ndstate
    import selective_scan_cuda_nrow
    import selective_scan_cuda_oflex
    import selective_scan_cuda_oflex_rh
    from selective_scan import SelectiveScanFn, selective_scan_fn, selective_scan_ref
    from selective_scan_vmamba import selective_scan_cuda_core as first
    from selective_scan_vmamba_pt202 import selective_scan_cuda_core as second

    assert first.fwd is second.fwd is selective_scan_cuda_core.fwd is selective_scan_cuda_nrow.fwd
    rest = selective_scan_cuda_ndstate, selective_scan_cuda_oflex, selective_scan_cuda_oflex_rh
    assert all(callable(x.fwd) and callable(x.bwd) for x in rest)
    assert all(map(callable, (SelectiveScanFn.apply, selective_scan_fn, selective_scan_ref)))
