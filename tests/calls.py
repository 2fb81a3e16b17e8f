"""Small calls of the public functions, any argument replaced, and what they answer when refused."""

from unittest import mock

import numpy as np
import pytest
from producers import Shared

import selscan
from selscan.arrays.guests import GuestArrays
from selscan.arrays.numpy import NumPyArrays
from selscan.arrays.torch import TorchArrays
from selscan.backends import cpu

# b, d, l, n = 2, 4, 5, 3: all different, so that no axis passes for another.
SHAPES = {
    "u": (2, 4, 5),
    "delta": (2, 4, 5),
    "A": (4, 3),
    "B": (2, 3, 5),
    "C": (2, 3, 5),
    "D": (4,),
    "z": (2, 4, 5),
    "delta_bias": (4,),
    "initial_state": (2, 4, 3),
    "dy": (2, 4, 5),
    "dlast_state": (2, 4, 3),
}
STEP_SHAPES = {
    "state": (2, 4, 3),
    "u": (2, 4),
    "delta": (2, 4),
    "A": (4, 3),
    "B": (2, 3),
    "C": (2, 3),
    "D": (4,),
    "z": (2, 4),
    "delta_bias": (4,),
}
# k = 4 routes of 15 steps over maps of 3 x 5 pixels, and d = 6.
PATH = selscan.paths.cross(3, 5)
MOVED_SHAPES = {"gather": {"x": (2, 6, 3, 5)}, "scatter": {"y": (2, 4, 6, 15)}}
# k = 2 routes over maps of 5 x 6 pixels.
MAP_SHAPES = {
    "u": (2, 4, 5, 6),
    "delta": (2, 2, 4, 5, 6),
    "A": (2, 4, 3),
    "B": (2, 2, 3, 5, 6),
    "C": (2, 2, 3, 5, 6),
    "D": (2, 4),
    "delta_bias": (2, 4),
}
TIMED = ("u", "delta", "B", "C", "z", "dy")
INPUTS = {
    "scan": tuple(name for name in SHAPES if not name.startswith("d") or name.startswith("delta")),
    "scan_backward": tuple(SHAPES),
    "scan_step": tuple(STEP_SHAPES),
    "scan2d": tuple(MAP_SHAPES),
}
EVERY = INPUTS | {name: tuple(shapes) for name, shapes in MOVED_SHAPES.items()}
OPTIONS = {
    "scan": {
        "delta_softplus": True,
        "return_last_state": True,
        "return_states_at": None,
        "reverse": False,
        "seq_idx": None,
        "layout": "bdl",
        "out_dtype": None,
        "backend": None,
    },
    "scan_backward": {
        "delta_softplus": True,
        "return_states_at": None,
        "reverse": False,
        "seq_idx": None,
        "layout": "bdl",
        "backend": None,
    },
    "scan_step": {"delta_softplus": True, "backend": None},
    "gather": {"path": PATH},
    "scatter": {"path": PATH, "merge": True},
    "scan2d": {
        "path": selscan.paths.bidirectional(5, 6),
        "delta_softplus": True,
        "merge": True,
        "out_dtype": None,
        "backend": None,
    },
}
FRAMEWORKS = ("numpy", "torch")


def array(framework, shape, dtype="float32"):
    """An array of ones."""
    if framework == "torch":
        torch = pytest.importorskip("torch")
        return torch.ones(shape, dtype=getattr(torch, dtype))
    if framework == "jax":
        return pytest.importorskip("jax").numpy.ones(shape, dtype)
    if framework == "dlpack":
        return Shared(np.ones(shape, dtype))
    return np.ones(shape, dtype)


def shapes_of(function):
    """Of right values of the arguments that are arrays."""
    others = {"scan_step": STEP_SHAPES, "scan2d": MAP_SHAPES, **MOVED_SHAPES}
    return others.get(function, SHAPES)


def argument(function, name, framework="numpy", dtype="float32"):
    """A right value of one argument."""
    return array(framework, shapes_of(function)[name], dtype)


def arguments(function, framework="numpy", **replaced):
    """All arguments of a public function, `replaced` in place of some."""
    shapes = {name: shapes_of(function)[name] for name in EVERY[function]}
    layout = replaced.get("layout")
    if isinstance(layout, str) and layout == "bld":
        shapes |= {name: s[:1] + s[:0:-1] for name, s in shapes.items() if name in TIMED}
    inputs = {name: array(framework, shape) for name, shape in shapes.items()}
    return inputs | OPTIONS[function] | replaced


def call(function, framework="numpy", **replaced):
    """Call a public function by name."""
    return getattr(selscan, function)(**arguments(function, framework, **replaced))


def refused(error, function, framework="numpy", **replaced):
    """The message of a call that raises `error` before anything is allocated or run."""
    work = AssertionError("work began before the arguments were checked")
    with (
        mock.patch.object(cpu, "launch", side_effect=work),
        mock.patch.object(NumPyArrays, "allocate", side_effect=work),
        mock.patch.object(TorchArrays, "allocate", side_effect=work),
        mock.patch.object(GuestArrays, "allocate", side_effect=work),
        pytest.raises(error) as caught,
    ):
        call(function, framework, **replaced)
    assert caught.type is error
    return str(caught.value)
