"""The compiled extensions under their names: what third-party Functions call, and write into."""

import pytest

torch = pytest.importorskip("torch")

import plain_torch as plain  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from selscan.compat.extensions import (  # noqa: E402
    selective_scan,
    selective_scan_cuda,
    selective_scan_cuda_core,
    selective_scan_cuda_ndstate,
    selective_scan_cuda_oflex,
    selective_scan_cuda_oflex_rh,
    selective_scan_vmamba,
)

TOLERANCE = {torch.float32: 5e-6, torch.float16: 3e-3, torch.bfloat16: 2e-2}


def inputs_of(l=37, b=2, d=4, n=3, groups=2, dtype=torch.float32, is_complex=False, seed=0):
    """u, delta, A, B, C, D, z, delta_bias and dout."""
    torch.manual_seed(seed)
    A = -torch.rand(d, n)
    A = torch.complex(A, torch.randn(d, n)) if is_complex else A
    u, delta, z, dout = (torch.randn(b, d, l).to(dtype) for _ in range(4))
    B, C = (torch.randn(b, groups, n, l * (1 + is_complex)).to(dtype) for _ in range(2))
    return u, delta, A, B, C, torch.randn(d), z, torch.rand(d), dout


def expected(inputs, gate=True, softplus=True):
    """out before the gate, the last state, the gated output, and all gradients, in float64."""
    *inputs, dout = (plain.in_float64(x) for x in inputs)
    u, delta, A, B, C, D, z, bias = inputs
    out, state = plain.scan(u, delta, A, B, C, D, None, bias, softplus)
    gated = out * F.silu(z)
    result = gated if gate else out
    wanted = [u, delta, A, B, C, D, bias, *([z] if gate else [])]
    return out, state, gated, torch.autograd.grad(result, wanted, dout)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_selective_scan_cuda_has_three_results_with_z_and_all_gradients(dtype, is_complex):
    inputs = inputs_of(dtype=dtype, is_complex=is_complex)
    u, delta, A, B, C, D, z, bias, dout = inputs
    want, want_state, want_gated, want_gradients = expected(inputs)

    out, x, gated = selective_scan_cuda.fwd(u, delta, A, B, C, D, z, bias, True)
    rest = u, delta, A, B, C, D, z, bias, dout, x, out
    *gradients, again = selective_scan_cuda.bwd(*rest, None, True, True)

    assert out.dtype == gated.dtype == dtype
    assert x.shape == (2, 4, 1, 6)
    assert x.dtype == A.dtype
    assert plain.error(out, want) < TOLERANCE[dtype]
    assert plain.error(gated, want_gated) < TOLERANCE[dtype]
    assert plain.error(again, want_gated) < TOLERANCE[dtype]
    assert plain.error(x[:, :, -1, 1::2], want_state) < 5e-6
    assert [g.dtype for g in gradients] == [v.dtype for v in (u, delta, A, B, C, D, bias, z)]
    assert max(plain.errors(gradients, want_gradients)) < 2 * TOLERANCE[dtype]


def test_without_z_there_are_two_results_and_seven_gradients():
    inputs = inputs_of()
    u, delta, A, B, C, D, _, bias, dout = inputs
    want, _, _, want_gradients = expected(inputs, gate=False)

    out, x = selective_scan_cuda.fwd(u, delta, A, B, C, D, None, bias, True)
    found = selective_scan_cuda.bwd(
        u, delta, A, B, C, D, None, bias, dout, x, None, None, True, False
    )

    assert plain.error(out, want) < 5e-6
    assert len(found) == 7
    assert max(plain.errors(found, want_gradients)) < 1e-5


def test_gradients_of_what_is_left_out_are_none():
    u, delta, A, B, C, *_, dout = inputs_of()

    found = selective_scan_cuda_core.bwd(u, delta, A, B, C, None, None, dout, None, False, 1)

    assert [g is None for g in found] == [False] * 5 + [True, True]


