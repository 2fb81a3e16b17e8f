"""The selective scan of a map along a path, with the parameters that make delta, B and C of it."""

import torch
from torch import nn
from torch.nn import functional as F

from ..api import scan
from ..api_paths import gather, scan2d, scan3d, scatter
from ..messages import describe
from .branch import decay
from .checks import check_switch
from .initial import A_logs, dt_bias, dt_weight, skip, without_decay


class S6Maps(nn.Module):
    """S6 over maps: delta, B and C depend on the pixel, A and D do not.

    For k groups of parameters, each for a route of a path or for the one sequence of a joined path,
    and for each pixel u (d,),

        dt, B, C = x_proj_weight u     (rank,), (n,), (n,)
        delta = softplus(dt_projs_weight dt + dt_projs_bias),   A = -exp(A_logs)

    Parameters
    ----------
    channels : int
        d.
    groups : int
        k.
    d_state : int
        n.
    rank : int
        Width of the bottleneck of delta.

    Attributes
    ----------
    fused : bool
        Whether maps are scanned in place by `selscan.scan2d`. Otherwise they are gathered, scanned
        by `selscan.scan` and scattered, as the papers' implementations do.
    """

    def __init__(self, channels, groups, d_state, rank):
        super().__init__()
        self.sizes = rank, d_state, d_state
        self.fused = True
        bound = channels**-0.5  # as nn.Linear begins
        x_proj = torch.empty(groups, sum(self.sizes), channels).uniform_(-bound, bound)
        self.x_proj_weight = nn.Parameter(x_proj)
        self.dt_projs_weight = dt_weight(groups, channels, rank)
        self.dt_projs_bias = without_decay(dt_bias(groups, channels))  # no vector, yet a bias
        self.A_logs = A_logs(groups * channels, d_state)
        self.Ds = skip(groups * channels)

    def scan(self, x, path, groups=slice(None), merge=True, out_dtype=None):
        """The scan of a map (b, d, h, w), with all groups of parameters or some of them.

        Returns (b, d, h, w), or (b, routes, d, h, w) with ``merge=False``. A map with a depth has
        (t, h, w) in the place of (h, w).
        """
        along = self._scan_in_place if self.fused else self._scan_sequences
        return along(x, path, groups, merge, out_dtype)

    def _scan_in_place(self, x, path, groups, merge, out_dtype):
        # Routes that visit a part of the map each take delta, B and C from there.
        if not path.joined and path.length < path.pixels:
            delta, B, C = self._of_routes(gather(x, path), groups)
        else:
            delta, B, C = self._of_map(x, groups)
        A, D, bias = self._constants(groups)
        options = {"delta_bias": bias, "delta_softplus": True, "out_dtype": out_dtype}
        scan_maps = scan2d if path.depth is None else scan3d
        return scan_maps(x, delta, A, B, C, D, path=path, merge=merge, **options)

    def _scan_sequences(self, x, path, groups, merge, out_dtype):
        u = gather(x, path)
        _, routes, _, l = u.shape
        if path.joined:
            u = u.transpose(1, 2).flatten(2).unsqueeze(1)  # (b, 1, d, routes * l)
        delta, B, C = self._of_routes(u, groups)
        A, D, bias = (constant.flatten(0, 1) for constant in self._constants(groups))
        options = {"delta_bias": bias, "delta_softplus": True, "out_dtype": out_dtype}
        y = scan(u.flatten(1, 2), delta.flatten(1, 2), A, B, C, D, **options)
        if path.joined:
            y = y.unflatten(2, (routes, l)).transpose(1, 2)
        else:
            y = y.unflatten(1, (routes, -1))
        return scatter(y, path, merge)

    def _of_map(self, x, groups):
        """delta (b, k, d, h, w), B and C (b, k, n, h, w) from x (b, d, h, w), channels last.

        As everywhere here, of a map with a depth (t, h, w) in the place of (h, w).
        """
        weight = self.x_proj_weight[groups]  # (k, rank + 2 n, d)
        rows = F.linear(x.movedim(1, -1), weight.flatten(0, 1)).unflatten(-1, weight.shape[:2])
        dt, B, C = rows.movedim((-2, -1), (1, 2)).split(self.sizes, dim=2)
        return torch.einsum("bkr...,kdr->bkd...", dt, self.dt_projs_weight[groups]), B, C

    def _of_routes(self, u, groups):
        """delta (b, k, d, l), B and C (b, k, n, l) from u (b, k, d, l)."""
        rows = torch.einsum("bkdl,kcd->bkcl", u, self.x_proj_weight[groups])
        dt, B, C = rows.split(self.sizes, dim=2)
        return torch.einsum("bkrl,kdr->bkdl", dt, self.dt_projs_weight[groups]), B, C

    def _constants(self, groups):
        """A (k, d, n), D and delta_bias (k, d); A at least in float32."""
        bias = self.dt_projs_bias[groups]
        A = decay(self.A_logs).unflatten(0, self.dt_projs_bias.shape)[groups]
        return A, self.Ds.unflatten(0, self.dt_projs_bias.shape)[groups], bias


def set_fused(model, fused):
    """Choose between the two ways of scanning maps in all layers of a model.

    Parameters
    ----------
    model : torch.nn.Module
    fused : bool
        Whether maps are scanned in place by `selscan.scan2d`, as they are when a model is made.
        Otherwise they are gathered, scanned and scattered.

    Returns
    -------
    model : torch.nn.Module
        The same.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"set_fused: model must be a torch.nn.Module; got {describe(model)}.")
    check_switch("set_fused", "fused", fused)
    for module in model.modules():
        if isinstance(module, S6Maps):
            module.fused = fused
    return model
