"""selscan.distributed.scan: pieces of a sequence are scanned as one process scans the whole."""

import itertools

import numpy as np
import pytest
import torch
from harness import to_numpy
from tensors import assert_equal
from tolerances import arithmetic, assert_within, expected, expected_gradients

from .problems import alone, arguments, as_grads, joined, make

MODES = ("gather", "ring")
# What is cut where: two, three and four ranks, pieces of one step and of none at each place.
HALVES = [0, 20, 50]
CUTS = (HALVES, [0, 0, 50], [0, 30, 50, 50], [0, 1, 2, 50], [0, 17, 17, 50], [0, 9, 20, 49, 50])
NONE_FIRST, NONE_LAST, NONE_INSIDE = [0, 0, 0, 20, 50], [0, 20, 50, 50, 50], [0, 20, 20, 20, 50]
CASES = [
    *(({}, cuts) for cuts in CUTS),
    ({"reverse": True}, [0, 9, 20, 49, 50]),
    ({"reverse": True, "layout": "bld"}, NONE_FIRST),
    ({"layout": "bld", "form_b": "shared", "form_c": "shared"}, NONE_LAST),
    ({"given": ()}, NONE_FIRST),
    ({"given": ("z",), "delta_softplus": False, "reverse": True}, NONE_INSIDE),
    ({"given": ("D", "delta_bias"), "layout": "bld"}, [0, 30, 50]),
    ({"seq_idx": "many"}, [0, 9, 20, 49, 50]),
    ({"seq_idx": "two", "reverse": True, "layout": "bld"}, NONE_INSIDE),
    ({"seq_idx": "one"}, NONE_FIRST),
    ({"seq_idx": "every", "given": ()}, HALVES),
    ({"seq_idx": "any", "seed": 5}, [0, 1, 2, 3, 50]),
    ({"d": 6, "g": 3, "n": 3, "reverse": True}, [0, 9, 20, 49, 50]),
    ({"b": 1, "d": 34, "g": 2, "n": 2, "l": 20}, [0, 5, 12, 20]),
    ({"b": 1, "d": 33, "n": 1, "l": 20, "layout": "bld"}, [0, 5, 20]),
    ({"form_b": "constant", "form_c": "constant"}, [0, 9, 20, 49, 50]),
    ({"form_b": "constant", "form_c": "shared", "reverse": True}, [0, 9, 50]),
    ({"form_c": "constant"}, [0, 9, 50, 50]),
    ({"dtype": "float64"}, [0, 9, 20, 49, 50]),
    ({"dtype": "complex64"}, [0, 9, 20, 49, 50]),
    ({"dtype": "complex64", "imaginary": (), "reverse": True, "seq_idx": "two"}, NONE_INSIDE),
    ({"dtype": "complex128", "given": ("z",), "layout": "bld"}, [0, 9, 50]),
    # D and delta_bias are in float32: their gradients are summed over ranks.
    ({"dtype": "bfloat16", "given": ("z", "initial_state")}, [0, 9, 20, 49, 50]),
    ({"dtype": "float16", "given": ("z",), "out_dtype": "float32"}, [0, 9, 50]),
    ({"decay": 16, "step": 5}, [0, 9, 20, 49, 50]),
    ({"l": 700, "b": 1, "d": 2, "n": 2}, [0, 100, 228, 699, 700]),
]


def name_of(case):
    options, cuts = case
    return " ".join(f"{x}={v}" for x, v in options.items()) + f" {cuts}"


def run(ranks, problem, cuts, **options):
    return ranks.run("scan", len(cuts) - 1, cuts=cuts, **arguments(problem), **options)


def check(results, problem):
    """Against float64, and that all ranks have the same last state."""
    (y, last), gradients = joined(results, problem)
    for other in results:
        assert_equal(other[1], last)
    reference = {x: v for x, v in problem.items() if x not in ("dy", "dlast_state")}
    got = to_numpy(y), to_numpy(last)
    assert_within(got, *expected(reference), arithmetic(reference))
    without = {x: v for x, v in problem.items() if x != "out_dtype"}
    want, bounds = expected_gradients(without)
    assert_within(as_grads(gradients), want, bounds, arithmetic(problem))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_pieces_are_scanned_as_the_whole(ranks, case, mode):
    options, cuts = case
    problem = make(**{"l": 50} | options)
    one = alone(problem)  # first: kernels are compiled once, and not by all ranks

    results = run(ranks, problem, cuts, mode=mode)

    check(results, problem)
    if mode == "ring":
        assert_bits(results, one, problem)


@pytest.mark.parametrize(
    "options",
    [
        {"d": 34, "g": 2, "layout": "bld", "seq_idx": "two"},
        {"b": 1, "d": 40, "reverse": True, "form_c": "shared", "form_b": "shared"},
        {"b": 3, "d": 2, "dtype": "complex64", "given": ()},
    ],
    ids=str,
)
def test_a_gathered_scan_computes_what_it_sends_in_slices(ranks, options):
    problem = make(**{"l": 12, "n": 2} | options)

    results = run(ranks, problem, [0, 3, 8, 12], at_once=20)

    check(results, problem)


def assert_bits(results, one, problem):
    """The bits of one process in all that is not summed over ranks or over slices."""
    (y, last), gradients = joined(results, problem)
    assert_equal((y, last), one[:2])
    sums = {"A", "D", "delta_bias"} | {x for x in "BC" if problem[x].ndim == 2}
    if len(problem["u"]) == 1 and problem["A"].shape[0] > 32:  # channels of a group are cut
        sums |= {"B", "C"}
    for name in gradients.keys() - sums:
        assert_equal(gradients[name], one[2][name])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cuts", [[0, 4, 8, 12], [0, 4, 4, 8, 12], [0, 3, 5, 9, 12]], ids=str)
