"""causal_conv1d, whole sequences and token by token, and the forms of its extension."""

import pytest

torch = pytest.importorskip("torch")

import plain_torch as plain  # noqa: E402

from selscan.compat import causal_conv1d  # noqa: E402
from selscan.compat.causal_conv1d import causal_conv1d_interface as interface  # noqa: E402
from selscan.compat.causal_conv1d import cpp_functions  # noqa: E402
from selscan.compat.extensions import causal_conv1d_cuda as extension  # noqa: E402

causal_conv1d_fn, causal_conv1d_update = (
    causal_conv1d.causal_conv1d_fn,
    causal_conv1d.causal_conv1d_update,
)
TOLERANCE = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def inputs_of(l=11, width=4, dtype=torch.float32, last=False, b=2, d=6):
    """x, weight and bias; x with channels last in memory if asked for."""
    torch.manual_seed(0)
    x = torch.randn(b, l, d).transpose(1, 2) if last else torch.randn(b, d, l)
    return x.to(dtype), torch.randn(d, width).to(dtype), torch.randn(d).to(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", [None, "silu", "swish"])
@pytest.mark.parametrize(("l", "width", "last"), [(1, 4, True), (3, 4, False), (40, 2, True)])
def test_it_is_a_sum_over_the_window(l, width, last, activation, dtype):
    inputs = [x.requires_grad_() for x in inputs_of(l, width, dtype, last)]
    exact = [plain.in_float64(x) for x in inputs]
    want = plain.conv(*exact, activation)

    got = causal_conv1d_fn(*inputs, activation=activation)

    assert got.dtype == dtype
    assert plain.error(got, want) < TOLERANCE[dtype]
    found, expected = plain.gradients(got, inputs), plain.gradients(want, exact)
    assert max(plain.errors(found, expected)) < 5 * TOLERANCE[dtype]


def test_packed_sequences_do_not_see_one_another():
    x, weight, bias = (v.requires_grad_() for v in inputs_of(12))
    seq_idx = torch.tensor([[0] * 5 + [1] * 2 + [2] * 5, [0] * 12], dtype=torch.int32)
    exact = [plain.in_float64(v) for v in (x, weight, bias)]
    rows = [
        torch.cat([plain.conv(part, *exact[1:]) for part in exact[0][:1].split((5, 2, 5), -1)], -1),
        plain.conv(exact[0][1:], *exact[1:]),
    ]
    want = torch.cat(rows)

    got = causal_conv1d_fn(x, weight, bias, seq_idx=seq_idx, activation="silu")

    assert plain.error(got, want) < 1e-6
    found, expected = plain.gradients(got, (x, weight, bias)), plain.gradients(want, exact)
    assert max(plain.errors(found, expected)) < 5e-6


@pytest.mark.parametrize("l", [1, 2, 9])
def test_states_come_in_and_go_out(l):
    x, weight, bias = inputs_of(20)
    want = plain.conv(x, weight, bias)
    cut = 20 - l

    first, states = causal_conv1d_fn(
        x[..., :cut], weight, bias, return_final_states=True, activation="silu"
    )
    place = torch.zeros_like(states)
    second, final = causal_conv1d_fn(
        x[..., cut:],
        weight,
        bias,
        initial_states=states,
        return_final_states=True,
        final_states_out=place,
        activation="silu",
    )

    assert plain.error(torch.cat((first, second), -1), want) < 1e-6
    assert final is place
    torch.testing.assert_close(final, x[..., -3:], rtol=0, atol=0)


def test_states_have_gradients():
    x, weight, bias = inputs_of(5)
    states = torch.randn(2, 6, 3)
    leaves = [v.requires_grad_() for v in (x, weight, bias, states)]
    exact = [plain.in_float64(v) for v in leaves]
    whole = torch.cat((exact[3], exact[0]), -1)
    want = torch.cat((plain.conv(whole, *exact[1:3])[..., 3:], whole[..., -3:]), -1)

    y, final = causal_conv1d_fn(
        x, weight, bias, initial_states=states, return_final_states=True, activation="silu"
    )

    found = plain.gradients(torch.cat((y, final), -1), leaves)
    assert max(plain.errors(found, plain.gradients(want, exact))) < 5e-6


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [3, 4, 9])
@pytest.mark.parametrize("tokens", [None, 1, 2])
def test_token_by_token_it_is_the_same(size, tokens, dtype):
    x, weight, bias = inputs_of(8, dtype=dtype)
    want = plain.conv(*(v.double() for v in (x, weight, bias)))
    state = torch.zeros(2, 6, size, dtype=dtype)
    parts = x.unbind(-1) if tokens is None else x.split(tokens, -1)

    got = [causal_conv1d_update(part, state, weight, bias, "silu") for part in parts]

    got = torch.stack(got, -1) if tokens is None else torch.cat(got, -1)
    assert got.dtype == dtype
    assert plain.error(got, want) < TOLERANCE[dtype]
    torch.testing.assert_close(state[..., -3:], x[..., -3:], rtol=0, atol=0)


