"""Public calls with arrays on a GPU, from the arguments to the numbers, the kernels emulated."""

import contextlib

import devices as fakes
import numpy as np
import pytest
from cuda_parts import in_threads
from harness import to_numpy, to_tensor
from strategies import make_problem, with_gradients

import selscan
from reference.scan_backward import ScanGrads
from selscan import check
from selscan.backends.cupy import instances

from . import scan_cases, scans
from .test_scans import step_of

torch = pytest.importorskip("torch")

SIXTEEN = dict.fromkeys(scan_cases.SEQUENCES, "bfloat16")


def run(name):
    """The emulated kernel of an instance."""
    [file] = [file for file, names in instances.INSTANCES.items() if name in names]
    return scans.function(file, name)


@pytest.fixture
def devices(monkeypatch, tmp_path):
    """GPUs that compute, in host memory; torch tensors on them, CuPy and Numba."""
    found = fakes.install(monkeypatch, tmp_path, run)
    fakes.put_tensors_on(monkeypatch, found)
    fakes.install_cupy(monkeypatch, found)
    fakes.install_numba(monkeypatch)
    yield found
    selscan.backends.forget()


LIBRARIES = {
    "torch": (to_tensor, to_numpy),
    "cupy": (fakes.CuPyArray, lambda x: x.host),
    "dlpack": (fakes.Exchanged, lambda x: x.host),
    "numba": (fakes.NumbaArray, lambda x: x.host),
}
library = pytest.mark.parametrize("library", LIBRARIES)


def call(function, library, problem, **options):
    """The results as NumPy arrays; the inputs must not have changed, a state apart."""
    make, back = LIBRARIES[library]
    before = {x: v.tobytes() for x, v in problem.items() if isinstance(v, np.ndarray)}
    given = {x: make(v) if isinstance(v, np.ndarray) else v for x, v in problem.items()}
    results = function(**given, **options)
    kinds = {type(x) for x in results if x is not None}
    assert kinds == {type(make(np.zeros(1)))}
    changed = [x for x, copy in before.items() if problem[x].tobytes() != copy]
    assert changed == (["state"] if "state" in problem else [])
    return tuple(x if x is None else back(x) for x in results)


def tensors_of(problem):
    return {x: to_tensor(v) if isinstance(v, np.ndarray) else v for x, v in problem.items()}


def scan(library, problem):
    return call(selscan.scan, library, problem, return_last_state=True)


CASES = {
    "float32": make_problem(b=2, d=6, n=4, l=52),
    "groups": make_problem(b=2, d=12, g=3, n=3, l=37, layout="bld", reverse=True),
    "bfloat16": scan_cases.with_dtypes(make_problem(b=1, d=8, n=16, l=64), SIXTEEN),
    "float64": make_problem(b=1, d=3, n=4, l=21, dtype="float64"),
    "complex": scan_cases.with_complex(make_problem(b=1, d=4, n=3, l=30), ("B", "C")),
    "packed": scan_cases.with_sequences(make_problem(b=2, d=4, n=2, l=40), 3),
    "few": make_problem(b=1, d=2, n=1, l=600, given=()),
}


@library
@pytest.mark.parametrize("case", CASES)
def test_a_scan_matches_the_reference(devices, case, library):
    problem = CASES[case]

    scans.assert_right(problem, scan(library, problem))
    assert len(devices.launches) == 1


@pytest.mark.parametrize("library", ["torch", "cupy", "numba"])
@pytest.mark.parametrize("n", [3, 16])
def test_a_step_updates_the_state_in_place(devices, n, library):
    problem = make_problem(b=3, d=10, g=2, n=n, l=1)
    step = step_of(problem)
    make, back = LIBRARIES[library]
    state = make(step["state"])

    given = {x: make(v) if isinstance(v, np.ndarray) else v for x, v in step.items()}
    y, new = selscan.scan_step(**given | {"state": state})

    assert new is state
    scans.assert_right(problem, (back(y)[..., None], step["state"]))
    assert [launch.kernel for launch in devices.launches] == ["scan_step<float>"]


def test_y_in_another_dtype(devices):
    problem = make_problem(b=2, d=6, n=4, l=20)
    problem = scan_cases.with_dtypes(problem, dict.fromkeys(scan_cases.SEQUENCES, "float16"))

    y, last = call(selscan.scan, "torch", problem, out_dtype="float32", return_last_state=True)

    assert y.dtype == np.float32
    scans.assert_right(problem, (y, last))


