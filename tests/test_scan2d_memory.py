"""Memory that scan2d takes beyond its inputs and outputs: nothing with a route and a step axis."""

import gc
import weakref

import numpy as np
import pytest
from harness import Backend, scan2d_gradients
from map_strategies import FORMS, PATHS, make_map_problem, with_dy
from test_runtime_memory import peak_of
from test_scratch import assert_in_bounds

import selscan
from selscan.paths import Path, cross
from selscan.paths.keeping import KEPT

BACKEND = Backend("cpu", "numpy")
PATH = cross(96, 96)
LARGE = make_map_problem(PATH, b=4, d=128, n=1, step=0.1)
MAP = 4 * 128 * 96 * 96 * 4  # bytes of u and of y
# Of that size is one (b, k, d, l) array, which an unfused scan has several of.
ROUTES = 4 * MAP
STATES = ROUTES // 256  # at chunk starts


@pytest.fixture
def two_threads(scan_threads):
    """Scratch is for each thread."""
    scan_threads(2)


def peak_beyond(function, **problem):
    """Bytes beyond those of the results."""
    found, peak = peak_of(function, **problem)
    return peak - sum(x.nbytes for x in (found if isinstance(found, tuple) else (found,)))


@pytest.mark.usefixtures("two_threads")
def test_the_forward_takes_a_part_of_what_one_gathered_array_has():
    assert peak_beyond(selscan.scan2d, **LARGE) < ROUTES / 3


@pytest.mark.usefixtures("two_threads")
def test_the_backward_takes_the_kept_states_and_a_part_of_what_one_gathered_array_has():
    problem = with_dy(LARGE) | {"backend": "cpu"}

    assert peak_beyond(scan2d_gradients, **problem) < STATES + ROUTES / 2


@pytest.mark.usefixtures("two_threads")
def test_memory_does_not_grow_with_the_batch():
    small, large = (make_map_problem(PATH, b=b, d=16, n=1, step=0.1) for b in (2, 6))

    assert peak_beyond(selscan.scan2d, **large) < peak_beyond(selscan.scan2d, **small) + 2**16


@pytest.mark.usefixtures("two_threads")
def test_a_result_in_16_bits_takes_no_more():
    problem = LARGE | {"out_dtype": "float16"}

    assert peak_beyond(selscan.scan2d, **problem) < ROUTES / 3


def test_of_paths_made_for_one_call_only_the_last_few_are_kept():
    rng, used = np.random.default_rng(0), []
    for _ in range(3 * KEPT):
        path = Path(rng.permutation(20)[None], 4, 5)
        problem = make_map_problem(path)
        BACKEND.scan2d(**problem)
        BACKEND.scan2d_backward(**with_dy(problem))
        selscan.scatter(selscan.gather(problem["u"], path), path)
        used.append(weakref.ref(path))
    del path, problem
    gc.collect()

    assert sum(path() is not None for path in used) <= KEPT


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
def test_kernels_write_to_their_tiles_only(path, dtype, form):
    problem = make_map_problem(path, d=35, n=5, b=2, dtype=dtype, forms=(form,) * 4)

    def call():
        return BACKEND.scan2d(**problem), *BACKEND.scan2d_backward(**with_dy(problem))

    assert_in_bounds(call)
