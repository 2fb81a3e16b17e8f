"""A user's module: every name of docs/api.md, for mypy --strict (test_types.py)."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import selscan
from selscan import distributed, models, nn, onnx, paths


def scans_of_arrays(u: NDArray[np.float32], A: NDArray[np.float64], B: NDArray[np.float16]) -> None:
    assert_type(selscan.scan(u, u, A, B, B), NDArray[Any])
    y, last = selscan.scan(u, u, A, B, B, return_last_state=True, layout="bld", backend="cpu")
    assert_type(last, NDArray[Any])
    y = selscan.scan(u, u, A, B, B, A[0], u, A[0], delta_softplus=None, out_dtype=np.float64)
    grads = selscan.scan_backward(y, u, u, A, B, B, dlast_state=last, reverse=True)
    assert_type(grads, selscan.ScanGrads)
    assert_type(selscan.scan_step(last, u[0], u[0], A, B, B), tuple[NDArray[Any], NDArray[Any]])


def scans_of_tensors(u: Tensor, A: Tensor, wanted: bool) -> None:
    assert_type(selscan.scan(u, u, A, u, u, seq_idx=A), Tensor)
    assert_type(selscan.scan(u, u, A, u, u, return_last_state=True), tuple[Tensor, Tensor])
    either = selscan.scan(u, u, A, u, u, return_last_state=wanted)
    assert_type(either, Tensor | tuple[Tensor, ...])
    assert_type(selscan.scan(u, u, A, u, u, return_states_at=[0, 2]), tuple[Tensor, Tensor])
    assert_type(selscan.scan_step(A, u, u, A, u, u), tuple[Tensor, Tensor])
    assert_type(distributed.scan(u, u, A, u, u, mode="ring"), Tensor)
    distributed.scan(u, u, A, u, u, return_last_state=True)[1].sum()
    assert_type(distributed.halo(u, 3), Tensor)


def maps(x: NDArray[np.float32], u: Tensor, A: Tensor) -> str:
    path = paths.Path(np.array([[0, 1, 3, 2]]), height=2, width=2)
    for other in (paths.Path.of(2, 2, "h", "v_flip"), paths.Path.from_text(path.text)):
        print(other.routes, other.length, other.runs.mean_length, other.table.max())
    for maker in (paths.unidirectional, paths.bidirectional, paths.cross):
        assert_type(maker(2, 3), paths.Path)
    for curve in (paths.snake, paths.zigzag, paths.diagonal, paths.spiral, paths.hilbert):
        assert_type(curve(2, 3) or paths.z_order(2, 3), paths.Path)
    for volume in (paths.cross3d, paths.spatial_first, paths.temporal_first, paths.spatiotemporal):
        assert_type(volume(2, 2, 3) or paths.window3d(2, 2, 3, size=2), paths.Path)
    for volume in (paths.tri_orientated, paths.snake3d, paths.hilbert3d, paths.z_order3d):
        assert_type(volume(2, 2, 3), paths.Path)
    path = paths.atrous(4, 4, step=2) or paths.window(4, 4, size=2)
    assert_type(selscan.scatter(selscan.gather(x, path), path), NDArray[np.float32])
    assert_type(selscan.gather(u, path), Tensor)
    assert_type(selscan.scan2d(u, u, A, u, u, path=path, merge=False), Tensor)
    assert_type(selscan.scan2d(u, u, A, u, u, path="cross"), Tensor)
    assert_type(selscan.scan3d(u, u, A, u, u, path=paths.cross3d), Tensor)
    assert_type(selscan.gather(u, [[0, 1], [1, 0]], size=(1, 2)), Tensor)
    assert_type(selscan.scan2d(u, u, A, u, u, path=u.argsort()), Tensor)
    return path.draw()


def layers(x: Tensor) -> list[str]:
    mixers = [
        nn.Mixer2d(16, path=paths.cross, d_state=1),
        nn.Mixer3d(16, path="cross3d"),
        nn.MultiScaleMixer2d(16, version=3),
        nn.Mamba(16, expand=2, dtype=torch.float64),
        nn.BiMamba(16, version="v1"),
        nn.LocalMamba(16, routes=("h", "v_flip")),
    ]
    print([mixer(x) for mixer in mixers])
    model = models.create("vim_tiny", num_classes=10, img_size=(32, 64))
    model.reset_classifier(0)
    print(model.forward_head(model.forward_features(x)) + model.num_features, model.feature_info)
    return list(models.load(nn.set_fused(model, False), {}).state_dict()) + models.list("vim*")


def files(x: Tensor) -> int:
    model = nn.Mamba(16).eval()
    program = onnx.export(model, x, "mixer.onnx", dynamic=({0: "batch"},), opset=27)
    torch.onnx.export(model, (x,), custom_translation_table=onnx.translations(opset=18))
    return len(program.model_proto.graph.node)


def the_rest() -> str:
    with selscan.patch("mamba_ssm") as patched, selscan.use("cpu"):
        print(patched.names["mamba_ssm"])
    try:
        infos = selscan.list_backends()
    except selscan.BackendUnavailable:
        raise
    assert_type(infos, list[selscan.BackendInfo])
    return infos[0].reason