@library
def test_a_scan_of_no_steps_passes_the_state_on(devices, library):
    problem = make_problem(b=2, d=4, n=3, l=0)

    y, last = scan(library, problem)

    assert y.shape == (2, 4, 0)
    assert np.array_equal(last, problem["initial_state"])
    assert devices.launches == []


def test_a_forward_under_autograd_has_the_same_numbers(devices):
    problem = CASES["float32"]
    tensors = tensors_of(problem)
    tensors["u"].requires_grad_()

    y, last = selscan.scan(**tensors, return_last_state=True)

    assert y.requires_grad
    scans.assert_right(problem, (to_numpy(y), to_numpy(last)))


def test_a_step_that_is_recorded_returns_a_new_state(devices):
    problem = make_problem(b=2, d=3, n=4, l=1)
    step = tensors_of(step_of(problem))
    step["u"].requires_grad_()

    y, new = selscan.scan_step(**step)

    assert new is not step["state"]
    scans.assert_right(problem, (to_numpy(y)[..., None], to_numpy(new)))


def test_operators_of_torch_run_on_a_gpu(devices):
    problem = CASES["float32"]
    tensors = tensors_of(problem)

    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
        y, last = selscan.scan(**tensors, return_last_state=True)

    assert counter.get_total_flops() > 0
    scans.assert_right(problem, (to_numpy(y), to_numpy(last)))


def test_twenty_threads_load_each_kernel_once(devices):
    problem = CASES["float32"]
    results = {}

    in_threads(20, lambda i: results.update({i: scan("torch", problem)}))

    assert len(results) == 20
    for found in results.values():
        scans.assert_right(problem, found)
    assert len(devices.loaded) == len(devices.compiler.compiled) == 1
    assert len(devices.launches) == 20


def test_python_m_selscan_checks_the_numbers(devices, capsys):
    assert check.check_numbers("cupy")

    lines = [x for x in capsys.readouterr().out.splitlines() if x.endswith("  ok")]
    assert len(lines) == len(check.SHAPES)
    kernels = {launch.kernel.partition("<")[0] for launch in devices.launches}
    assert {"scan_forward", "scan_backward", "sum_parts"} <= kernels


# ---- gradients ---------------------------------------------------------------------------------

GRADIENTS = {name: with_gradients(problem) for name, problem in CASES.items()}


@library
@pytest.mark.parametrize("case", CASES)
def test_gradients_match_the_reference(devices, case, library):
    problem = GRADIENTS[case]

    scans.assert_gradients_right(problem, call(selscan.scan_backward, library, problem))


def differentiated(problem):
    """The gradients by autograd, in the order of the reference."""
    tensors = tensors_of(problem)
    dy, dlast = tensors.pop("dy"), tensors.pop("dlast_state")
    leaves = {x: tensors[x].requires_grad_() for x in ScanGrads._fields if x in tensors}
    y, last = selscan.scan(**tensors, return_last_state=True)
    found = torch.autograd.grad((y, last), list(leaves.values()), (dy, dlast.to(last.dtype)))
    by_name = dict(zip(leaves, found, strict=True))
    return tuple(to_numpy(by_name.get(x)) for x in ScanGrads._fields)


@pytest.mark.parametrize("mode", ["eager", "operators"])
@pytest.mark.parametrize("case", ["groups", "bfloat16", "packed", "few"])
def test_gradients_by_autograd_match_the_reference(devices, case, mode):
    problem = GRADIENTS[case]
    operators = torch.utils.flop_counter.FlopCounterMode(display=False)
    with operators if mode == "operators" else contextlib.nullcontext():
        scans.assert_gradients_right(problem, differentiated(problem))


def test_saved_tensors_may_come_back_with_other_strides(devices):
    problem = GRADIENTS["float32"]
    pack = lambda x: x.mT.contiguous().mT if x.dim() > 1 else x  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        scans.assert_gradients_right(problem, differentiated(problem))


def test_gradients_of_no_steps_are_zero_and_the_state_passes_its_own_on(devices):
    problem = with_gradients(make_problem(b=2, d=4, n=3, l=0))

    gradients = call(selscan.scan_backward, "torch", problem)

    assert np.array_equal(gradients[8], problem["dlast_state"])
    assert all(not x.any() for x in gradients[:8])
    assert devices.launches == []
