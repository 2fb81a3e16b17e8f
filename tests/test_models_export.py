"""Models as programs: torch.export with any batch, saved and loaded; torch.jit.trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from test_models_maps import FAMILIES, ROUTES, small  # noqa: E402

FORMS = [(name, False) for name in FAMILIES]
FORMS += [(name, True) for name in ("local_vim_tiny_middle_cls_token", "efficientvmamba_tiny")]
every = pytest.mark.parametrize(("name", "features_only"), FORMS)
ROOT = Path(__file__).parents[1]
BATCH = torch.export.Dim("batch")


def two_layers(name, **options):
    """A small model."""
    size = {"depth": 2, "routes": ROUTES[:2], "depths": (1, 1)}
    return small(name, **{k: v for k, v in size.items() if k in FAMILIES[name]} | options)


def one_layer(name, **options):
    """A smaller one, of which an export takes half the time."""
    if name.startswith("local_vim"):
        return two_layers(name, routes=(("w2", "v_flip"),), **options)
    return two_layers(name, **({"depth": 1} if name == "vim_tiny" else {"depths": (1,)}), **options)


def images(b, height=32, width=32):
    generator = torch.Generator().manual_seed(b)
    return torch.randn(b, 3, height, width, generator=generator)


def assert_same(found, want):
    torch.testing.assert_close(list(found), list(want), atol=1e-6, rtol=1e-5)


@every
def test_an_exported_model_takes_any_batch(name, features_only):
    model = two_layers(name, features_only=features_only)
    program = torch.export.export(model, (images(2),), dynamic_shapes=({0: BATCH},)).module()

    for b in (1, 2, 5):
        assert_same(program(images(b)), model(images(b)))


@pytest.mark.parametrize("name", ["vim_tiny", "vmamba_tiny_s1l8"])
def test_a_model_in_training_is_exported_with_any_batch(name):
    model = two_layers(name, drop_path_rate=0.3).train()
    program = torch.export.export(model, (images(2),), dynamic_shapes=({0: BATCH},)).module()

    assert program(images(5)).shape == (5, 3)


@every
# Sizes become constants, of which torch warns at each; and that its own torch.jit is old.
@pytest.mark.filterwarnings(
    "ignore::torch.jit.TracerWarning", "ignore:.torch.jit:DeprecationWarning"
)
def test_a_traced_model_is_one_for_images_of_a_size(name, features_only):
    model = two_layers(name, features_only=features_only)
    # Not strict: maps are a list.
    traced = torch.jit.trace(model, images(2), strict=False, check_trace=False)

    assert_same(traced(images(2)), model(images(2)))
    other = torch.flip(images(2), (1,)).requires_grad_()
    want = torch.autograd.grad(sum(x.square().sum() for x in model(other)), other)
    assert_same(torch.autograd.grad(sum(x.square().sum() for x in traced(other)), other), want)
    for size in ((48, 32), (32, 48), (64, 64)):
        with pytest.raises(RuntimeError):
            traced(images(2, *size))


LOADS = """
import pathlib, sys, torch, selscan.torch
for file in sorted(pathlib.Path().glob("*.pt2")):
    images, want = torch.load(file.with_suffix(".pt"))
    found = torch.export.load(file).module()(images)
    torch.testing.assert_close(found, want, atol=1e-6, rtol=1e-5)
    print(file.stem)
assert not [x for x in sys.modules if x.startswith(("selscan.nn", "selscan.models"))]
"""


def test_saved_models_run_where_no_model_is_imported(tmp_path):
    names = sorted(("vim_tiny", "local_vim_tiny", "efficientvmamba_tiny", "msvmamba_nano"))
    names.append("vmamba_tiny_s1l8")
    for name in names:
        model = one_layer(name)
        with torch.no_grad():
            program = torch.export.export(model, (images(2),), dynamic_shapes=({0: BATCH},))
            torch.save((images(3), model(images(3))), tmp_path / f"{name}.pt")
        torch.export.save(program, tmp_path / f"{name}.pt2")

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == names
