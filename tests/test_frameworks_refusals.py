"""What JAX and DLPack arrays must not come with: other frameworks, wrong dtypes and shapes."""

import itertools

import numpy as np
import pytest
from calls import INPUTS, argument, refused

TITLES = {"jax": "a JAX array", "dlpack": "a producers.Shared"}
# Decides what the others are.
FIRST = {"scan": "u", "scan_backward": "u", "scan_step": "state", "scan2d": "u"}
OTHERS = [(f, x) for f in INPUTS for x in INPUTS[f] if x != FIRST[f]]


@pytest.mark.parametrize(("function", "name"), OTHERS)
def test_a_numpy_array_among_others_is_refused(guest, function, name):
    title, first = TITLES[guest.framework], FIRST[function]

    message = refused(TypeError, function, guest.framework, **{name: argument(function, name)})

    assert message == f"{function}: {name} must be {title} like {first}; got a numpy.ndarray."


@pytest.mark.parametrize(
    ("framework", "other"),
    [x for x in itertools.permutations(["numpy", "torch", "jax", "dlpack"], 2) if x[1] != "numpy"],
)
def test_no_two_frameworks_mix(framework, other):
    title = {"numpy": "a NumPy array", "torch": "a torch tensor", "jax": "a JAX array"}
    got = {"torch": "a torch.Tensor", "jax": "a jaxlib.ArrayImpl"}
    maker = {"numpy": "numpy.asarray", "torch": "torch.as_tensor"}.get(framework)
    hint = f" Pass {maker}(delta)." if other == "jax" and maker else ""

    message = refused(TypeError, "scan", framework, delta=argument("scan", "delta", other))

    assert message == (
        f"scan: delta must be {title.get(framework, 'a producers.Shared')} like u; got "
        f"{got.get(other, 'a producers.Shared')}.{hint}"
    )


class Series:
    """As pandas has them: no array, but something to make one of."""

    __module__ = "pandas.core.series"

    def __array__(self, *_, **__):
        raise AssertionError("converted behind the scenes")


@pytest.mark.parametrize("given", [Series(), [1.0]], ids=["pandas", "list"])
@pytest.mark.parametrize(
    ("framework", "expected", "maker"),
    [
        ("numpy", "a NumPy array", "numpy.asarray"),
        ("torch", "a torch tensor", "torch.as_tensor"),
        ("jax", "a JAX array", "jax.numpy.asarray"),
        ("dlpack", "a producers.Shared", None),
    ],
)
def test_what_can_be_made_an_array_is_not_made_one_in_silence(framework, expected, maker, given):
    message = refused(TypeError, "scan", framework, D=given)

    got = "a list" if type(given) is list else "a pandas.Series"
    hint = f" Pass {maker}(D)." if maker else ""
    assert message == f"scan: D must be {expected}; got {got}.{hint}"


@pytest.mark.parametrize("name", ["delta", "A"])
def test_a_missing_array_is_refused(guest, name):
    message = refused(TypeError, "scan", guest.framework, **{name: None})

    assert message == f"scan: {name} must be {TITLES[guest.framework]}; got None."


def test_a_dtype_that_is_not_supported_is_refused(guest):
    given = guest.array(np.ones(4, np.int32))

    message = refused(TypeError, "scan", guest.framework, D=given)

    expected = "D must be float16, bfloat16, float32 or float64; got int32. Convert it to float32."
    assert message == f"scan: {expected}"


def test_a_wrong_shape_is_refused(guest):
    given = guest.array(np.ones(5, np.float32))

    message = refused(ValueError, "scan", guest.framework, D=given)

    assert message == "scan: D must be (d,) with d = 4; got (5,)."
