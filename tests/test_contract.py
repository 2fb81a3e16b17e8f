"""Shapes that do not fit: the message names the argument, what it must be, and what came."""

import numpy as np
import pytest
from calls import FRAMEWORKS, array, call, refused

TIME_OR_NOT = "(d, n), (b, n, l) or (b, g, n, l) with b = 2, n = 3, l = 5"

# name, shape, what follows "<function>: <name> must be "
SEQUENCES = [
    ("u", (4, 5), "(b, d, l), three axes; got (4, 5). Is the batch axis missing?"),
    ("u", (), "(b, d, l), three axes; got ()."),
    ("u", (2, 4, 5, 1), "(b, d, l), three axes; got (2, 4, 5, 1)."),
    ("delta", (2, 4, 6), "(b, d, l) like u, (2, 4, 5); got (2, 4, 6)."),
    ("delta", (2, 4), "(b, d, l) like u, (2, 4, 5); got (2, 4)."),
    ("delta", (), "(b, d, l) like u, (2, 4, 5); got ()."),
    ("delta", (2, 1, 5), "(b, d, l) like u, (2, 4, 5); got (2, 1, 5)."),
    ("delta", (2, 5, 4), "(b, d, l) like u, (2, 4, 5); got (2, 5, 4). Is it in layout 'bld'?"),
    ("z", (3, 4, 5), "(b, d, l) like u, (2, 4, 5); got (3, 4, 5)."),
    ("z", (2, 5, 4), "(b, d, l) like u, (2, 4, 5); got (2, 5, 4). Is it in layout 'bld'?"),
]
ROWS = [
    ("A", (4,), "(d, n) with d = 4; got (4,)."),
    ("A", (7, 3), "(d, n) with d = 4; got (7, 3)."),
    ("A", (3, 4), "(d, n) with d = 4; got (3, 4). Is it transposed?"),
    ("A", (5, 3), "(d, n) with d = 4; got (5, 3). Is u in layout 'bld'?"),
    ("A", (2, 4, 3), "(d, n) with d = 4; got (2, 4, 3)."),
    ("A", (4, 0), "(d, n) with n of at least 1; got (4, 0)."),
    ("D", (3,), "(d,) with d = 4; got (3,)."),
    ("D", (4, 1), "(d,) with d = 4; got (4, 1)."),
    ("D", (), "(d,) with d = 4; got ()."),
    ("delta_bias", (1,), "(d,) with d = 4; got (1,)."),
    ("delta_bias", (1, 4), "(d,) with d = 4; got (1, 4)."),
    ("initial_state", (2, 3, 4), "(b, d, n) = (2, 4, 3); got (2, 3, 4)."),
    ("initial_state", (4, 3), "(b, d, n) = (2, 4, 3); got (4, 3)."),
    ("initial_state", (1, 4, 3), "(b, d, n) = (2, 4, 3); got (1, 4, 3)."),
]
# The same for B and C; {k} stands for their two forms.
COEFFICIENTS = [
    ((3,), f"{TIME_OR_NOT}; got (3,)."),
    ((), f"{TIME_OR_NOT}; got ()."),
    ((1, 2, 1, 3, 5), f"{TIME_OR_NOT}; got (1, 2, 1, 3, 5)."),
    ((3, 4), "(d, n) = (4, 3), or have a time axis; got (3, 4)."),
    ((4, 1), "(d, n) = (4, 3), or have a time axis; got (4, 1)."),
    ((2, 3, 6), "{k} with b = 2, n = 3, l = 5; got (2, 3, 6)."),
    ((2, 4, 5), "{k} with b = 2, n = 3, l = 5; got (2, 4, 5)."),
    ((1, 3, 5), "{k} with b = 2, n = 3, l = 5; got (1, 3, 5)."),
    ((2, 1, 4, 5), "{k} with b = 2, n = 3, l = 5; got (2, 1, 4, 5)."),
    ((2, 5, 3), "{k} with b = 2, n = 3, l = 5; got (2, 5, 3). Is it in layout 'bld'?"),
    ((2, 5, 2, 3), "{k} with b = 2, n = 3, l = 5; got (2, 5, 2, 3). Is it in layout 'bld'?"),
    ((2, 3, 3, 5), "{k} with d % g == 0, d = 4; got g = 3."),
    ((2, 0, 3, 5), "{k} with d % g == 0, d = 4; got g = 0."),
    ((2, 8, 3, 5), "{k} with d % g == 0, d = 4; got g = 8."),
]
CHANNELS_LAST = [
    ("u", (5, 4), "(b, l, d), three axes; got (5, 4). Is the batch axis missing?"),
    ("delta", (2, 4, 5), "(b, l, d) like u, (2, 5, 4); got (2, 4, 5). Is it in layout 'bdl'?"),
    ("A", (5, 3), "(d, n) with d = 4; got (5, 3). Is u in layout 'bdl'?"),
    (
        "B",
        (2, 3, 5),
        "(b, l, n) or (b, l, g, n) with b = 2, n = 3, l = 5; got (2, 3, 5). Is it in layout 'bdl'?",
    ),
    (
        "C",
        (2, 2, 3, 5),
        "(b, l, n) or (b, l, g, n) with b = 2, n = 3, l = 5; got (2, 2, 3, 5). "
        "Is it in layout 'bdl'?",
    ),
    ("C", (2, 5, 3, 3), "(b, l, n) or (b, l, g, n) with d % g == 0, d = 4; got g = 3."),
]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("function", ["scan", "scan_backward"])
@pytest.mark.parametrize(("name", "shape", "expected"), [*SEQUENCES, *ROWS])
def test_a_wrong_shape_is_refused(framework, function, name, shape, expected):
    message = refused(ValueError, function, framework, **{name: array(framework, shape)})

    assert message == f"{function}: {name} must be {expected}"


