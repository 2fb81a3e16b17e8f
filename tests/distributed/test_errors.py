"""Ranks that differ, or are gone: an error on all of them, in time, and never a wrong number."""

import pytest
import torch
import torch.distributed as dist
from tensors import assert_equal

import selscan
from selscan import distributed, nn

from .problems import arguments, make
from .ranks import Ranks

TIMEOUT = 3  # seconds, of the groups in which ranks wait for each other in vain


def problem(b=1, d=3, l=6, n=2, dtype=torch.float32, **more):
    """Arguments of a call that works."""
    u = torch.ones(b, d, l, dtype=dtype)
    coefficients = torch.ones(b, n, l, dtype=dtype)
    return {"u": u, "delta": u, "A": -u.new_ones(d, n), "B": coefficients, "C": coefficients} | more


STATE = torch.ones(1, 3, 2)
ROW = torch.ones(3)
# What rank 1 gives instead, what is different, on rank 0 and on rank 1.
DIFFERENT = [
    (problem(b=2), "batch", "1", "2"),
    (problem(d=4), "d", "3", "4"),
    (problem(n=5), "n", "2", "5"),
    (problem(dtype=torch.float64), "state", "'float32'", "'float64'"),
    (problem(B=torch.ones(1, 3, 2, 6), C=torch.ones(1, 3, 2, 6)), "g", "1", "3"),
    ({"seq_idx": torch.zeros(1, 6, dtype=torch.int32)}, "seq_idx", "False", "True"),
    ({"delta_softplus": True}, "delta_softplus", "False", "True"),
    ({"return_last_state": True}, "return_last_state", "False", "True"),
    ({"reverse": True}, "reverse", "False", "True"),
    ({"D": ROW}, "given", "'u delta A B C'", "'u delta A B C D'"),
    ({"C": torch.ones(3, 2)}, "constant", "''", "'C'"),
    ({"u": torch.ones(1, 3, 6, requires_grad=True)}, "requires_grad", "False", "True"),
]


def test_states_within_a_piece_are_refused():
    with pytest.raises(
        ValueError, match=r"scan: return_states_at must be None; got a list. The st"
    ):
        distributed.scan(**problem(), return_states_at=[1])


@pytest.mark.parametrize("mode", ["gather", "ring"])
@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: case[1])
def test_ranks_that_differ_are_told_what_in(ranks, case, mode):
    other, name, mine, its = case

    found = ranks.run("refused", 2, each=[{}, {"own": other}], mode=mode, **problem())

    error = f"distributed.scan: {name} must be the same on every rank; got "
    assert found == [
        ("ValueError", f"{error}{mine} on rank 0 and {its} on rank 1."),
        ("ValueError", f"{error}{its} on rank 1 and {mine} on rank 0."),
    ]


def test_ranks_that_differ_in_what_was_compared_before_are_told_by_what_is_sent(ranks):
    forward, back = problem(reverse=False), problem(reverse=True)
    for known in (forward, back):
        assert ranks.run("refused", 2, **known) == [None, None]

    for name, message in ranks.run("refused", 2, each=[{}, {"own": {"reverse": True}}], **forward):
        assert name == "RuntimeError"
        assert "every rank must make the same calls in the same order; rank " in message
        assert '"reverse": false' in message
        assert '"reverse": true' in message


@pytest.mark.parametrize(
    ("other", "name"),
    [({"width": 3}, "width"), ({"x": torch.ones(2, 6)}, "shape"), ({"reverse": True}, "reverse")],
)
def test_halos_that_differ_are_refused(ranks, other, name):
    given = {"function": "halo", "x": torch.ones(1, 6), "width": 2, "reverse": False}

    for error, message in ranks.run("refused", 2, each=[{}, {"own": other}], **given):
        assert error == "ValueError"
        assert f"distributed.halo: {name} must be the same on every rank; got" in message


@pytest.mark.parametrize("reverse", [False, True])
def test_an_initial_state_is_of_the_first_piece(ranks, reverse):
    first, other = (1, 0) if reverse else (0, 1)
    # The first one is refused for something else, so that it does not wait for the other.
    each = [{}, {}]
    each[first], each[other] = {"own": {"mode": "star"}}, {"own": {"initial_state": STATE}}

    found = ranks.run("refused", 2, each=each, **problem(reverse=reverse))

    assert found[first][1] == "distributed.scan: mode must be 'gather' or 'ring'; got 'star'."
    assert found[other] == (
        "ValueError",
        f"distributed.scan: initial_state must be None but on rank {first}, which has the first "
        f"steps; got a tensor on rank {other}.",
    )


def test_a_wide_initial_state_must_be_announced_by_the_others(ranks):
    each = [{"own": {"initial_state": torch.ones(1, 5, 2, dtype=torch.float64)}}, {}]

    found = ranks.run("refused", 2, each=each, **problem(d=5))

    assert "state must be the same on every rank; got 'float64' on rank 0" in found[0][1]


def test_a_second_derivative_is_refused(ranks):
    for message in ranks.run("create_graph", 2, **problem()):
        assert message == (
            "distributed.scan: double backward is not supported; leave create_graph out."
        )


