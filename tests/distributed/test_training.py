"""Training on several processes, as one process trains: DDP, FSDP2, and the example."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from selscan import models

from .training import Net, steps_of_training

EXAMPLE = Path(__file__).parents[2] / "docs/examples/train_distributed.py"
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


WAYS = [
    *((job, {"axis": axis}) for job in ("train_ddp", "train_fsdp") for axis in (0, 1)),
    ("train_mesh", {}),
]


@pytest.mark.parametrize(("job", "options"), WAYS, ids=str)
def test_training_over_ranks_is_that_of_one_process(ranks, job, options):
    torch.manual_seed(0)
    model = Net()
    weights = {name: v.clone() for name, v in model.state_dict().items()}
    x, target = torch.randn(2, 4, 12, 8)

    results = ranks.run(job, weights=weights, x=x, target=target, **options)

    losses = steps_of_training(model, x, target)
    mean = torch.tensor([r[0] for r in results]).mean(0)
    torch.testing.assert_close(mean, torch.tensor(losses), rtol=1e-5, atol=1e-6)
    gradients = {name: v.grad for name, v in model.named_parameters()}
    for _, got, trained in results:
        torch.testing.assert_close(got, gradients, **CLOSE)
        torch.testing.assert_close(trained, dict(model.state_dict()), **CLOSE)


VIM = {"depth": 2, "dim": 16, "img_size": 32, "num_classes": 5}


def test_a_model_of_the_papers_is_sharded(ranks):
    model = models.create("vim_tiny", **VIM)
    images = torch.randn(4, 3, 32, 32)
    weights = model.state_dict()

    results = ranks.run(
        "sharded_model", name="vim_tiny", options=VIM, weights=weights, images=images
    )

    logits = model(images)
    logits.square().mean().backward()
    torch.testing.assert_close(torch.cat([r[0] for r in results]), logits.detach(), **CLOSE)
    gradients = {name: v.grad for name, v in model.named_parameters()}
    for _, got in results:
        torch.testing.assert_close(got, gradients, **CLOSE)


def example():
    spec = importlib.util.spec_from_file_location("train_distributed", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def threads_of_torch():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run_by_torchrun(folder, *arguments):
    """The losses that two processes print."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(EXAMPLE), "--every=1", f"--checkpoint={folder}", *arguments],
        env=os.environ | environment | {"PYTHONPATH": str(EXAMPLE.parents[2])},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [float(x) for x in re.findall(r"loss ([0-9.]+)$", done.stdout, re.M)]


@pytest.mark.usefixtures("threads_of_torch")
def test_the_example_has_the_losses_of_one_process_however_it_is_run(ranks, tmp_path, capsys):
    want = example().main(steps=20)
    folder = str(tmp_path / "checkpoint")

    # Sequences in two parts, then batches in four, then sequences in four.
    losses = run_by_torchrun(folder, "--sequence-parallel", "--steps=3")
    for end, parallel in ((6, False), (9, True)):
        arguments = {"steps": end, "sequence_parallel": parallel, "checkpoint": folder}
        [own, *others] = ranks.run("run_example", file=str(EXAMPLE), arguments=arguments)
        assert others == [own] * 3
        losses += own

    torch.testing.assert_close(losses, want[:9], rtol=0, atol=1e-5)
    assert want[-1] < want[0] - 0.03
    assert re.findall(r"step +(\d+)", capsys.readouterr().out) == ["1", "10", "20"]
