"""Several routes over a map, and what becomes of their scans (LocalMamba, Huang et al. 2024).

The candidates of its search are the routes of `CANDIDATES`, in the order of the search's weights.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..api_paths import gather, scatter
from ..messages import describe, fail
from ..paths import Path
from ..paths.checks import checked_size
from ..paths.constant import kept
from . import initial
from .branch import Branch, Form, run_branch
from .checks import check_switch, check_tensor
from .layers import BiAttn

CANDIDATES = ("h", "h_flip", "v", "v_flip", "w2", "w2_flip", "w7", "w7_flip")


def new_weights():
    """What a search learns: a weight for each candidate."""
    return nn.Parameter(1e-3 * torch.randn(len(CANDIDATES), 1, 1, 1))


def checked_routes(function, routes):
    """The names of some routes, at least one, as a tuple; a word is a sequence of letters."""
    if not isinstance(routes, list | tuple) or not routes:
        expected = "a sequence of names such as 'h' or 'w7_flip', at least one"
        got = "an empty one" if isinstance(routes, list | tuple) else describe(routes)
        fail(function, "routes", expected, got)
    Path.of(1, 1, *routes)  # refuses what is not the name of a route
    return tuple(routes)


class RouteWeights(nn.Module):
    """The weights of a search, under their official name."""

    def __init__(self):
        super().__init__()
        self.weights = new_weights()


class RouteSum(nn.Module):
    """The sum of routes (b, k, ..., dim), each after channel attention.

    Parameters
    ----------
    dim : int
        Channels.
    search : bool
        Whether the routes are all `CANDIDATES`: then each is normalised, too, and has a share in
        the sum that is learned.
    """

    def __init__(self, dim, search=False):
        super().__init__()
        self.attn = BiAttn(dim)
        self.weights = new_weights() if search else None

    def forward(self, y):
        return sum_of_routes(y.unbind(1), self.attn, self.weights)


def sum_of_routes(routes, attention, weights=None):
    """Of results (b, ..., dim): attention, and with the weights of a search norm and share."""
    shares = None if weights is None else weights.flatten().softmax(0)
    total = 0
    for i, y in enumerate(routes):
        y = attention(y)
        if shares is not None:
            y = shares[i] * F.layer_norm(y, y.shape[-1:])
        total = total + y
    return total


def path_of_tokens(grid, route, class_token):
    """A route over the tokens of a map that stand in a row, as a path over a map of one row.

    A class token in their middle is visited at the step of its own number, whatever the route and
    its padding are.
    """
    # Checked, sizes are known to torch.compile: paths are constants to it.
    return _path_of_tokens(*checked_size("LocalMamba", *grid), route, class_token)


@kept
def _path_of_tokens(height, width, route, class_token):
    order = Path.of(height, width, route).table
    length = height * width
    if class_token:
        place = length // 2
        order = np.insert(order + (order >= place), place, place, axis=1)
    return Path(order, 1, length + class_token)


class LocalMamba(nn.Module):
    """The mixer of LocalVim: a branch of Mamba along each of some routes over the map.

    Takes tokens (b, l, dim) in row-major order and the (height, width) of their map; gives
    (b, l, dim).

    Parameters
    ----------
    d_model : int
        Width of the block; `dim` is another name of it.
    routes : sequence of str, optional
        Names as in `selscan.paths.Path.of`; without them all of `CANDIDATES`, each with a weight
        that is learned.
    class_token : bool
        Whether a class token stands in the middle of the tokens.
    d_state, d_conv, expand
        As in `Mamba`.
    bias : bool
        Whether the outer projections have one.
    dt_rank, **form
        As in `Mamba`: dt_min, dt_max, dt_init, dt_scale, dt_init_floor, conv_bias, device, dtype.

    Raises
    ------
    ValueError, TypeError
        What is not the name of a route; an option out of its range, or of another kind.

    Examples
    --------
    >>> import torch
    >>> from selscan import nn
    >>> mixer = nn.LocalMamba(16, routes=("h", "v_flip", "w2"))
    >>> mixer(torch.zeros(2, 5 * 7, 16), (5, 7)).shape
    torch.Size([2, 35, 16])
    """

    def __init__(
        self,
        d_model=None,
        routes=None,
        class_token=False,
        d_state=16,
        d_conv=4,
        expand=2,
        dt_rank="auto",
        bias=False,
        *,
        dim=None,
        **form,
    ):
        d_model = initial.width("LocalMamba", d_model, dim)
        form = Form.of("LocalMamba", d_model, d_state, d_conv, expand, dt_rank, **form)
        check_switch("LocalMamba", "bias", bias)
        check_switch("LocalMamba", "class_token", class_token)
        is_search = routes is None
        routes = CANDIDATES if is_search else checked_routes("LocalMamba", routes)
        super().__init__()
        self.routes, self.class_token = routes, class_token
        factory = {"bias": bias, "device": form.device, "dtype": form.dtype}
        self.in_proj = nn.Linear(d_model, 2 * form.channels, **factory)
        for i in range(len(self.routes)):
            for field, part in zip(Branch._fields, form.new_branch(), strict=True):
                setattr(self, f"{field}_{i}", part)
        self.attn = BiAttn(form.channels)
        self.multi_scan = RouteWeights() if is_search else None
        self.out_proj = nn.Linear(form.channels, d_model, **factory)
        self.attn.to(form.device, form.dtype)

    def forward(self, x, grid, inference_params=None):
        if inference_params is not None:
            self.step()
        check_tensor("forward", "x", x)
        x, z = self.in_proj(x).transpose(1, 2).chunk(2, dim=1)
        # Padding is cut off, so that the gate of a route is that of its tokens, in their own order.
        gate = F.silu(z).transpose(1, 2)
        routes = (gate * self.scan_route(i, x, grid) for i in range(len(self.routes)))
        weights = self.multi_scan.weights if self.multi_scan else None
        return self.out_proj(sum_of_routes(routes, self.attn, weights))

    def step(self, *_, **__):
        """There is none: routes and attention are over all tokens of a map."""
        raise RuntimeError(
            "LocalMamba: tokens must come all at once; got a step, or inference_params. Its routes "
            "and its attention are over a whole map."
        )

    allocate_inference_cache = step

    def scan_route(self, i, x, grid):
        """x (b, d, l) along route i and back in place, (b, l, d)."""
        path = path_of_tokens(grid, self.routes[i], self.class_token)
        branch = Branch(*(getattr(self, f"{field}_{i}") for field in Branch._fields))
        # Zeros at padding come before the convolution, which leaks into them: they have a state.
        y = run_branch(branch, gather(x[:, :, None], path)[:, 0])
        return scatter(y[:, None], path)[:, :, 0].transpose(1, 2)