def test_strided_arguments_are_read_and_a_given_dz_is_written_in_place():
    inputs = inputs_of()
    u, delta, A, B, C, D, z, bias, dout = inputs
    want = expected(inputs)[3]
    # Channels last, and parts of larger tensors, as where dx and dz stand next to each other.
    strided = [v.transpose(1, 2).contiguous().transpose(1, 2) for v in (u, delta, dout)]
    xz, dxz = torch.cat((u, z), 1), torch.full((2, 8, 37), 7.0)
    gate, dz = xz.chunk(2, 1)[1], dxz.chunk(2, 1)[1]

    out, x, _ = selective_scan_cuda.fwd(*strided[:2], A, B, C, D, gate, bias, True)
    rest = *strided[:2], A, B, C, D, gate, bias, strided[2], x, out, dz, True, False
    found = selective_scan_cuda.bwd(*rest)

    assert found[7] is dz
    assert max(plain.errors(found, want)) < 1e-5
    assert plain.error(dxz[:, 4:], want[7]) < 1e-5
    assert (dxz[:, :4] == 7).all()


@pytest.mark.parametrize(("l", "chunks"), [(1, 1), (2048, 1), (2049, 2)])
def test_x_has_a_place_for_every_2048_steps_and_the_last_state_in_the_last(l, chunks):
    inputs = inputs_of(l, b=1, d=2, n=2, groups=1)
    u, delta, A, B, C, D, _, bias, _ = inputs
    _, x = selective_scan_cuda.fwd(u, delta, A, B, C, D, None, bias, True)

    _, state = plain.scan(*(v.double() for v in (u, delta, A, B, C, D)), None, bias.double(), True)
    assert x.shape == (1, 2, chunks, 4)
    assert plain.error(x[:, :, -1, 1::2], state) < 5e-6


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_oflex_gives_float32_and_takes_it_back_where_u_has_16_bits(dtype):
    inputs = inputs_of(dtype=dtype)
    u, delta, A, B, C, D, _, bias, dout = inputs
    want, _, _, want_gradients = expected(inputs, gate=False)

    wide, x = selective_scan_cuda_oflex.fwd(u, delta, A, B, C, D, bias, True, 1, True)
    narrow, _ = selective_scan_cuda_oflex.fwd(u, delta, A, B, C, D, bias, True, 1, False)
    found = selective_scan_cuda_oflex.bwd(u, delta, A, B, C, D, bias, dout.float(), x, True, 1)

    assert (wide.dtype, narrow.dtype) == (torch.float32, dtype)
    assert plain.error(wide, want) < 5e-6
    assert plain.error(narrow, want) < TOLERANCE[dtype]
    assert [g.dtype for g in found] == [v.dtype for v in (u, delta, A, B, C, D, bias)]
    assert max(plain.errors(found, want_gradients)) < 2 * TOLERANCE[dtype]


def test_core_takes_nrows_and_has_the_same_results():
    inputs = inputs_of()
    u, delta, A, B, C, D, _, bias, dout = inputs
    want, _, _, want_gradients = expected(inputs, gate=False, softplus=False)

    for nrows in (1, 4):
        out, x = selective_scan_cuda_core.fwd(u, delta, A, B, C, D, bias, False, nrows)
        found = selective_scan_cuda_core.bwd(u, delta, A, B, C, D, bias, dout, x, False, nrows)

        assert plain.error(out, want) < 5e-6
        assert max(plain.errors(found, want_gradients)) < 1e-5
    assert selective_scan_vmamba.selective_scan_cuda_core is selective_scan_cuda_core


