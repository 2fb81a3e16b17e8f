"""The model of what ranks send (docs/distributed/costs.py), against what they send."""

import importlib.util
from pathlib import Path

import pytest
import torch

from selscan import nn

from .problems import arguments, make
from .training import Net

DOCS = Path(__file__).parents[2] / "docs"
HEAD = 32  # bytes in front of each buffer


def load():
    spec = importlib.util.spec_from_file_location("costs", DOCS / "distributed/costs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COSTS = load()
LAYER = COSTS.Layer(batch=2, length=12, dim=24, d=48, n=8, rank=2, width=4, number=4)


def test_the_table_of_the_page_is_that_of_the_model():
    assert COSTS.table() in (DOCS / "distributed.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("cuts", [[0, 3, 12], [0, 3, 3, 8, 12]], ids=str)
def test_a_gathered_scan_sends_what_the_model_says(ranks, cuts):
    given, size = arguments(make(b=2, d=48, n=8, l=12, given=())) | {"cuts": cuts}, len(cuts) - 1

    results = ranks.run("many_scans", size, count=1, mode="gather", **given)

    # The gradient of the last state, which the model leaves out, is as large as a state.
    for [(counted, _)] in results:
        calls, sent = counted["all_gather"]
        own = sent - calls * HEAD - COSTS.state(LAYER)
        assert (size - 1) * own == COSTS.gather(LAYER, size)


def test_a_ring_sends_what_the_model_says(ranks):
    given = arguments(make(b=2, d=48, n=8, l=12, given=())) | {"cuts": [0, 3, 8, 12]}

    results = ranks.run("many_scans", 3, count=1, mode="ring", **given)

    [(counted, _)] = results[1]  # which has a neighbour on either side
    calls, sent = counted["isend"]
    assert sent - calls * HEAD == COSTS.ring(LAYER, 3)


def test_a_halo_sends_what_the_model_says(ranks):
    x = torch.ones(2, 48, 12)

    results = ranks.run("count_halo", 3, x=x, width=3)

    calls, sent = results[1]["isend"]
    assert (calls, sent - calls * HEAD) == (2, COSTS.halo(LAYER, 3))


def test_the_model_counts_the_parameters_of_a_mixer():
    mixer = nn.Mamba(24, d_state=8)

    assert sum(x.numel() for x in mixer.parameters()) == COSTS.parameters(LAYER)


def sent_for_one(cost, size):
    """Bytes of float32 that a rank sends for one parameter, by the model."""
    layer = LAYER._replace(number=4)
    return cost(layer, size) / COSTS.parameters(layer)


def test_distributed_data_parallel_sends_what_the_model_says(ranks):
    net = Net()

    counts = ranks.run("count_ddp", weights=net.state_dict(), x=torch.ones(4, 12, 8))

    numbers = sum(x.numel() for x in net.parameters())
    assert counts == pytest.approx([numbers * sent_for_one(COSTS.data_parallel, 4)] * 4)


def test_fully_shard_sends_what_the_model_says(ranks):
    net = Net()

    counts = ranks.run("count_fsdp", weights=net.state_dict(), x=torch.ones(4, 12, 8))

    def padded(x):  # to parts of the same size
        return -(-len(x) // 4) * 4 * x[0].numel()

    # What belongs to no block, the norms, is gathered once only.
    numbers = sum(padded(x) for x in net.blocks.parameters())
    numbers += sum(padded(x) for x in net.norms.parameters()) * 2 / 3
    assert counts == pytest.approx([numbers * sent_for_one(COSTS.fully_shard, 4)] * 4)
