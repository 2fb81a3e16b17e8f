"""selective_scan_fn and mamba_inner_fn under their old names are loops in float64."""

import itertools
import random
import shutil

import pytest

torch = pytest.importorskip("torch")

import plain_torch as plain  # noqa: E402

from selscan.compat.mamba_ssm.ops import selective_scan_interface as interface  # noqa: E402

# Errors relative to the largest value. With 16 bits inputs are rounded before both, results once.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 1.5e-3, torch.bfloat16: 1e-2}
SUMS = 2e-5  # over time and batch, whose terms may cancel
NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def combinations():
    """All of the parameters that mamba_ssm's own test goes through, at small lengths."""
    form = itertools.product(
        (False, True),  # complex A
        ("constant", "shared", "groups"),  # B
        ("constant", "shared", "groups"),  # C
        (False, True),  # D
        (False, True),  # z
        (False, True),  # bias
        (False, True),  # softplus
        (False, True),  # last state
        tuple(TOLERANCE),
        (1, 7, 130),
    )
    for case in form:
        kinds = {case[1], case[2]} - {"constant"}
        if len(kinds) < 2:  # groups of both are the same
            yield case


CASES = random.Random(0).sample(list(combinations()), 330)


def coefficient(kind, b, d, n, l, A, dtype):
    """B or C."""
    if kind == "constant":
        return torch.randn(d, n, dtype=A.dtype)
    groups = () if kind == "shared" else (2,)
    return torch.randn(b, *groups, n, l * (2 if A.is_complex() else 1)).to(dtype)


def inputs_of(is_complex, B, C, D, z, bias, dtype, l, b=2, d=4, n=3):
    """Tensors in the order of NAMES, None where they are left out."""
    A = -0.5 * torch.rand(d, n)
    A = torch.complex(A, torch.randn(d, n)) if is_complex else A
    B, C = (coefficient(kind, b, d, n, l, A, dtype) for kind in (B, C))
    u, delta, gate = torch.randn(b, d, l), 0.5 * torch.rand(b, d, l), torch.randn(b, d, l)
    D, bias = torch.randn(d) if D else None, 0.5 * torch.rand(d) if bias else None
    made = u.to(dtype), delta.to(dtype), A, B, C, D, gate.to(dtype) if z else None, bias
    return [x if x is None else x.requires_grad_() for x in made]


@pytest.mark.parametrize("part", range(6))
def test_selective_scan_fn_is_a_loop_in_float64(part):
    torch.manual_seed(part)
    for case in CASES[part::6]:
        *form, softplus, last, dtype, l = case
        inputs = inputs_of(*form, dtype, l)
        exact = [plain.in_float64(x) for x in inputs]
        want, want_state = plain.scan(*exact, delta_softplus=softplus)

        got = interface.selective_scan_fn(*inputs, softplus, last)

        got, state = got if last else (got, None)
        assert got.dtype == dtype
        assert plain.error(got, want) < TOLERANCE[dtype], case
        if last:
            assert state.dtype == (torch.complex64 if form[0] else torch.float32)
            assert plain.error(state, want_state) < 2e-6, case
        found, expected = plain.gradients(got, inputs), plain.gradients(want, exact)
        assert all(x is None or x.dtype == v.dtype for x, v in zip(found, inputs, strict=True))
        assert max(plain.errors(found, expected)) < max(3 * TOLERANCE[dtype], SUMS), case


def test_flags_count_by_truth():
    inputs = inputs_of(False, "shared", "shared", True, False, True, torch.float32, 9)

    want = interface.selective_scan_fn(*inputs, delta_softplus=True)

    got = interface.selective_scan_fn(*inputs, delta_softplus=1, return_last_state=None)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert len(interface.selective_scan_fn(*inputs, 1, 1)) == 2


def test_other_names_are_the_same_functions():
    inputs = inputs_of(False, "groups", "groups", True, True, True, torch.float32, 9)
    want = interface.selective_scan_fn(*inputs, True)

    for function in (interface.selective_scan_ref, interface.SelectiveScanFn.apply):
        torch.testing.assert_close(function(*inputs, True), want, rtol=0, atol=0)


def test_the_last_state_has_a_gradient():
    inputs = inputs_of(False, "shared", "shared", False, False, False, torch.float32, 9)
    exact = [plain.in_float64(x) for x in inputs]

    _, state = interface.selective_scan_fn(*inputs, return_last_state=True)

    got, want = (
        plain.gradients(state, inputs[:4]),
        plain.gradients(plain.scan(*exact)[1], exact[:4]),
    )
    assert max(plain.errors(got, want)) < SUMS


def inner_inputs(l, dtype, conv_bias, own_B, out_bias, b=2, d=4, n=3, rank=2, width=4, d_model=5):
    """Arguments of mamba_inner_fn."""
    made = [
        torch.randn(b, 2 * d, l).to(dtype),
        torch.randn(d, 1, width),
        torch.randn(d) if conv_bias else None,
        torch.randn(rank + 2 * n, d) / d,
        torch.randn(d, rank) / rank,
        torch.randn(d_model, d),
        torch.randn(d_model) if out_bias else None,
        -torch.rand(d, n),
        torch.randn(b, n, l).to(dtype) if own_B else None,
        None,
        torch.randn(d),
        torch.rand(d),
    ]
    narrow = {1, 2, 3, 4, 5, 6}  # in the dtype of xz, as under autocast or in a model of 16 bits
    made = [x.to(dtype) if i in narrow and x is not None else x for i, x in enumerate(made)]
    return [x if x is None else x.requires_grad_() for x in made]