@pytest.mark.parametrize("name", ["B", "C"])
@pytest.mark.parametrize("function", ["scan", "scan_backward"])
@pytest.mark.parametrize(("shape", "expected"), COEFFICIENTS)
def test_a_wrong_shape_of_a_coefficient_is_refused(function, name, shape, expected):
    message = refused(ValueError, function, **{name: array("numpy", shape)})

    expected = expected.format(k="(b, n, l) or (b, g, n, l)")
    assert message == f"{function}: {name} must be {expected}"


@pytest.mark.parametrize(("name", "shape", "expected"), CHANNELS_LAST)
def test_a_wrong_shape_in_layout_bld_is_refused(name, shape, expected):
    message = refused(ValueError, "scan", layout="bld", **{name: array("numpy", shape)})

    assert message == f"scan: {name} must be {expected}"


@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_all_arrays_in_the_other_layout_are_noticed(layout):
    other = "bld" if layout == "bdl" else "bdl"
    swapped = {name: np.ones((2, 5, 4) if layout == "bdl" else (2, 4, 5), np.float32)
               for name in ("u", "delta", "z")}  # fmt: skip

    message = refused(ValueError, "scan", layout=layout, **swapped)

    assert message.endswith(f"got (4, 3). Is u in layout {other!r}?")


@pytest.mark.parametrize("function", ["scan", "scan_backward", "scan_step"])
def test_different_groups_of_b_and_c_are_refused(function):
    shape = (2, 2, 3) if function == "scan_step" else (2, 2, 3, 5)
    message = refused(ValueError, function, B=np.ones(shape, np.float32))

    expected = "B and C must have the same number of groups g; got 2 in B and 1 in C."
    assert message == f"{function}: {expected}"


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("dy", (2, 4, 6), "of the shape of u, (2, 4, 5); got (2, 4, 6)."),
        ("dy", (), "of the shape of u, (2, 4, 5); got ()."),
        (
            "dy",
            (2, 5, 4),
            "of the shape of u, (2, 4, 5); got (2, 5, 4). Is it in the other layout?",
        ),
        ("dlast_state", (2, 3, 4), "of the shape of last_state, (2, 4, 3); got (2, 3, 4)."),
        ("dlast_state", (4, 3), "of the shape of last_state, (2, 4, 3); got (4, 3)."),
    ],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gradient_of_the_wrong_shape_is_refused(framework, name, shape, expected):
    given = array(framework, shape)

    message = refused(ValueError, "scan_backward", framework, **{name: given})

    assert message == f"scan_backward: {name} must be {expected}"


STEP_FORMS = "(b, n), (b, g, n) or (d, n) with b, d, n = (2, 4, 3) and d % g == 0"


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("state", (4, 3), "(b, d, n) with n of at least 1; got (4, 3)."),
        ("state", (2, 4, 0), "(b, d, n) with n of at least 1; got (2, 4, 0)."),
        ("u", (2, 3), "(b, d) = (2, 4); got (2, 3)."),
        ("u", (2, 4, 1), "(b, d) = (2, 4); got (2, 4, 1). A step has no time axis."),
        ("delta", (4,), "(b, d) = (2, 4); got (4,)."),
        ("z", (4, 2), "(b, d) = (2, 4); got (4, 2)."),
        ("A", (3, 4), "(d, n) = (4, 3); got (3, 4)."),
        ("B", (3,), f"{STEP_FORMS}; got (3,)."),
        ("B", (2, 4), f"{STEP_FORMS}; got (2, 4)."),
        ("B", (2, 0, 3), f"{STEP_FORMS}; got (2, 0, 3)."),
        ("C", (2, 3, 3), f"{STEP_FORMS}; got (2, 3, 3)."),
        ("C", (2, 3, 1), f"{STEP_FORMS}; got (2, 3, 1)."),
        ("D", (1,), "(d,) with d = 4; got (1,)."),
        ("delta_bias", (4, 1), "(d,) with d = 4; got (4, 1)."),
    ],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_wrong_shape_of_a_step_is_refused(framework, name, shape, expected):
    message = refused(ValueError, "scan_step", framework, **{name: array(framework, shape)})

    assert message == f"scan_step: {name} must be {expected}"


def test_a_read_only_state_is_refused():
    state = np.ones((2, 4, 3), np.float32)
    state.flags.writeable = False

    message = refused(ValueError, "scan_step", state=state)

    assert message == (
        "scan_step: state must be writable, it is updated in place; got a read-only array. "
        "Pass state.copy()."
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_broadcast_state_is_refused(framework, axis):
    shape = [2, 4, 3]
    shape[axis] = 1
    state = array(framework, shape)
    state = state.expand(2, 4, 3) if framework == "torch" else np.broadcast_to(state, (2, 4, 3))

    message = refused(ValueError, "scan_step", framework, state=state)

    assert message == (
        "scan_step: state must be an array with memory for each of its elements; "
        "got a broadcast one. Pass a copy."
    )


def test_an_update_of_a_saved_state_is_noticed_by_autograd():
    torch = pytest.importorskip("torch")
    state, weight = torch.zeros(2, 4, 3), torch.ones(2, 4, 3, requires_grad=True)
    loss = (state * weight).sum()  # its gradient needs the state as it was

    call("scan_step", "torch", state=state)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_tensor_whose_storage_was_freed_is_refused():
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 4, 5)
    tensor.untyped_storage().resize_(0)  # as sharded training does between steps

    with pytest.raises(ValueError, match=r"^selscan: every tensor must have memory; got one"):
        call("scan", "torch", delta=tensor)
