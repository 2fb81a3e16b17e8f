"""What is no tensor of floats is refused by models and mixers, with what to pass instead."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_models_maps import FAMILIES, small  # noqa: E402

from selscan import nn  # noqa: E402

FORWARD = r"^forward: {} must be a torch tensor of floats; got {}\.{}$"
THINGS = [
    (np.ones((1, 3, 32, 32), np.float32), "a numpy.ndarray", r" Pass torch\.as_tensor\(NAME\)\."),
    (
        torch.ones(1, 3, 32, 32, dtype=torch.uint8),
        "one of uint8",
        r" Pass NAME / 255, normalised as in training\.",
    ),
    (torch.ones(1, 3, 32, 32, dtype=torch.bool), "one of bool", ""),
    (torch.ones(1, 3, 32, 32, dtype=torch.int64), "one of int64", ""),
    (torch.ones(1, 3, 32, 32, dtype=torch.complex64), "one of complex64", ""),
    ([[1.0]], "a list", ""),
    (None, "None", ""),
]
things = pytest.mark.parametrize(("value", "got", "hint"), THINGS)


@things
@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_takes_tensors_of_floats(name, value, got, hint):
    with pytest.raises(
        TypeError, match=FORWARD.format("images", got, hint.replace("NAME", "images"))
    ):
        small(name)(value)


@things
@pytest.mark.parametrize("mixer", [nn.Mixer2d, nn.MultiScaleMixer2d, nn.LocalMamba])
def test_a_mixer_takes_tensors_of_floats(mixer, value, got, hint):
    grid = ((32, 32),) if mixer is nn.LocalMamba else ()

    with pytest.raises(TypeError, match=FORWARD.format("x", got, hint.replace("NAME", "x"))):
        mixer(8)(value, *grid)


@pytest.mark.parametrize("name", ["vim_tiny", "vmamba_tiny_s1l8"])
def test_a_compiled_model_says_so_too(name, request):
    request.addfinalizer(torch._dynamo.reset)  # it does not compile again what has raised
    compiled = torch.compile(small(name), backend="eager")

    with pytest.raises(TypeError, match=r"^forward: images must be a torch tensor of floats; got "):
        compiled(torch.ones(1, 3, 32, 32, dtype=torch.uint8))