def test_ndstate_leaves_the_axis_of_its_one_state_out():
    inputs = inputs_of(n=1)
    u, delta, A, B, C, D, _, bias, dout = inputs
    want, _, _, want_gradients = expected(inputs, gate=False)
    squeezed = u, delta, A[:, 0], B[:, :, 0], C[:, :, 0], D, bias

    out, x = selective_scan_cuda_ndstate.fwd(*squeezed, True, 1)
    found = selective_scan_cuda_ndstate.bwd(*squeezed, dout, x, True, 1)

    assert x.shape == (2, 4, 1, 2)
    assert plain.error(out, want) < 5e-6
    assert [g.shape for g in found] == [v.shape for v in squeezed]
    shaped = [w.reshape(g.shape) for w, g in zip(want_gradients, found, strict=True)]
    assert max(plain.errors(found, shaped)) < 1e-5


def test_oflex_rh_gives_its_one_state():
    u, delta, A, B, _, D, z, bias, dout = inputs_of(n=1)
    inputs = u, delta, A, B, torch.ones(2, 2, 1, 37), D, z, bias, dout
    want, _, _, gradients = expected(inputs, gate=False)

    out, x = selective_scan_cuda_oflex_rh.fwd(u, delta, A, B, D, bias, True, 1, True)
    found = selective_scan_cuda_oflex_rh.bwd(u, delta, A, B, D, bias, dout, x, True, 1)

    assert plain.error(out, want) < 5e-6
    assert max(plain.errors(found, [*gradients[:4], *gradients[5:]])) < 1e-5


def test_the_package_of_efficientvmamba_has_no_z():
    inputs = inputs_of()
    u, delta, A, B, C, D, _, bias, _ = inputs
    want = expected(inputs, gate=False)[0]

    for function in (selective_scan.selective_scan_fn, selective_scan.SelectiveScanFn.apply):
        assert plain.error(function(u, delta, A, B, C, D, bias, True, 1), want) < 5e-6
    got = selective_scan.selective_scan_ref(u, delta, A, B, C, D, bias, True)
    assert plain.error(got, want) < 5e-6


def test_nothing_is_recorded():
    u, delta, A, B, C, D, z, bias, _ = inputs_of()

    results = selective_scan_cuda.fwd(u.requires_grad_(), delta, A, B, C, D, z, bias, True)

    assert not any(x.requires_grad for x in results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"B": torch.zeros(2, 3, 37)},
            r"fwd: B must be \(b, g, n, l\) or \(d, n\); got \(2, 3, 37\)",
        ),
        ({"A": torch.zeros(4)}, r"fwd: A must be \(d, n\); got \(4,\)."),
        ({"C": torch.zeros(2, 3, 3, 37)}, r"scan: C must be .* with d % g == 0"),
        ({"delta": torch.zeros(2, 4, 36)}, r"scan: delta must be \(b, d, l\) like u"),
        ({"bias": torch.zeros(3)}, r"scan: delta_bias must be \(d,\) with d = 4; got \(3,\)."),
    ],
)
def test_what_the_originals_refuse_is_refused(change, message):
    names = ("u", "delta", "A", "B", "C", "D", "z", "bias")
    given = dict(zip(names, inputs_of()[:8], strict=True)) | change

    with pytest.raises(ValueError, match=message):
        selective_scan_cuda.fwd(*given.values(), True)


def test_a_backward_behind_a_gate_needs_what_was_before_it():
    u, delta, A, B, C, D, z, bias, dout = inputs_of()

    with pytest.raises(ValueError, match="bwd: out must be the first result of fwd where there is"):
        selective_scan_cuda.bwd(u, delta, A, B, C, D, z, bias, dout, None, None, None, True, False)
    with pytest.raises(ValueError, match=r"A must be \(d, 1\): one state; got \(4, 3\)."):
        selective_scan_cuda_oflex_rh.fwd(u, delta, A, B, D, bias, True, 1, True)
    with pytest.raises(ValueError, match=r"selective_scan_cuda_ndstate: A must be \(d,\); got"):
        selective_scan_cuda_ndstate.fwd(u, delta, A, B, C, D, bias, True, 1)
