"""Models in torch's hands: compiled, autocast, channels last, data parallel."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from golden_models import MODELS, assert_near, golden, logits_and_gradient  # noqa: E402

from selscan.models.checkpoints import load  # noqa: E402

ROOT = Path(__file__).parents[1]


def model_and_numbers(name, **options):
    """A model with the weights of the golden numbers, and these."""
    numbers = golden(name)
    return load(MODELS[name](**options), numbers.state("state")).eval(), numbers


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 9)])
def test_feature_maps_have_their_strides_at_any_size(name, height, width):
    if min(height, width) < 4 and name in ("vmamba_v0", "msvmamba", "efficientvmamba"):
        height = 4  # their patches are not padded
    model, _ = model_and_numbers(name, features_only=True)

    maps = model(torch.zeros(2, 3, height, width))

    for x, channels in zip(maps, (8, 16, 24, 40), strict=True):
        assert x.shape[:2] == (2, channels)
        assert torch.isfinite(x).all()
    stem = model.patch_embed(torch.zeros(2, 3, height, width)).shape[1:3]
    sizes = [tuple(-(-side // 2**i) for side in stem) for i in range(4)]
    assert [tuple(x.shape[2:]) for x in maps] == sizes


def test_a_compiled_model_gives_the_official_numbers():
    model, numbers = model_and_numbers("efficientvmamba")  # the quickest to trace
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")

    logits, gradient = logits_and_gradient(compiled, numbers)

    assert_near(logits, numbers["logits"])
    assert_near(gradient, numbers["grad_input"])


@pytest.mark.parametrize("name", ["vmamba", "msvmamba"])
def test_autocast_keeps_scans_and_norms_in_float32(name):
    model, numbers = model_and_numbers(name)
    mixer, seen = model.layers[0].blocks[0].op, {}
    for part in ("in_proj", "out_norm"):
        module = getattr(mixer, part)
        module.register_forward_hook(lambda _, x, y, part=part: seen.update({part: (x, y)}))

    with torch.autocast("cpu", torch.bfloat16):
        logits, gradient = logits_and_gradient(model, numbers)

    assert seen["in_proj"][1].dtype == torch.bfloat16
    assert seen["out_norm"][0][0].dtype == torch.float32
    scale = numbers["logits"].abs().max()
    assert (logits - numbers["logits"]).abs().max() < 0.05 * scale
    error = torch.linalg.norm(gradient - numbers["grad_input"])
    assert error < 0.1 * torch.linalg.norm(numbers["grad_input"])


@torch.no_grad()
def test_a_model_in_bfloat16_stays_in_it():
    model, numbers = model_and_numbers("vmamba")
    logits = model.bfloat16()(numbers["input"].bfloat16())

    assert logits.dtype == torch.bfloat16
    assert (logits - numbers["logits"]).abs().max() < 0.1 * numbers["logits"].abs().max()


@pytest.mark.parametrize("name", MODELS)
def test_images_and_weights_with_channels_last_give_the_official_numbers(name):
    model, numbers = model_and_numbers(name)
    image = numbers["input"].to(memory_format=torch.channels_last)

    with torch.no_grad():
        logits = model.to(memory_format=torch.channels_last)(image)

    assert_near(logits, numbers["logits"])


PARALLEL = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from selscan import models

rank, file = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
torch.manual_seed(0)
model = models.create("vmamba_tiny_s1l8", depths=(1, 1), dim=8, drop_path_rate=0)
images = torch.randn(4, 3, 16, 24)
model(images).square().sum(1).mean().backward()
want = {k: v.grad.clone() for k, v in model.named_parameters()}
model.zero_grad()
parallel = DistributedDataParallel(model)
parallel(images[rank::2]).square().sum(1).mean().backward()
for name, parameter in model.named_parameters():
    torch.testing.assert_close(parameter.grad, want[name], atol=1e-6, rtol=1e-4)
    assert want[name].abs().max() > 0, name
print("the same gradients")
dist.destroy_process_group()
"""


def test_two_processes_find_the_gradients_of_one(tmp_path):
    command = [sys.executable, "-c", PARALLEL]
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with contextlib.ExitStack() as stack:
        workers = []
        for rank in "01":
            worker = subprocess.Popen([*command, rank, str(tmp_path / "meeting")], **options)
            stack.enter_context(worker)
            stack.callback(worker.kill)  # one that waits for another that has failed
            workers.append(worker)
        outputs = [worker.communicate(timeout=120)[0] for worker in workers]

    assert all("the same gradients" in output for output in outputs), outputs
