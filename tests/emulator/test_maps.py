"""The scan along a path of the CUDA backend, in the emulator, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from map_strategies import FORMS, LAST, MAPS, PATHS, make_map_problem, map_problems, with_dy
from strategies import DTYPES, REAL

from selscan.backends.cupy import plan2d
from selscan.backends.cupy.instances import LANES_2D
from selscan.backends.cupy.plan2d import Mapping
from selscan.backends.cupy.plan2d_backward import Mapping as BackwardMapping
from selscan.paths import Path, cross, unidirectional

from . import map_cases, maps

over_all_paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))


def check(problem, forward=None, backward=None):
    """y and all gradients, in the order of threads that is in force."""
    maps.assert_right(problem, maps.forward(**problem, mapping=forward))
    problem = with_dy(problem)
    gradients = maps.backward(**problem, forward=forward, mapping=backward)
    maps.assert_gradients_right(problem, gradients)


@st.composite
def mappings(draw):
    """Any mappings, whether planning would pick them or not."""
    staged = draw(st.sampled_from((1, 3, 16)))
    mode = draw(st.sampled_from((plan2d.SCRATCH, plan2d.RESIDENT)))
    # Eight lanes are what all numbers have.
    forward = Mapping(8, draw(st.integers(1, 4)), staged, mode)
    return forward, BackwardMapping(draw(st.integers(1, 4)), draw(st.integers(1, 3)), staged)


@over_all_paths
@pytest.mark.parametrize("merge", [True, False])
def test_every_path_matches_the_reference(path, merge):
    check(make_map_problem(path, merge=merge, d=5))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("out_dtype", [None, *REAL])
def test_every_dtype_matches_the_reference(dtype, out_dtype):
    mapping = Mapping(8, 1, 2, plan2d.SCRATCH)  # of few instances
    check(make_map_problem(cross(4, 5), dtype=dtype, out_dtype=out_dtype), mapping)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("per_route", [False, True])
@pytest.mark.parametrize("joined", [False, True])
def test_every_form_matches_the_reference(form, per_route, joined):
    path = Path.of(5, 7, "w2", "v", "h_flip", joined=joined)
    check(make_map_problem(path, forms=(form,) * 4, per_route=per_route, b=2))


@settings(max_examples=25)
@given(problem=map_problems(), both=mappings())
def test_any_problem_and_mapping_match_the_reference(problem, both):
    check(problem, *both)


def test_channels_between_frames_match_the_reference():
    problem = make_map_problem(PATHS["windows in 3-D"], d=5, b=2)
    for name in ("u", "delta", "B"):  # (b, t, c, h, w) in memory
        x = np.ascontiguousarray(np.moveaxis(problem[name], -3, -4))
        problem[name] = np.moveaxis(x, -4, -3)
    check(problem)


# The source of the two 16-bit floats is one: a single kernel of float16 stands for all.
KERNELS = [*((x, lanes) for x in ("float32", "bfloat16") for lanes in LANES_2D), ("float16", 8)]
each_kernel = pytest.mark.parametrize(("element", "lanes"), KERNELS)
each_order = pytest.mark.parametrize("last", [False, True])


def of_instance(element, last):
    """Several blocks of channels, states that are staged twice, and with one lane several tiles."""
    forms = (LAST if last else MAPS,) * 4
    return make_map_problem(cross(3, 11), d=37, n=3, dtype=element, forms=forms)


@each_kernel
@each_order
@pytest.mark.parametrize("mode", [plan2d.SCRATCH, plan2d.RESIDENT])
def test_every_instance_matches_the_reference(element, lanes, last, mode):
    problem = of_instance(element, last)
    maps.assert_right(problem, maps.forward(**problem, mapping=Mapping(lanes, 2, 2, mode)))


@each_kernel
@each_order
def test_the_gradient_after_every_instance_matches_the_reference(element, lanes, last):
    problem = with_dy(of_instance(element, last))
    both = Mapping(lanes, 2, 2, plan2d.SCRATCH), BackwardMapping(2, 2, 2)
    gradients = maps.backward(**problem, forward=both[0], mapping=both[1])
    maps.assert_gradients_right(problem, gradients)


@pytest.mark.parametrize("mode", [plan2d.SCRATCH, plan2d.RESIDENT])
def test_tiles_and_chunks_that_are_whole_match_the_reference(mode):
    check(make_map_problem(cross(16, 16), d=3, dtype="bfloat16"), Mapping(8, 1, 2, mode))


@pytest.mark.parametrize("joined", [False, True])
def test_maps_that_routes_of_a_joined_path_share_have_their_gradients(joined):
    """Several slices, each with a part for each route; 16 bits, so that nothing adds in place."""
    path = Path.of(4, 9, "h", "w3", "v_flip", joined=joined)
    for forms in ((MAPS,) * 4, (MAPS, MAPS, MAPS, "in order")):
        problem = make_map_problem(path, d=70, n=2, dtype="bfloat16", forms=forms)
        check(problem, backward=BackwardMapping(1, 2, 2))


@pytest.mark.parametrize("names", [("u",), ("delta",), ("u", "delta")], ids=str)
def test_sums_in_memory_and_in_place_do_not_disturb_one_another(names):
    path = Path.of(3, 4, "h", "v", joined=True)
    problem = make_map_problem(path, d=3)
    check(problem | {x: problem[x].astype(np.float16) for x in names})


def test_more_channels_than_a_grid_has_in_its_second_axis_match_the_reference():
    problem = make_map_problem(unidirectional(1, 2), d=66_000, n=1)
    maps.assert_right(problem, maps.forward(**problem))


def test_more_states_than_are_staged_match_the_reference():
    check(make_map_problem(cross(5, 7), n=20), Mapping(8, 1, 16, 0), BackwardMapping(1, 1, 16))


def test_what_stands_at_padding_is_not_read():
    path = Path.of(3, 3, "w2", "w2_flip")
    problem = make_map_problem(path, forms=(MAPS, *["in order"] * 3))
    want = maps.forward(**problem), *maps.backward(**with_dy(problem))
    padding = (path.table < 0)[None, :, None]
    nan = np.float32(np.nan)
    broken = {x: np.where(padding, nan, problem[x]) for x in ("delta", "B", "C")}

    got = maps.forward(**problem | broken), *maps.backward(**with_dy(problem | broken))

    for one, right in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, right)


def test_a_nan_stays_in_its_channel():
    problem = with_dy(make_map_problem(cross(4, 5), d=6))
    problem["u"][0, 3, 2, 2] = np.nan
    for gradient in maps.backward(**problem)[:2]:
        assert np.isfinite(gradient[..., [0, 1, 2, 4, 5], :, :]).all()


def test_an_infinite_rate_forgets_and_padding_does_not():
    problem = make_map_problem(Path.of(3, 5, "w2", "v"), d=3)
    problem["delta"] = abs(problem["delta"]) + np.float32(0.1)
    problem["A"][:, 1] = -np.inf

    y, gradients = maps.forward(**problem), maps.backward(**with_dy(problem))

    assert np.isfinite(y).all()
    assert np.isfinite(gradients[0]).all()


@pytest.mark.parametrize("case", map_cases.ORDERED.values(), ids=list(map_cases.ORDERED))
def test_every_order_of_threads_gives_the_same_bits(case):
    case()
