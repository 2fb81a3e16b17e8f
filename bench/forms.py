"""The same scan in other forms: dtypes, layout "bld", packed sequences."""

import torch

from bench.peers.compiled import no_scan, scan_ours
from bench.peers.eager import BLD, scan_loop, scan_loop_step, through_autograd
from bench.peers.peer import NAMES, Peer, never

WIDE = ("A", "D", "delta_bias")  # float32 in a model of 16 bits
PACKED = 64  # steps of a packed sequence


def as_they_are(inputs, dy):
    """Tensors by name, and dy."""
    return {name: torch.from_numpy(inputs[name]) for name in NAMES}, torch.from_numpy(dy)


def in_bits(dtype):
    """All but A, D and delta_bias in another dtype."""

    def prepare(inputs, dy):
        tensors, dy = as_they_are(inputs, dy)
        return {k: x if k in WIDE else x.to(dtype) for k, x in tensors.items()}, dy.to(dtype)

    return prepare


def channels_last(inputs, dy):
    """Layout "bld" in memory too."""
    tensors, dy = as_they_are(inputs, dy)
    turned = {k: x.permute(BLD[k]).contiguous() if k in BLD else x for k, x in tensors.items()}
    return turned, dy.permute(BLD["u"]).contiguous()


def complex_numbers(inputs, dy):
    """A with imaginary parts pi n, as S4D-Lin; B and C turned by an eighth."""
    tensors, dy = as_they_are(inputs, dy)
    n = tensors["A"].shape[1]
    tensors["A"] = tensors["A"] + 1j * torch.pi * torch.arange(n)
    return tensors | {k: tensors[k] * (1 + 1j) / 2**0.5 for k in "BC"}, dy


def packed(inputs, dy):
    """Sequences of PACKED steps."""
    tensors, dy = as_they_are(inputs, dy)
    batch, _, length = tensors["u"].shape
    seq_idx = torch.arange(length, dtype=torch.int32) // PACKED
    return tensors | {"seq_idx": seq_idx.expand(batch, -1).contiguous()}, dy


def form(name, prepare, scan=scan_ours, missing=no_scan, **options):
    """A peer of that name; options of the scan go with each call."""

    def with_gradients(inputs, dy):
        tensors, dy = prepare(inputs, dy)
        return {k: tensors[k].requires_grad_() for k in NAMES}, tensors.get("seq_idx"), dy

    def run(data, backward):
        tensors, seq_idx, dy = data
        given = options if seq_idx is None else options | {"seq_idx": seq_idx}
        return through_autograd(lambda **x: scan(**x, **given))((tensors, dy), backward)

    return Peer(name, with_gradients, run, missing)


FORMS = {
    peer.name: peer
    for peer in (
        form("float32", as_they_are),
        form("float64", in_bits(torch.float64)),
        form("bfloat16", in_bits(torch.bfloat16)),
        form("float16", in_bits(torch.float16)),
        form("bld", channels_last, layout="bld"),
        form("seq_idx", packed),
        form("complex64", complex_numbers),
        form("complex64, torch loop", complex_numbers, scan_loop, never),
        form("complex64, torch loop_step", complex_numbers, scan_loop_step, never),
    )
}
