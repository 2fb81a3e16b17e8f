"""The papers' models with every kernel emulated: the official numbers, and launches counted.

Tensors on the CPU pass for ones on a GPU; what torch itself does runs on the CPU.
"""

from collections import Counter

import pytest

torch = pytest.importorskip("torch")

import devices as fakes  # noqa: E402
import golden_models  # noqa: E402
import test_models_local as local  # noqa: E402
import test_models_vim as vim  # noqa: E402
from golden_models import assert_near, logits_and_gradient  # noqa: E402

from selscan import backends  # noqa: E402
from selscan.backends.cupy.instances import INSTANCES  # noqa: E402
from selscan.models.checkpoints import load  # noqa: E402
from selscan.nn import set_fused  # noqa: E402

from . import scans  # noqa: E402

FILES = {name: file for file, names in INSTANCES.items() for name in names}
SCAN2D = {"scan2d_forward", "scan2d_backward"}
SEQUENCES = {"move", "scan_forward", "scan_backward"}


@pytest.fixture
def emulated(monkeypatch, tmp_path):
    """Devices whose kernels are emulated."""
    found = fakes.install(monkeypatch, tmp_path, lambda name: scans.function(FILES[name], name))
    fakes.put_tensors_on(monkeypatch, found)
    yield found
    backends.forget()


def pyramid(name, fused):
    """A model of maps and its numbers."""
    numbers = golden_models.golden(name)
    model = set_fused(golden_models.MODELS[name](), fused)
    return load(model, numbers.state("state")).eval(), numbers


def maps(name, kernels=SCAN2D):
    return lambda: pyramid(name, True), kernels


def sequences(name):
    return lambda: local.official(name), SEQUENCES


CASES = {
    "vmamba_v0": maps("vmamba_v0"),
    "vmamba": maps("vmamba"),
    "vmamba, in sequences": (lambda: pyramid("vmamba", False), SEQUENCES),
    "efficientvmamba": maps("efficientvmamba", SCAN2D | {"move"}),  # it gathers itself
    "msvmamba": maps("msvmamba"),
    "msvmambav3": maps("msvmambav3"),
    "vim": (vim.official, SEQUENCES - {"move"}),
    "local_vim": sequences("local_vim"),
    "local_vim_rope": sequences("local_vim_rope"),
    "local_vim_search": sequences("local_vim_search"),
    "local_vmamba": (lambda: local.official("local_vmamba"), SCAN2D),
    "local_vmamba, in sequences": sequences("local_vmamba in sequences"),
}


def test_every_model_is_here():
    names = {name.partition(",")[0] for name in CASES}
    assert names >= golden_models.MODELS.keys()
    assert names >= {name.partition(" ")[0] for name in local.MODELS}


@pytest.mark.parametrize("name", CASES)
def test_scores_and_gradients_are_the_official_ones(name, emulated):
    make, wanted = CASES[name]
    model, numbers = make()

    logits, gradient = logits_and_gradient(model, numbers)

    assert_near(logits, numbers["logits"])
    assert_near(gradient, numbers["grad_input"])
    launches = Counter(launch.kernel.partition("<")[0] for launch in emulated.launches)
    assert launches.keys() - {"sum_parts", "scan_carry"} == wanted
    forward, backward = (
        sum(launches[x] for x in launches if x.endswith(end)) for end in ("_forward", "_backward")
    )
    # The backward of a model runs each scan's once, and may have asked for its states again.
    assert 0 < backward <= forward
