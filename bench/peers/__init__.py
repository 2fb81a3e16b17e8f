"""Implementations of the selective scan to compare with, each behind the same two functions.

Every peer is checked against reference/ (NumPy, float64) on a small shape, forward and all
gradients that it has, before it is timed.
"""

from bench.peers import compiled, eager, ggml, onnx
from bench.peers.peer import Peer, check, make_dy

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        compiled.ours,
        compiled.stick,
        ggml.ggml,
        onnx.onnx_scan,
        onnx.onnx_attention,
        eager.loop,
        eager.transformers,
        eager.loop_step,
        eager.pscan,
        eager.associative,
        compiled.associative,
        compiled.ours_jax,
        compiled.jax_scan,
        compiled.jax_remat,
        compiled.jax_associative,
    )
}

__all__ = ["PEERS", "Peer", "check", "make_dy"]
