"""What drop-in code is compared with: the same equations in plain torch, step by step.

Nothing here is fast, and nothing comes from selscan. Loops follow the dtype of their inputs;
`in_float64` makes them exact enough to compare with.
"""

import torch
from torch.nn import functional as F


def scan(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
    """y (b, d, l) and the last state; B and C as the drop-in functions take them."""
    delta = delta if delta_bias is None else delta + delta_bias[:, None]
    delta = F.softplus(delta) if delta_softplus else delta
    B, C = (coefficients(x, A, u.shape) for x in (B, C))
    h, ys = A.new_zeros(len(u), *A.shape), []
    for t in range(u.shape[2]):
        step = delta[..., t, None]
        h = torch.exp(step * A) * h + step * B[..., t] * u[..., t, None]
        y = (h * C[..., t]).sum(-1)
        ys.append(2 * y.real if A.is_complex() else y)
    y = torch.stack(ys, -1)
    y = y if D is None else y + D[:, None] * u
    return y if z is None else y * F.silu(z), h


def coefficients(x, A, shape):
    """B or C for each channel and step, (b, d, n, l)."""
    b, d, l = shape
    if x.dim() == 2:
        return x[None, ..., None].expand(b, *x.shape, l)
    x = x[:, None] if x.dim() == 3 else x
    if A.is_complex() and not x.is_complex():
        x = torch.complex(x[..., 0::2], x[..., 1::2])
    return x.repeat_interleave(d // x.shape[1], 1)


def conv(x, weight, bias=None, activation="silu"):
    """The causal convolution of x (b, d, l) by weight (d, w)."""
    y = sum(
        weight[:, k, None] * F.pad(x, (len(weight[0]) - 1 - k, 0))[..., : x.shape[-1]]
        for k in range(len(weight[0]))
    )
    y = y if bias is None else y + bias[:, None]
    return y if activation is None else F.silu(y)


def inner(xz, conv_weight, conv_bias, x_proj, dt_proj, A, D, delta_bias, reverse=False):
    """The mixer of Mamba between its outer projections, backward in time if asked for."""
    xz = xz.flip(-1) if reverse else xz
    x, z = xz.chunk(2, 1)
    u = conv(x, conv_weight[:, 0], conv_bias)
    rows = torch.einsum("bdl,rd->brl", u, x_proj)
    dt, B, C = rows.split((dt_proj.shape[1], A.shape[1], A.shape[1]), 1)
    delta = torch.einsum("brl,dr->bdl", dt, dt_proj)
    y, _ = scan(u, delta, A, B, C, D, z, delta_bias, True)
    return y.flip(-1) if reverse else y


def mixer(module, x, branches=("",), halved=False):
    """That of a module with Mamba's names; `branches` are endings of the names: "", "_b"."""
    p = dict(module.named_parameters())
    xz = F.linear(x, p["in_proj.weight"], p.get("in_proj.bias")).transpose(1, 2)
    total = 0
    for end in branches:
        names = f"conv1d{end}.weight", f"conv1d{end}.bias", f"x_proj{end}.weight"
        A = -p[f"A{end}_log"].exp()
        names = *names, f"dt_proj{end}.weight"
        rest = A, p[f"D{end}"], p[f"dt_proj{end}.bias"]
        total = total + inner(xz, *(p.get(x) for x in names), *rest, reverse=bool(end))
    total = total / 2 if halved else total
    return F.linear(total.transpose(1, 2), p["out_proj.weight"], p.get("out_proj.bias"))


def in_float64(x):
    """A detached copy that wants a gradient; None stays None."""
    if not isinstance(x, torch.Tensor):
        return x
    dtype = torch.complex128 if x.is_complex() else torch.float64
    return x.detach().to(dtype).requires_grad_()


def error(got, want):
    """The largest difference, relative to the largest value; shapes are the same."""
    assert got.shape == want.shape, (got.shape, want.shape)
    got, want = (x.detach().to(torch.complex128) for x in (got, want))
    return float((got - want).abs().max() / want.abs().max().clamp(min=1e-30))


def errors(got, want):
    """By number, of those that are there in both."""
    assert [x is None for x in got] == [x is None for x in want]
    return [error(x, y) for x, y in zip(got, want, strict=True) if x is not None]


def gradients(y, inputs, seed=0):
    """Of a sum of y with random weights, for each input that is given and wants one."""
    wanted = [x for x in inputs if isinstance(x, torch.Tensor) and x.requires_grad]
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))
    found = iter(torch.autograd.grad((y * weights.to(y.dtype)).sum(), wanted))
    wanted = {id(x) for x in wanted}
    return [next(found) if id(x) in wanted else None for x in inputs]


def assert_same(got, want, inputs, exact, tolerance=5e-6):
    """Outputs agree, and so do gradients of all inputs."""
    assert error(got, want) < tolerance
    found, expected = gradients(got, inputs), gradients(want, exact)
    assert max(errors(found, expected)) < 4 * tolerance


def exact_copy(module):
    """The parameters of a module as float64 leaves, in order."""
    return {k: in_float64(v) for k, v in module.named_parameters()}


def shaken(module):
    """With parameters that all differ."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return module