def plain_inner(xz, conv, conv_bias, x_proj, dt_proj, out, out_bias, A, B, C, D, bias):
    x, z = xz.chunk(2, 1)
    u = plain.conv(x, conv[:, 0], conv_bias)
    rows = torch.einsum("bdl,rd->brl", u, x_proj)
    dt, own_B, own_C = rows.split((dt_proj.shape[1], A.shape[1], A.shape[1]), 1)
    delta = torch.einsum("brl,dr->bdl", dt, dt_proj)
    y, _ = plain.scan(u, delta, A, own_B if B is None else B, own_C, D, z, bias, True)
    y = torch.einsum("bdl,md->blm", y, out)
    return y if out_bias is None else y + out_bias


INNER = list(itertools.product((1, 3, 70), TOLERANCE, (False, True), (False, True), (False, True)))


@pytest.mark.parametrize("part", range(3))
def test_mamba_inner_fn_is_a_loop_in_float64(part):
    torch.manual_seed(part)
    for case in INNER[part::3]:
        dtype = case[1]
        inputs = inner_inputs(*case)
        exact = [plain.in_float64(x) for x in inputs]
        want = plain_inner(*exact)

        got = interface.mamba_inner_fn(*inputs)

        assert got.dtype == dtype
        assert plain.error(got, want) < 8 * TOLERANCE[dtype], case
        if dtype == torch.float32:
            found, expected = plain.gradients(got, inputs), plain.gradients(want, exact)
            assert max(plain.errors(found, expected)) < SUMS, case


@pytest.mark.parametrize("name", ["b_rms_weight", "c_rms_weight", "dt_rms_weight"])
def test_norms_inside_make_mamba_inner_fn_return_none(name):
    inputs = inner_inputs(3, torch.float32, True, False, True)

    assert interface.mamba_inner_fn(*inputs, **{name: torch.ones(3)}) is None


def test_inner_functions_without_and_with_a_second_direction():
    torch.manual_seed(0)
    xz, conv, conv_bias, x_proj, dt_proj, out, out_bias, A, _, _, D, bias = inner_inputs(
        9, torch.float32, True, False, True
    )
    A_b = -torch.rand_like(A)
    weights = xz, conv, conv_bias, x_proj, dt_proj
    want = plain.inner(*weights, A, D, bias)
    x, z = xz.chunk(2, 1)
    u = plain.conv(x, conv[:, 0], conv_bias)
    dt, B, C = torch.einsum("bdl,rd->brl", u, x_proj).split((2, 3, 3), 1)
    rest = u, torch.einsum("brl,dr->bdl", dt, dt_proj), B, C, z
    u, delta, B, C, z = (v.flip(-1) for v in rest)
    back = plain.scan(u, delta, A_b, B, C, D, z, bias, True)[0].flip(-1)
    both = torch.einsum("bdl,md->blm", want + back, out) + out_bias

    got = interface.mamba_inner_fn_no_out_proj(*weights, A, None, None, D, bias)
    assert plain.error(got, want) < 4e-6
    rest = None, None, D, bias
    for function in (interface.bimamba_inner_fn, interface.bimamba_inner_ref):
        got = function(*weights, out, out_bias, A, A_b, *rest, delta_softplus=True)
        assert plain.error(got, both) < 4e-6
    got = interface.mamba_inner_ref(*weights, out, out_bias, A, *rest)
    assert plain.error(got, plain_inner(*weights, out, out_bias, A, *rest)) < 4e-6


def test_mamba_inner_fn_has_complex_states_as_well():
    torch.manual_seed(0)
    inputs = inner_inputs(9, torch.float32, True, False, True)
    inputs[3] = torch.randn(2 + 4 * 3, 4)
    inputs[7] = torch.complex(-torch.rand(4, 3), torch.randn(4, 3))
    xz, conv, conv_bias, x_proj, dt_proj, out, out_bias, A, _, _, D, bias = inputs
    x, z = xz.chunk(2, 1)
    u = plain.conv(x, conv[:, 0], conv_bias)
    dt, *own = torch.einsum("bdl,rd->brl", u, x_proj).split((2, 6, 6), 1)
    B, C = (torch.complex(v[:, 0::2], v[:, 1::2]) for v in own)
    y, _ = plain.scan(u, torch.einsum("brl,dr->bdl", dt, dt_proj), A, B, C, D, z, bias, True)
    want = torch.einsum("bdl,md->blm", y, out) + out_bias

    assert plain.error(interface.mamba_inner_fn(*inputs), want) < 1e-5


def compiled(function, *inputs, **options):
    """The result, and the gradients of all inputs, by one graph without breaks."""
    run = torch.compile(function, fullgraph=True, backend="aot_eager")
    y = run(*inputs, **options)
    return y, plain.gradients(y, inputs)


def test_the_functions_compile_without_a_break():
    inputs = inputs_of(False, "groups", "groups", True, True, True, torch.float32, 9)
    xz = inner_inputs(9, torch.float32, True, False, True)

    for function, given in (
        (interface.selective_scan_fn, inputs),
        (interface.SelectiveScanFn.apply, inputs),
        (interface.mamba_inner_fn, xz),
    ):
        got, found = compiled(function, *given)

        want = function(*given)
        assert plain.error(got, want) < 1e-6
        assert max(plain.errors(found, plain.gradients(want, given))) < 1e-5


@pytest.mark.skipif(not shutil.which("g++"), reason="inductor compiles with g++")
def test_compiled_by_inductor_it_gives_the_same():
    inputs = inputs_of(False, "shared", "shared", True, True, True, torch.float32, 9)

    def block(*given):
        return interface.selective_scan_fn(*given, delta_softplus=True).sin()

    got = torch.compile(block, fullgraph=True)(*inputs)

    want = block(*inputs)
    assert plain.error(got, want) < 1e-6
    expected = plain.gradients(want, inputs)
    assert max(plain.errors(plain.gradients(got, inputs), expected)) < 1e-5
