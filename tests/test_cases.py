"""The named shapes and the inputs made for them."""

import numpy as np
import pytest

from selscan.cases import CASES, Case, make_inputs

SMALL = Case("small", 2, 6, 5, 4, 3, "")


def shape(name):
    case = CASES[name]
    return case.batch, case.dim, case.length, case.d_state, case.groups


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vim", (8, 384, 197, 16, 1)),
        ("short", (1, 5120, 128, 16, 1)),
        ("lm", (1, 1536, 1024, 16, 1)),
        ("vmamba", (4, 768, 3136, 1, 4)),
        ("vim_small_plus", (8, 768, 730, 16, 1)),
        ("vmamba_tiny_s2l5_stage0", (4, 768, 3136, 1, 4)),
        ("vmamba_tiny_v0_stage2", (4, 3072, 196, 16, 4)),
        ("local_vmamba_tiny_stage3", (4, 6144, 64, 16, 4)),
        ("efficientvmamba_tiny_stage1", (4, 768, 196, 16, 4)),
        ("msvmamba_tiny_stage3_full", (4, 1536, 49, 1, 1)),
        ("msvmamba_tiny_stage3_half", (4, 1536, 48, 1, 1)),
    ],
)
def test_a_case_has_the_shape_of_its_paper(name, expected):
    assert shape(name) == expected


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_named_by_its_key_and_its_groups_divide_its_channels(name):
    assert CASES[name].name == name
    assert CASES[name].dim % CASES[name].groups == 0


def test_inputs_have_the_shapes_of_the_case():
    shapes = {name: x.shape for name, x in make_inputs(SMALL).items()}

    assert shapes == {
        "u": (2, 6, 5),
        "delta": (2, 6, 5),
        "A": (6, 4),
        "B": (2, 3, 4, 5),
        "C": (2, 3, 4, 5),
        "D": (6,),
        "delta_bias": (6,),
    }


def test_both_layouts_hold_the_same_values():
    bdl, bld = make_inputs(SMALL), make_inputs(SMALL, layout="bld")

    assert bld["u"].flags.c_contiguous
    assert bld["B"].flags.c_contiguous
    np.testing.assert_array_equal(bld["u"].swapaxes(1, 2), bdl["u"])
    np.testing.assert_array_equal(bld["delta"].swapaxes(1, 2), bdl["delta"])
    np.testing.assert_array_equal(bld["B"].transpose(0, 2, 3, 1), bdl["B"])
    np.testing.assert_array_equal(bld["C"].transpose(0, 2, 3, 1), bdl["C"])
    np.testing.assert_array_equal(bld["A"], bdl["A"])


def test_a_seed_gives_the_same_inputs_again_and_another_seed_gives_others():
    first, again, other = (make_inputs(SMALL, seed=seed)["u"] for seed in (3, 3, 4))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64")],
)
def test_parameters_are_float32_or_wider(dtype, wide):
    inputs = make_inputs(SMALL, dtype)

    assert {inputs[name].dtype.name for name in ("u", "delta", "B", "C")} == {dtype}
    assert {inputs[name].dtype.name for name in ("A", "D", "delta_bias")} == {wide}


def test_step_sizes_and_decay_are_those_of_mamba():
    inputs = make_inputs(CASES["vim"], "float64")
    step = np.logaddexp(inputs["delta_bias"], 0)

    assert 1e-3 <= step.min() < 2e-3
    assert 5e-2 < step.max() <= 1e-1
    assert (inputs["A"] < 0).all()


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match='layout must be "bdl" or "bld"; got \'dlb\''):
        make_inputs(SMALL, layout="dlb")