@pytest.mark.parametrize("tokens", [1, 3])
def test_the_state_may_be_a_ring(tokens):
    x, weight, bias = inputs_of(12)
    want = plain.conv(x, weight, bias)
    ring, seen, got = torch.zeros(2, 6, 5), torch.tensor([0, 2], dtype=torch.int32), []
    for part in x.split(tokens, -1):
        got.append(causal_conv1d_update(part, ring, weight, bias, "silu", seen))
        seen = seen + tokens

    assert plain.error(torch.cat(got, -1), want) < 1e-6
    places = (torch.arange(7, 12)[None] + torch.tensor([[0], [2]])) % 5
    back = ring.gather(2, places[:, None].expand(2, 6, 5))
    torch.testing.assert_close(back, x[..., -5:], rtol=0, atol=0)


def test_entries_of_the_state_are_chosen():
    x, weight, bias = inputs_of(3)
    states, entries = torch.randn(5, 6, 4), torch.tensor([3, 0], dtype=torch.int32)
    apart, untouched = states[[3, 0]].clone(), states[[1, 2, 4]].clone()
    want = causal_conv1d_update(x, apart, weight, bias)

    got = causal_conv1d_update(x, states, weight, bias, conv_state_indices=entries)

    torch.testing.assert_close(got, want, rtol=0, atol=0)
    torch.testing.assert_close(states[[3, 0]], apart, rtol=0, atol=0)
    torch.testing.assert_close(states[[1, 2, 4]], untouched, rtol=0, atol=0)


def test_an_update_records_nothing_and_writes_its_state_in_grad_mode():
    x, weight, bias = (v.requires_grad_() for v in inputs_of(1))
    state = torch.zeros(2, 6, 4)

    y = causal_conv1d_update(x, state, weight, bias, "silu")

    assert torch.is_grad_enabled()
    assert not y.requires_grad
    assert not state.requires_grad
    assert state[..., -1].equal(x.detach()[..., 0])


def test_references_and_the_function_class_are_the_same():
    x, weight, bias = inputs_of(7)
    want = causal_conv1d_fn(x, weight, bias, activation="silu")
    states, others = torch.zeros(2, 2, 6, 4)
    step = causal_conv1d_update(x, states, weight, bias)

    same = {"rtol": 0, "atol": 0}
    got = interface.causal_conv1d_ref(x, weight, bias, activation="silu")
    torch.testing.assert_close(got, want, **same)
    got = interface.CausalConv1dFn.apply(x, weight, bias, None, None, False, None, "silu")
    torch.testing.assert_close(got, want, **same)
    got = interface.causal_conv1d_update_ref(x, others, weight, bias)
    torch.testing.assert_close(got, step, **same)


