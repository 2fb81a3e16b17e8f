"""Mixers of maps along any path, and how their parameters begin."""

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from selscan import nn, paths  # noqa: E402
from selscan.nn.layers import DropPath  # noqa: E402
from selscan.paths import Path  # noqa: E402


def named(*routes, joined=False):
    """A function from sizes to a path."""
    return lambda height, width: Path.of(height, width, *routes, joined=joined)


def diagonal(height, width):
    """A path of the test's own, which leaves every third pixel out."""
    rows, columns = np.indices((height, width)).reshape(2, -1)
    order = np.lexsort((rows, rows + columns))
    return Path(order[np.arange(len(order)) % 3 > 0][None], height, width)


MIXERS = {
    "cross": nn.Mixer2d,
    "atrous": functools.partial(nn.Mixer2d, path=paths.atrous),
    "windows with padding": functools.partial(nn.Mixer2d, path=named("w7", "w2_flip", "h")),
    "joined": functools.partial(nn.Mixer2d, path=named("v", "h_flip", joined=True)),
    "one's own": functools.partial(nn.Mixer2d, path=diagonal),
    "no gate": functools.partial(nn.Mixer2d, gate=False, conv_bias=False, ratio=1.0),
    "two scales": nn.MultiScaleMixer2d,
    "two scales, version 3": functools.partial(nn.MultiScaleMixer2d, version=3, gate=False),
}


@pytest.mark.parametrize("name", MIXERS)
def test_maps_scanned_in_place_and_gathered_give_the_same_numbers_and_gradients(name):
    torch.manual_seed(0)
    mixer = MIXERS[name](16, d_state=3).double()
    x = torch.randn(2, 5, 7, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 5, 7, 16, dtype=torch.float64)
    inputs = [x, *mixer.parameters()]

    results = []
    for fused in (True, False):
        y = nn.set_fused(mixer, fused)(x)
        results.append([y, *torch.autograd.grad((y * weight).sum(), inputs)])

    for in_place, gathered in zip(*results, strict=True):
        assert in_place.abs().max() > 0
        torch.testing.assert_close(in_place, gathered, rtol=1e-9, atol=1e-12)


def test_a_route_apart_is_combined_by_a_module():
    class Difference(torch.nn.Module):
        def forward(self, y):  # (b, k, h, w, d)
            return y[:, 0] - y[:, 1]

    torch.manual_seed(0)
    mixer = nn.Mixer2d(8, path=named("h", "h"), combine=Difference())
    with torch.no_grad():
        for parameter in (mixer.x_proj_weight, mixer.dt_projs_weight, mixer.dt_projs_bias):
            parameter[1] = parameter[0]
        mixer.out_norm.bias.fill_(1.0)
        y = mixer.mix(torch.randn(2, 16, 4, 5))

    torch.testing.assert_close(y, torch.ones(2, 4, 5, 16))


def test_parameters_begin_as_in_mamba():
    mixer = nn.Mixer2d(64, d_state=5)
    delta = torch.nn.functional.softplus(mixer.dt_projs_bias)

    assert 1e-4 <= delta.min() < 2e-3
    assert 0.05 < delta.max() <= 0.1001
    assert torch.equal(mixer.A_logs[7].exp().round(), torch.arange(1.0, 6))
    assert mixer.dt_projs_weight.abs().max() <= 4**-0.5
    assert (mixer.Ds == 1).all()


def test_a_dropped_path_keeps_the_mean_and_is_whole_in_eval_mode():
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 1, 2)
    y = drop(x)

    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert (y[:, 0, 0] == y[:, 0, 1]).all()
    assert abs(y.mean() - 1) < 0.05
    assert drop.eval()(x) is x
