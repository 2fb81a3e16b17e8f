"""Any value in the place of any option of any family: refused in our words before anything is
built, or a model that runs.
"""

import inspect
import re
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from test_contract_fuzz import VALUES  # noqa: E402

from selscan import models  # noqa: E402
from selscan.models.registry import options_of  # noqa: E402

LARGEST = 2**24
ROUTES = (("h", "v_flip"), ("w2", "w7"))
SIZE = {"dim": 8, "depths": (1, 1)}
# A variant of each family, and what makes it small.
FAMILIES = {
    "vim_tiny": {"dim": 8, "depth": 2},
    "local_vim_tiny": {"dim": 8, "routes": ROUTES},
    "vmamba_tiny_s1l8": SIZE,
    "local_vssm_tiny": SIZE | {"routes": ROUTES},
    "efficientvmamba_tiny": SIZE,
    "msvmamba_nano": SIZE,
    "msvmambav3_tiny": SIZE,
}
PLAIN = ("vim_tiny", "local_vim_tiny")


def is_count(x, least=1, most=LARGEST):
    return type(x) is int and least <= x <= most


def is_switch(x):
    return x is True or x is False


def is_row(x, is_right, least, most):
    """Whether something is a list or tuple of so many right values."""
    return type(x) in (list, tuple) and least <= len(x) <= most and all(map(is_right, x))


def is_width(x, least=1):
    return type(x) in (int, float) and least <= x * 8 and x * 16 < LARGEST + 1


def is_table(x):
    return is_row(x, lambda layer: is_row(layer, lambda name: type(name) is str, 1, 8), 2, 2)


def apart(x):
    """Whether numbers of two stages are different ones."""
    return len({i % 2 for i in x}) == len(x)


def is_of(*choices):
    return lambda x: any(type(x) is type(y) and x == y for y in choices)


RIGHT = {
    **dict.fromkeys(("in_chans", "d_state", "patch"), is_count),
    "num_classes": lambda x: is_count(x, least=0),
    **dict.fromkeys(("features_only", "halved", "gate", "rope"), is_switch),
    "dim": lambda x: is_count(x) or is_row(x, is_count, 2, 2),
    "depth": lambda x: is_count(x, most=1000),
    "depths": lambda x: is_row(x, is_count, 1, 1000) and sum(x) <= 1000,
    "stride": lambda x: x is None or is_count(x),
    "drop_path_rate": lambda x: x is None or (type(x) in (int, float) and 0 <= x < 1),
    "out_indices": lambda x: x is None or (is_row(x, is_of(-2, -1, 0, 1), 1, 2) and apart(x)),
    "img_size": lambda x: is_count(x) or is_row(x, is_count, 2, 2),
    "ratio": is_width,
    "mlp_ratio": lambda x: is_width(x) or (type(x) in (int, float) and x == 0),
    "class_token": is_of(None, "first", "middle", "both"),
    "version": is_of(1, 3, "v1", "v2"),
    "stem": is_of("patches", "conv"),
    "routes": lambda x: x is None or is_of("searched", "unsearched")(x) or is_table(x),
}
# What comes near to a right value, beside anything at all.
NEAR = [
    *(0, -1, True, 1001, LARGEST + 1, 2**70, 10**400, 1.0, 0.01, -1.0, 1e9, 1e308),
    *(float("nan"), float("inf"), -float("inf"), np.int64(8), np.float32(1), np.True_),
    *("4", "8", "x", "no", "", "v3", "Searched", b"middle", (), [], (0,), (1, 1, 1), (-1, 0)),
    *((8, "8"), (8, 0), (True, 1), (1000, 1), (2, 0), [3, 1], "01", range(10**12), {0: 1}, {0}),
    *(("h", "v"), (("h",), ()), (("h",), "v"), (("h",), ("w0",)), (("h",), (1,)), ((), ())),
    *(np.ones(2, int), torch.ones(2, dtype=torch.int), torch.tensor(8), int, len),
]
ANY = st.sampled_from(NEAR) | VALUES