@pytest.fixture
def group_of_one():
    """This process as a group."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


@pytest.mark.parametrize("mode", ["gather", "ring"])
@pytest.mark.usefixtures("group_of_one")
def test_a_group_of_one_scans_as_without_a_group(mode):
    given = arguments(make(l=12, seq_idx="two", reverse=True, layout="bld"))
    tensors, options = given["tensors"], given["options"] | {"return_last_state": True}
    tensors = {x: v for x, v in tensors.items() if x not in ("dy", "dlast")}

    got = distributed.scan(**tensors, **options, mode=mode)

    assert_equal(got, selscan.scan(**tensors, **options))


@pytest.mark.usefixtures("group_of_one")
def test_a_mixer_over_a_group_of_one_is_that_without():
    one, x = nn.BiMamba(8, group=dist.group.WORLD), torch.randn(1, 9, 8)
    other = nn.BiMamba(8)
    other.load_state_dict(one.state_dict())

    torch.testing.assert_close(one(x), other(x))


WRONG = [
    ({"mode": "star"}, ValueError, "mode must be 'gather' or 'ring'; got 'star'."),
    ({"mode": None}, ValueError, "mode must be 'gather' or 'ring'; got None."),
    (
        {"group": "world"},
        TypeError,
        "group must be a torch.distributed.ProcessGroup; got 'world' (str).",
    ),
    ({"reverse": 1}, TypeError, "reverse must be True or False; got 1 (int)."),
    ({"return_last_state": 1}, TypeError, "return_last_state must be True or False; got 1 (int)."),
    ({"u": [1.0]}, TypeError, "u must be a torch tensor; got a list. Pass torch.as_tensor(u)."),
    (
        {"delta": torch.ones(1, 3, 6, device="meta")},
        TypeError,
        "delta must be a plain tensor with data; got a meta tensor.",
    ),
    (
        {"A": torch.ones(4, 2)},
        ValueError,
        "A must be (d, n) with d = 3; got (4, 2).",
    ),
]


@pytest.mark.parametrize(("given", "error", "message"), WRONG)
@pytest.mark.usefixtures("group_of_one")
def test_a_wrong_argument_is_refused(given, error, message):
    with pytest.raises(error) as caught:
        distributed.scan(**(problem() | given))

    assert str(caught.value) == f"distributed.scan: {message}"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"x": 1}, TypeError, "x must be a torch tensor; got 1 (int)."),
        ({"x": torch.ones(())}, ValueError, "x must be (..., l); got ()."),
        ({"width": -1}, ValueError, "width must be an integer of at least 0; got -1 (int)."),
        ({"width": True}, ValueError, "width must be an integer of at least 0; got True (bool)."),
        ({"reverse": None}, TypeError, "reverse must be True or False; got None."),
    ],
)
@pytest.mark.usefixtures("group_of_one")
def test_a_wrong_argument_of_a_halo_is_refused(given, error, message):
    with pytest.raises(error) as caught:
        distributed.halo(**({"x": torch.ones(1, 6), "width": 2} | given))

    assert str(caught.value) == f"distributed.halo: {message}"


@pytest.mark.usefixtures("group_of_one")
def test_transforms_of_torch_func_are_refused():
    given = problem()
    u = given.pop("u")

    with pytest.raises(RuntimeError, match=r"transforms of torch\.func are not supported"):
        torch.func.grad(lambda u: distributed.scan(u, **given).sum())(u)


@pytest.mark.parametrize("function", ["scan", "halo"])
def test_without_a_group_the_message_says_how_to_make_one(function):
    given = problem() if function == "scan" else {"x": torch.ones(1, 6), "width": 2}

    with pytest.raises(RuntimeError) as caught:
        getattr(distributed, function)(**given)

    assert str(caught.value) == (
        f"distributed.{function}: torch.distributed must be initialised; call "
        "torch.distributed.init_process_group first."
    )


@pytest.fixture(scope="module")
def doomed():
    """Two processes for what they do not survive, or their groups do not."""
    with Ranks(2) as ranks:
        yield ranks


# Which rank does not do what, and what the error of the other one says.
ABSENT = [
    ("gather", "first call", 1, "distributed.scan: every rank of the group must make the same"),
    ("gather", "call", 1, ""),
    ("ring", "call", 0, ""),
    ("gather", "backward", 1, ""),
    ("ring", "backward", 1, ""),
]


@pytest.mark.parametrize(("mode", "what", "absent", "message"), ABSENT)
def test_a_rank_that_does_not_come_is_an_error_in_time(doomed, mode, what, absent, message):
    given = problem() | {"mode": mode, "what": what, "absent": absent, "timeout": TIMEOUT}

    found = doomed.run("alone", **given)[1 - absent]

    assert found is not None, "there was no error"
    name, text, seconds = found
    assert name in ("RuntimeError", "DistBackendError", "TimeoutError"), text
    assert text.startswith(message)
    assert seconds < TIMEOUT + 20  # of which 20 are for a busy machine; the group of all has 30


def test_a_rank_that_ends_is_an_error_on_the_others(doomed):
    """The last test of these processes."""
    given = problem() | {"mode": "gather", "what": "end", "absent": 1, "timeout": TIMEOUT}

    (fine, found), (_, ended) = doomed.outcomes("alone", **given)

    assert ended.startswith("the process has ended with 3")
    assert fine
    assert found[0] in ("RuntimeError", "DistBackendError"), found
    doomed.close()
