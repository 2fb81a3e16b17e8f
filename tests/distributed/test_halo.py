"""selscan.distributed.halo, and the mixers that use it."""

import itertools

import pytest
import torch
from tensors import assert_equal
from torch.nn import functional as F

from selscan import nn

CUTS = ([0, 6, 12], [0, 1, 2, 12], [0, 0, 7, 12], [0, 5, 5, 12], [0, 9, 10, 11, 12], [0, 12, 12])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("width", [0, 1, 3, 7])
@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_a_piece_gets_the_steps_next_to_it_and_returns_their_gradients(ranks, cuts, width, reverse):
    x = torch.randn(2, 3, 12, requires_grad=True)
    padded = F.pad(x, (0, width) if reverse else (width, 0))
    want = [padded[..., start : end + width] for start, end in itertools.pairwise(cuts)]
    dy = [torch.randn_like(part) for part in want]
    sum((part * d).sum() for part, d in zip(want, dy, strict=True)).backward()

    given = {"x": x.detach(), "cuts": cuts, "width": width, "reverse": reverse, "dy": dy}
    results = ranks.run("halo", len(cuts) - 1, **given)

    for (got, _), part in zip(results, want, strict=True):
        assert_equal(got, part.detach())
    torch.testing.assert_close(torch.cat([dx for _, dx in results], -1), x.grad)


@pytest.mark.parametrize("cuts", [[0, 8, 16], [0, 2, 3, 16], [0, 5, 5, 10, 16]], ids=str)
@pytest.mark.parametrize(
    ("kind", "options"),
    [("Mamba", {}), ("BiMamba", {}), ("BiMamba", {"version": "v1", "d_conv": 2})],
    ids=str,
)
def test_a_mixer_over_a_group_is_the_mixer_of_the_whole_sequence(ranks, kind, options, cuts):
    options = {"dim": 8, "d_state": 4} | options
    whole = getattr(nn, kind)(**options)
    x, dy = torch.randn(2, 2, 16, 8)
    x.requires_grad_()
    y = whole(x)
    y.backward(dy)
    weights = whole.state_dict()

    given = {"kind": kind, "options": options, "weights": weights, "cuts": cuts, "dy": dy}
    results = ranks.run("mixer", len(cuts) - 1, x=x.detach(), **given)

    close = {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(torch.cat([r[0] for r in results], 1), y.detach(), **close)
    torch.testing.assert_close(torch.cat([r[1] for r in results], 1), x.grad, **close)
    for name, v in whole.named_parameters():
        torch.testing.assert_close(sum(r[2][name] for r in results), v.grad, **close)
