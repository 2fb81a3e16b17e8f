"""Any value in the place of any option of a mixer of maps: refused in our words."""

import inspect
import math
import re
from unittest import mock

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from test_models_fuzz import ANY, is_count, is_of, is_row, is_switch, is_width  # noqa: E402

from selscan import nn  # noqa: E402


def is_positive(x):
    return type(x) in (int, float) and 0 < x < math.inf


MIXERS = (nn.Mixer2d, nn.MultiScaleMixer2d, nn.LocalMamba, nn.Mamba, nn.BiMamba)
RIGHT = {
    **dict.fromkeys(("dim", "d_model", "d_state", "d_conv"), is_count),
    **dict.fromkeys(("gate", "bias", "conv_bias", "class_token", "halved"), is_switch),
    **dict.fromkeys(("dt_min", "dt_max", "dt_scale", "dt_init_floor"), is_positive),
    "dt_init": is_of("random", "constant"),
    "dt_rank": lambda x: is_count(x) or is_of("auto")(x),
    **dict.fromkeys(("ratio", "expand"), is_width),
    "version": is_of(1, 3, "v1", "v2"),
    "combine": lambda x: x is None,
    "routes": lambda x: x is None or is_row(x, lambda name: name in ("h", "v"), 1, 8),
}
# A function of the user's, which may raise anything; what torch takes; what any value is right for;
# more options by name, which stand in Mamba's signature.
FREE = ("path", "device", "dtype", "use_fast_path", "layer_idx", "group", "form", "options")
NAMES = {mixer: [*inspect.signature(mixer).parameters] for mixer in MIXERS}
WIDTH = {mixer: "d_model" if "d_model" in names else "dim" for mixer, names in NAMES.items()}
EVERY = [
    (mixer, option)
    for mixer, names in NAMES.items()
    for option in names
    if option not in FREE and not (option == "dim" and "d_model" in names)
]


@pytest.mark.parametrize(("mixer", "option"), EVERY)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_wrong_value_is_refused_before_anything_is_built(mixer, option, data):
    value = data.draw(ANY.filter(lambda x: not RIGHT[option](x)))
    built = AssertionError("a part was built before the options were checked")

    with (
        mock.patch.object(torch.nn.Module, "__init__", side_effect=built),
        pytest.raises((TypeError, ValueError)) as caught,
    ):
        mixer(**{WIDTH[mixer]: 8} | {option: value})

    assert re.fullmatch(rf"[\w.]+: {option} must .+; got .+\.( .+[.?])?", str(caught.value))


def test_the_bottleneck_of_delta_is_as_wide_as_asked():
    wide, auto = nn.Mixer2d(40, dt_rank=7), nn.Mixer2d(40, dt_rank="auto")

    assert wide.dt_projs_weight.shape[2] == 7
    assert wide.x_proj_weight.shape[1] == 7 + 2 * 16
    assert auto.dt_projs_weight.shape[2] == 3
    x = torch.randn(2, 5, 6, 40)
    torch.testing.assert_close(wide(x), nn.set_fused(wide, False)(x))


@pytest.mark.parametrize("value", [None, 1, "no", torch.tensor(True)])
def test_set_fused_takes_true_and_false(value):
    with pytest.raises(TypeError, match=r"^set_fused: fused must be True or False; got "):
        nn.set_fused(nn.Mixer2d(8), value)
    with pytest.raises(TypeError, match=r"^set_fused: model must be a torch.nn.Module; got "):
        nn.set_fused(value, True)
