"""None in the place of a switch is what the switch is by default, in every function."""

import inspect

import numpy as np
import pytest
from calls import EVERY, arguments, refused

import selscan

SWITCHES = {"delta_softplus": False, "reverse": False, "return_last_state": False, "merge": True}
CASES = [
    (function, name)
    for function in EVERY
    for name in SWITCHES
    if name in inspect.signature(getattr(selscan, function)).parameters
]
every = pytest.mark.parametrize(("function", "name"), CASES)
frameworks = pytest.mark.parametrize("framework", ["numpy", "torch", "jax", "dlpack"])


def test_the_defaults_are_those_of_the_signatures():
    for function, name in CASES:
        default = inspect.signature(getattr(selscan, function)).parameters[name].default
        assert default is SWITCHES[name], (function, name)


def results(function, framework, **given):
    """All arrays that a call returns, as NumPy's; each argument has numbers of its own."""
    generator = np.random.default_rng(0)
    call = arguments(function, framework) | given
    for name, value in call.items():
        if framework == "numpy" and isinstance(value, np.ndarray):
            call[name] = generator.uniform(0.1, 1, value.shape).astype(value.dtype)
        elif framework == "torch" and type(value).__name__ == "Tensor":
            drawn = generator.uniform(0.1, 1, tuple(value.shape))
            call[name] = value * 0 + value.new_tensor(drawn)
    found = getattr(selscan, function)(**call)
    found = found if isinstance(found, tuple) else (found,)
    return [
        np.asarray(x) if hasattr(x, "__array__") else np.from_dlpack(x)
        for x in found
        if x is not None
    ]


@every
@frameworks
def test_none_is_the_default(function, name, framework):
    none, default = (results(function, framework, **{name: x}) for x in (None, SWITCHES[name]))

    assert len(none) == len(default)
    for found, want in zip(none, default, strict=True):
        assert found.shape == want.shape
        assert (found == want).all()


@every
def test_none_is_the_default_in_a_graph_of_torch(function, name):
    torch = pytest.importorskip("torch")
    call = arguments(function, "torch") | {name: None}
    public = getattr(selscan, function)
    compiled = torch.compile(public, fullgraph=True, backend="aot_eager")
    copied = {k: x.clone() if isinstance(x, torch.Tensor) else x for k, x in call.items()}

    found, want = compiled(**copied), public(**call | {name: SWITCHES[name]})

    for x, y in zip(
        torch.utils._pytree.tree_leaves(found), torch.utils._pytree.tree_leaves(want), strict=True
    ):
        assert x is y or torch.equal(x, y)
    torch.compiler.reset()


@every
@pytest.mark.parametrize("value", [0, 1, np.True_, np.False_, "", (), 0.0], ids=repr)
@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_the_truth_of_nothing_else_counts(function, name, value, framework):
    message = refused(TypeError, function, framework, **{name: value})

    assert message.startswith(f"{function}: {name} must be True or False; got ")
