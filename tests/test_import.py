"""`import selscan` is light, and importing submodules does not cover any public name."""

import importlib
import inspect
import operator
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import selscan

ROOT = Path(__file__).parents[1]
HEAVY = ("cupy", "jax", "jaxlib", "llvmlite", "ml_dtypes", "numba", "torch")
# Modules of ours that only arrays of other libraries need.
GUESTS = (
    "selscan.torch",
    *(f"selscan.arrays.{name}" for name in ("cuda", "dlpack", "guests", "jax")),
)
MODULES = [
    module.name
    for module in pkgutil.walk_packages(selscan.__path__, "selscan.")
    if module.name != "selscan.__main__"
]
NEED_TORCH = ("compat", "distributed", "models", "nn", "onnx", "torch")
# Modules that need a library which may be missing, by the beginning of their name.
NEEDS = {x: "torch" for x in MODULES if x.split(".")[1] in NEED_TORCH}
KERNELS = ("backward", "equations", "formats", "forward", "moves", "places")
NEED_ONNX = ("maps", "nodes", "recurrence", "translate")
NEEDS |= {f"selscan.onnx.{x}": "onnxscript" for x in NEED_ONNX}
NEEDS |= {f"selscan.backends.numba_cuda.{x}": "numba_cuda" for x in KERNELS}
SCAN = """
import numpy as np
x = np.ones((1, 1, 1), np.float32)
selscan.scan(x, x, x[0], x, x)
selscan.scan_backward(x, x, x, x[0], x, x)
selscan.scan_step(x.copy(), x[0], x[0], x[0], x[0], x[0])
path = selscan.paths.cross(1, 1)
selscan.scatter(selscan.gather(x[None], path), path)
"""


def heavy_after(code, watched=(*HEAVY, *GUESTS)):
    """Which of the watched modules a fresh process has imported after some code."""
    report = f"import sys; print(*(name for name in {watched} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"import selscan\n{code}\n{report}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_import_selscan_imports_no_large_library():
    assert heavy_after("") == []


def test_an_error_of_the_contract_comes_without_a_large_library():
    code = "import contextlib\nwith contextlib.suppress(TypeError): selscan.scan(1, 1, 1, 1, 1)"

    assert heavy_after(code) == []


def test_paths_come_with_selscan_and_without_a_large_library():
    assert heavy_after("assert selscan.paths.cross(2, 3).draw()") == []


def test_calls_with_numpy_arrays_import_numba_only():
    assert heavy_after(SCAN) == ["llvmlite", "numba"]


def test_the_loader_of_cuda_kernels_imports_no_large_library():
    assert heavy_after("import selscan.backends.cupy.nvrtc") == []


@pytest.mark.parametrize("name", ["models", "nn", "onnx"])
def test_a_subpackage_that_needs_torch_is_loaded_when_it_is_first_used(name):
    pytest.importorskip("torch")

    assert name in dir(selscan)
    assert "torch" in heavy_after(f"assert selscan.{name}.__all__")


def test_only_what_is_public_is_listed():
    for module in MODULES:
        if module not in NEEDS:
            importlib.import_module(module)

    listed = [name for name in dir(selscan) if not name.startswith("__")]

    assert listed == sorted(
        [*selscan.__all__, "compat", "distributed", "models", "nn", "onnx", "paths"]
    )


def test_no_module_is_named_like_a_public_function():
    assert not {name.rpartition(".")[2] for name in MODULES if name.count(".") == 1} & {
        *selscan.__all__
    }


def test_a_name_that_is_not_there_is_no_attribute():
    assert not hasattr(selscan, "nothing")


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("selective_scan_fn", "scan"),
        ("selective_state_update", "scan_step"),
        ("Mamba", "nn.Mamba"),
        ("SS2D", "nn.Mixer2d"),
        ("create_model", "models.create"),
    ],
)
def test_a_name_of_other_libraries_leads_to_the_one_here(name, here):
    pytest.importorskip("torch")

    with pytest.raises(AttributeError) as caught:
        getattr(selscan, name)

    assert str(caught.value) == f"module 'selscan' has no attribute '{name}'. Is it selscan.{here}?"
    assert callable(operator.attrgetter(here)(selscan))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_imported(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])

    module = importlib.import_module(name)

    assert module.__doc__


@pytest.mark.parametrize("name", selscan.__all__)
def test_a_public_name_is_callable_after_every_module_was_imported(name):
    for module in MODULES:
        if module not in NEEDS:
            importlib.import_module(module)

    public = getattr(selscan, name)

    assert callable(public)
    assert not isinstance(public, types.ModuleType)


@pytest.mark.parametrize("name", selscan.__all__)
def test_a_public_name_has_a_docstring_and_a_home_here(name):
    public = getattr(selscan, name)

    assert inspect.getdoc(public)
    assert public.__module__.startswith("selscan.")


@pytest.mark.parametrize("name", [x for x in selscan.__all__ if x[0].islower()])
def test_a_public_function_documents_its_results_and_shows_an_example(name):
    text = inspect.getdoc(getattr(selscan, name))

    assert "Examples\n--------\n>>> " in text
    assert "Returns\n-------\n" in text or name == "use"


def test_the_public_names_are_sorted_and_unique():
    assert selscan.__all__ == sorted(set(selscan.__all__))


def test_the_top_level_holds_the_public_functions_the_command_line_and_the_doors():
    files = {path.stem for path in (ROOT / "selscan").glob("*.py")}
    command_line = {"__main__", "bench", "cases", "check", "machine", "progress", "warmup"}

    assert files - {"distributed", "onnx"} == command_line | {
        *("__init__", "api", "api_paths", "deferred", "errors", "messages", "types")
    }