COMMON = {
    x.name for x in inspect.signature(models.create).parameters.values() if x.kind is x.KEYWORD_ONLY
}


def options(name):
    """The names of all options of a variant."""
    return options_of(next(f for f in models.FAMILIES if name in f.VARIANTS).FAMILY) | COMMON


def with_option(name, option, value):
    """All options of a small model, one of them replaced."""
    chosen = {"num_classes": 3} | FAMILIES[name] | {option: value}
    if option == "out_indices":
        chosen["features_only"] = True
    if option == "depth" and "routes" in chosen:
        chosen["routes"] = None
    return chosen


# What all have is checked in one place: of a row of layers and of a pyramid.
EVERY = [(name, x) for name in FAMILIES for x in sorted(options(name) - COMMON)]
EVERY += [(name, x) for name in ("vim_tiny", "vmamba_tiny_s1l8") for x in sorted(COMMON)]


def test_every_option_has_a_contract():
    assert {option for _, option in EVERY} == set(RIGHT)


@pytest.mark.parametrize(("name", "option"), EVERY)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_wrong_value_is_refused_before_anything_is_built(name, option, data):
    value = data.draw(ANY.filter(lambda x: not RIGHT[option](x)))
    if value is None and option == "depth" and name == "local_vim_tiny":
        return  # as many as there are routes
    built = AssertionError("a part was built before the options were checked")

    with (
        mock.patch.object(torch.nn.Module, "__init__", side_effect=built),
        pytest.raises((TypeError, ValueError)) as caught,
    ):
        models.create(name, **with_option(name, option, value))

    assert re.fullmatch(rf"[\w.]+: {option} must .+; got .+\.( .+[.?])?", str(caught.value))


SMALL = {
    **dict.fromkeys(("in_chans", "d_state"), st.integers(1, 5)),
    "num_classes": st.integers(0, 5),
    **dict.fromkeys(("features_only", "halved", "gate", "rope"), st.booleans()),
    "drop_path_rate": st.none() | st.sampled_from((0, 0.0, 0.5, 0.99)),
    "img_size": st.sampled_from((32, (32, 32), [64, 64])),
    "patch": st.sampled_from((8, 16, 32)),
    "stride": st.sampled_from((None, 1, 8)),
    "depth": st.integers(1, 3),
    "ratio": st.sampled_from((0.5, 1, 1.3, 2.0)),
    "mlp_ratio": st.sampled_from((0, 0.0, 0.5, 1.5, 4)),
    "stem": st.sampled_from(("patches", "conv")),
    "routes": st.sampled_from((None, ROUTES, [["w3"], ["h", "h", "v_flip"]])),
}
DIMS = st.sampled_from((2, 4, 8, (3, 5), [12, 7]))


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_right_values_make_a_model_that_runs(name, data):
    drawn = {key: data.draw(values, key) for key, values in SMALL.items() if key in options(name)}
    chosen = FAMILIES[name] | drawn
    if name in PLAIN:
        chosen["dim"] = data.draw(st.sampled_from((4, 8, 12)))
        chosen |= {"depth": 2} if chosen.get("routes") else {}
        forms = (None, "first", "middle", "both") if name == "vim_tiny" else (None, "middle")
        chosen["class_token"] = data.draw(st.sampled_from(forms))
    else:
        chosen["dim"] = data.draw(DIMS)
    if "version" in options(name):
        chosen["version"] = data.draw(st.sampled_from(("v1", "v2") if name in PLAIN else (1, 3)))
    if chosen["features_only"]:
        chosen["out_indices"] = data.draw(st.sampled_from((None, (0,), (-1,))))

    model = models.create(name, **chosen)
    found = model(torch.randn(2, chosen["in_chans"], 32, 32))

    maps = found if chosen["features_only"] else [found]
    assert all(torch.isfinite(x).all() for x in maps)
    assert chosen["features_only"] or found.shape == (
        2,
        chosen["num_classes"] or model.num_features,
    )
