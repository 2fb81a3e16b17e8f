"""nn.Mamba's whole state: taken, returned, differentiable, and good for going back."""

import pytest

torch = pytest.importorskip("torch")

from selscan import nn  # noqa: E402


@pytest.fixture
def made():
    torch.manual_seed(0)
    return nn.Mamba(8, 3, 4, 2).double()


def tokens(length, batch=2):
    return torch.randn(batch, length, 8, dtype=torch.float64)


def both(a, b):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 7])
def test_a_sequence_in_two_calls_is_the_sequence(made, cut):
    x = tokens(7)

    first, state = made(x[:, :cut], return_state=True)
    second, last = made(x[:, cut:], state=state, return_state=True)
    whole, end = made(x, return_state=True)

    both(torch.cat((first, second), 1), made(x))
    both(whole, made(x))
    for got, want in zip(last, end, strict=True):
        both(got, want)


def test_the_state_is_the_one_that_step_takes(made):
    x = tokens(6)
    _, state = made(x[:, :5], return_state=True)
    want = made(x)[:, 5:]

    both(made(x[:, 5:], state=state), want)
    conv_state, ssm_state = (s.detach().clone() for s in state)
    y, *_ = made.step(x[:, 5:], conv_state, ssm_state)
    both(y, want)
    both(made(x, state=made.allocate_inference_cache(2)), made(x))


def test_states_within_a_call_are_those_of_shorter_calls(made):
    x = tokens(7)
    before, state = made(x[:, :2], return_state=True)

    y, last, states = made(x[:, 2:], state=state, return_state=True, return_states_at=[0, 1, 4])

    both(torch.cat((before, y), 1), made(x))
    for end, found in zip((3, 4, 7), states, strict=True):
        for got, want in zip(found, made(x[:, :end], return_state=True)[1], strict=True):
            both(got, want)
    for got, want in zip(states[-1], last, strict=True):
        assert torch.equal(got, want)


def test_gradients_go_through_states(made):
    x, parameters = tokens(6).requires_grad_(), list(made.parameters())
    whole = torch.autograd.grad(made(x).square().sum(), [x, *parameters])

    first, state = made(x[:, :4], return_state=True)
    second = made(x[:, 4:], state=state)
    loss = first.square().sum() + second.square().sum()

    for got, want in zip(torch.autograd.grad(loss, [x, *parameters]), whole, strict=True):
        both(got, want)


def test_going_back_needs_no_copy(made):
    x, draft = tokens(4), tokens(3)
    _, state = made(x, return_state=True)
    before = [s.clone() for s in state]

    made(draft, state=state, return_state=True)

    assert all(torch.equal(*pair) for pair in zip(state, before, strict=True))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"return_state": 1}, TypeError, "return_state must be True or False; got 1"),
        ({"state": (torch.zeros(2, 16, 4),)}, ValueError, r"state must be a pair of tensors of"),
        ({"return_states_at": [4, 2]}, ValueError, "return_states_at must be steps from 0 to l"),
        ({"return_states_at": "3"}, TypeError, "return_states_at must be a sequence of integers"),
        ({"state": None, "inference_params": 3, "return_state": True}, ValueError, "must be None"),
    ],
)
def test_what_is_no_state_is_refused(made, options, error, message):
    with pytest.raises(error, match=message):
        made(tokens(5), **options)


def test_a_mixer_of_two_directions_has_no_state():
    with pytest.raises(RuntimeError, match="BiMamba: state must be one of a mixer that runs in"):
        nn.BiMamba(8)(torch.zeros(1, 3, 8), return_state=True)