def test_the_extension_has_the_forms_of_all_releases():
    x, weight, bias = inputs_of(9)
    want = causal_conv1d_fn(x, weight, bias, activation="silu")
    out, final = torch.zeros_like(x), torch.zeros(2, 6, 3)
    same = {"rtol": 0, "atol": 0}
    for middle in ((), (None,), (None, None, None)):
        got = extension.causal_conv1d_fwd(x, weight, bias, *middle, True)
        torch.testing.assert_close(got, want, **same)
    form = x, weight, bias, None, None, out, final, True
    assert extension.causal_conv1d_fwd(*form) is None
    torch.testing.assert_close(out, want, **same)
    torch.testing.assert_close(final, x[..., -3:], **same)
    got = cpp_functions.causal_conv1d_fwd_function(x, weight, bias, None, None, None, True)
    torch.testing.assert_close(got, want, **same)


def test_the_extension_has_the_backward_of_all_releases():
    x, weight, bias = inputs_of(9)
    dout, states, dfinal = torch.randn(2, 6, 9), torch.randn(2, 6, 3), torch.randn(2, 6, 3)
    exact = [plain.in_float64(v) for v in (x, weight, bias)]
    want = torch.autograd.grad(plain.conv(*exact), exact, dout.double())
    dx = torch.zeros_like(x)

    for middle, place in (((), None), ((None,), dx)):
        found = extension.causal_conv1d_bwd(x, weight, bias, dout, *middle, place, True)
        assert max(plain.errors(found, want)) < 5e-6
    assert found[0] is dx

    exact += [plain.in_float64(states)]
    whole = torch.cat((exact[3], exact[0]), -1)
    outputs = plain.conv(whole, *exact[1:3])[..., 3:], whole[..., -3:]
    want = torch.autograd.grad(outputs, exact, (dout.double(), dfinal.double()))
    form = x, weight, bias, dout, None, states, dfinal
    found = extension.causal_conv1d_bwd(*form, None, True, True)
    assert max(plain.errors(found, want)) < 5e-6
    written = [torch.zeros_like(v) for v in (x, weight, bias, states)]
    assert extension.causal_conv1d_bwd(*form, *written, True) is None
    assert max(plain.errors(written, want)) < 5e-6


def test_the_extension_has_the_updates_of_all_releases():
    x, weight, bias = inputs_of(1)
    want = plain.conv(x, weight, bias)
    for rest in ((True,), (True, None), (True, None, None)):
        state = torch.zeros(2, 6, 4)
        got = extension.causal_conv1d_update(x, state, weight, bias, *rest)
        assert plain.error(got, want) < 1e-6
    out, state = torch.zeros_like(x), torch.zeros(2, 6, 4)
    assert extension.causal_conv1d_update(x, state, weight, bias, out, True, None, None) is None
    assert plain.error(out, want) < 1e-6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"activation": "gelu"}, "activation must be None, 'silu' or 'swish'; got 'gelu' (str)."),
        ({"x": torch.zeros(2, 6)}, "x must be (b, d, l); got (2, 6)."),
        ({"weight": torch.zeros(6, 1, 4)}, "weight must be (d, width) with d = 6; got (6, 1, 4)."),
        ({"bias": torch.zeros(4)}, "bias must be of shape (6,); got (4,)."),
        (
            {"initial_states": torch.zeros(2, 6, 4)},
            "initial_states must be of shape (2, 6, 3); got (2, 6, 4).",
        ),
        (
            {"seq_idx": torch.zeros(2, 11), "return_final_states": True},
            "seq_idx must be None where states come in or go out; got a torch.Tensor.",
        ),
    ],
)
def test_what_the_original_refuses_is_refused(given, message):
    x, weight, bias = inputs_of()

    with pytest.raises(ValueError, match=r"^causal_conv1d_fn: ") as error:
        causal_conv1d_fn(**{"x": x, "weight": weight, "bias": bias} | given)
    assert str(error.value) == f"causal_conv1d_fn: {message}"


def test_a_state_or_a_number_of_arguments_that_does_not_fit_is_refused():
    x, weight, bias = inputs_of(1)

    with pytest.raises(ValueError, match=r"conv_state must be \(b, d, s\) with b, d = 2, 6 and s"):
        causal_conv1d_update(x, torch.zeros(2, 6, 2), weight, bias)
    with pytest.raises(ValueError, match=r"arguments must be 4, 5, 7 or 8 in number; got 6."):
        extension.causal_conv1d_fwd(x, weight, bias, None, None, True)