def test_sequences_that_begin_at_the_beginning_of_a_piece_begin_anew(ranks, cuts, reverse, mode):
    problem = make(l=12, b=3, reverse=reverse)
    # A border at every cut; at one of them, the same number again later; nowhere.
    rows = [[7] * 4 + [8] * 4 + [9] * 4, [1] * 4 + [2] * 4 + [1] * 4, [5] * 12]
    problem["seq_idx"] = np.array(rows, np.int64)

    results = run(ranks, problem, cuts, mode=mode)

    check(results, problem)


@pytest.mark.parametrize("mode", MODES)
def test_a_loss_of_the_last_state_has_its_gradients(ranks, mode):
    problem = make(l=12, dtype="float64")

    results = run(ranks, problem, [0, 3, 8, 12], mode=mode, use=("last",))

    check(results, problem | {"dy": np.zeros_like(problem["dy"])})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_call_that_does_not_ask_for_the_last_state_has_the_same_y(ranks, reverse, mode):
    problem = make(l=12, dtype="float64", reverse=reverse)
    del problem["dlast_state"]
    zeros = np.zeros_like(problem["initial_state"])

    results = run(ranks, problem | {"dlast_state": zeros}, [0, 3, 8, 12], mode=mode, use=("y",))

    (y, last), gradients = joined(results, problem)
    assert last is None
    one = alone(problem | {"dlast_state": zeros})
    torch.testing.assert_close(y, one[0])
    torch.testing.assert_close(gradients, one[2])


@pytest.mark.parametrize("mode", MODES)
def test_without_gradients_the_results_are_the_same(ranks, mode):
    problem = make(l=12)

    quiet = run(ranks, problem, [0, 3, 12], mode=mode, use=())

    for got, want in zip(quiet, run(ranks, problem, [0, 3, 12], mode=mode), strict=True):
        assert_equal(got[:2], want[:2])
        assert got[2] == {}


@pytest.mark.parametrize("shape", [{"b": 0}, {"l": 0}], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_nothing_to_scan_gives_nothing_and_passes_the_state_on(ranks, shape, mode):
    problem = make(**{"l": 12} | shape)
    length = problem["u"].shape[2]

    results = run(ranks, problem, [0, length // 2, length, length], mode=mode)

    (y, last), gradients = joined(results, problem)
    assert y.shape == problem["u"].shape
    assert_equal(last, torch.from_numpy(problem["initial_state"]))
    assert_equal(gradients["initial_state"], torch.from_numpy(problem["dlast_state"]))


def test_a_scan_and_its_gradient_are_two_collectives_of_the_size_of_a_state(ranks):
    problem = make(b=2, d=64, n=8, l=12, given=())
    given = arguments(problem) | {"cuts": [0, 4, 8, 12]}

    results = ranks.run("many_scans", 3, count=3, mode="gather", **given)

    state, total = 4 * 2 * 64 * 8, 4 * 2 * 64
    for counted, _ in itertools.chain(*results):
        calls, sent = counted["all_gather"]
        assert calls == 2
        # The head of a buffer, and the last state's gradient, of the size of a state.
        assert sent == (32 + total + state) + (32 + state + state)
        assert [counted[x][0] for x in ("isend", "broadcast", "reduce")] == [0, 0, 0]


def test_a_ring_sends_a_state_to_the_next_rank_in_slices(ranks):
    problem = make(b=2, d=64, n=8, l=12, given=())
    given = arguments(problem) | {"cuts": [0, 4, 8, 12]}

    results = ranks.run("many_scans", 3, count=1, mode="ring", **given)

    sent = [counted["isend"] for [(counted, _)] in results]
    state, slices = 4 * 2 * 64 * 8, 2 * 64 // 16
    assert sent == [(n * slices, n * (slices * 32 + state)) for n in (1, 2, 1)]


@pytest.mark.parametrize("mode", MODES)
def test_ranks_look_at_the_store_where_shapes_change_and_only_there(ranks, mode):
    cuts = {"cuts": [0, 4, 12]}
    small = cuts | arguments(make(b=1, d=3, l=12)) | {"mode": mode}
    large = cuts | arguments(make(b=1, d=4, l=12)) | {"mode": mode}

    rounds = [
        ranks.run("many_scans", 2, count=2, counted=(), **given)
        for given in (small, large, large, small)
    ]

    for of_call in rounds[1:]:
        assert {tuple(n for _, n in of_rank) for of_rank in of_call} <= {(1, 0), (0, 0)}
    assert [x[0][0][1] for x in rounds[1:]] == [1, 0, 1]


@pytest.mark.parametrize("mode", MODES)
def test_a_scan_is_checkpointed(ranks, mode):
    given = arguments(make(l=12, dtype="float64")) | {"cuts": [0, 3, 8, 12]}

    for plain, *others in ranks.run("checkpointed", 3, mode=mode, **given):
        for gradient in others:
            assert_equal(gradient, plain)


def test_torch_compile_breaks_the_graph_around_a_call(ranks):
    given = arguments(make(l=12, seed=2)) | {"cuts": [0, 5, 12]}

    for got, want, message in ranks.run("compiled", 2, **given):
        torch.testing.assert_close(got, want)
        assert "Skip inlining" in message
