"""What the processes of ranks.py do to train; each function runs on every rank of a group."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from selscan.nn import Mamba

from .jobs import Counter


class Net(nn.Module):
    """Two mixers with norms, from numbers to numbers."""

    def __init__(self, group=None, dim=8):
        super().__init__()
        self.blocks = nn.ModuleList(Mamba(dim, d_state=4, group=group) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))

    def forward(self, x):
        for norm, block in zip(self.norms, self.blocks, strict=True):
            x = x + block(norm(x))
        return x


def steps_of_training(model, x, target, count=2):
    """The losses of this rank, the gradients of the last step, and weights behind it."""
    optimizer, losses = torch.optim.SGD(model.parameters(), 0.1), []
    for _ in range(count):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), target)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    return losses


def own_part(group, x, axis):
    return x.chunk(dist.get_world_size(group), axis)[dist.get_rank(group)]


def train_ddp(group, weights, x, target, axis):
    """With DistributedDataParallel; over the batch (axis 0), or with time cut over the ranks."""
    model = Net(group if axis == 1 else None)
    model.load_state_dict(weights)
    wrapped = nn.parallel.DistributedDataParallel(model, process_group=group)
    losses = steps_of_training(wrapped, own_part(group, x, axis), own_part(group, target, axis))
    return losses, {name: v.grad for name, v in model.named_parameters()}, model.state_dict()


def train_mesh(group, weights, x, target):
    """Both at once: the batch over two pairs of ranks, time over the ranks of a pair."""
    from torch.distributed.tensor import init_device_mesh

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("batch", "time"))
    model = Net(mesh.get_group("time"))
    model.load_state_dict(weights)
    wrapped = nn.parallel.DistributedDataParallel(model, process_group=group)
    pair, place = mesh.get_coordinate()
    parts = (y.chunk(2, 0)[pair].chunk(2, 1)[place] for y in (x, target))
    losses = steps_of_training(wrapped, *parts)
    return losses, {name: v.grad for name, v in model.named_parameters()}, model.state_dict()


def train_fsdp(group, weights, x, target, axis, count=2):
    """With fully_shard, each block and the whole."""
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import init_device_mesh

    size = dist.get_world_size(group)
    model = Net(group if axis == 1 else None)
    model.load_state_dict(weights)
    mesh = init_device_mesh("cpu", (size,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    parts = (own_part(group, y, axis) for y in (x, target))
    losses = steps_of_training(model, *parts, count)
    gradients = {name: v.grad.full_tensor() for name, v in model.named_parameters()}
    return losses, gradients, {name: v.full_tensor() for name, v in model.state_dict().items()}


def sharded_model(group, name, options, weights, images):
    """The logits and the gradients of a model of the papers under fully_shard."""
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import init_device_mesh

    from selscan import models

    model = models.create(name, **options)
    model.load_state_dict(weights)
    mesh = init_device_mesh("cpu", (dist.get_world_size(group),))
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    logits = model(own_part(group, images, 0))
    logits.square().mean().backward()
    return logits.detach(), {x: v.grad.full_tensor() for x, v in model.named_parameters()}


def run_example(group, file, arguments):
    """The losses of docs/examples/train_distributed.py."""
    import runpy

    return runpy.run_path(file)["main"](**arguments, every=1000)


def count_ddp(group, weights, x):
    """Bytes that DistributedDataParallel sends, if it sums around a ring."""
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

    model, size, reduced = Net(), dist.get_world_size(group), []
    model.load_state_dict(weights)
    wrapped = nn.parallel.DistributedDataParallel(model, process_group=group)

    def hook(state, bucket):
        reduced.append(bucket.buffer().nbytes)
        return default_hooks.allreduce_hook(state, bucket)

    wrapped.register_comm_hook(group, hook)
    wrapped(own_part(group, x, 0)).sum().backward()
    return 2 * (size - 1) * sum(reduced) / size


def count_fsdp(group, weights, x):
    """Bytes that fully_shard sends, if it gathers and sums around a ring."""
    gathers, reduces = (
        [name for name in names if hasattr(dist, name)]
        for names in (
            ("all_gather_into_tensor", "all_gather_single"),
            ("reduce_scatter_tensor", "reduce_scatter_single"),
        )
    )
    size = dist.get_world_size(group)
    with Counter([*gathers, *reduces], largest=True) as counter:
        train_fsdp(group, weights, x, x, 0, count=1)
    total = sum(sent for _, sent in counter.found.values())
    return (size - 1) * total / size
