"""LocalVim (Huang et al. 2024): Mamba along four routes over the patches of an image.

Each layer has routes of its own, among them some that go window by window. They were found by a
search: a model that scans all eight candidates learns a weight for each, and `searched_routes` has
what it chooses.
"""

from torch import nn

from ..messages import describe, fail
from ..nn import LocalMamba
from ..nn.checks import check_choice, check_count
from ..nn.initial import init_weights
from ..nn.routes import CANDIDATES, RouteSum, RouteWeights, checked_routes
from .plain import Plain
from .registry import LAYERS, Variant

KEPT = 4  # routes of a layer behind a search

# What the search for LocalVim-T found.
SEARCHED = (
    ("h", "v_flip", "w7", "w7_flip"),
    ("h_flip", "w2_flip", "w7", "w7_flip"),
    ("h", "h_flip", "v", "w7"),
    ("h", "h_flip", "v", "v_flip"),
    ("h", "h_flip", "v", "v_flip"),
    ("h", "h_flip", "v", "v_flip"),
    ("h_flip", "v", "v_flip", "w7"),
    ("h_flip", "v", "v_flip", "w2_flip"),
    ("h", "h_flip", "v", "v_flip"),
    ("h", "h_flip", "v", "v_flip"),
    ("h", "v", "v_flip", "w2"),
    ("h", "v", "v_flip", "w2_flip"),
    ("h", "h_flip", "v_flip", "w7"),
    ("h_flip", "v", "v_flip", "w2"),
    ("h", "h_flip", "v", "v_flip"),
    ("h", "v", "w2", "w2_flip"),
    ("v", "v_flip", "w2", "w7"),
    ("h", "h_flip", "v", "w2"),
    ("h", "h_flip", "w2_flip", "w7"),
    ("v", "v_flip", "w2", "w2_flip"),
)
UNSEARCHED = (("h", "h_flip", "w2", "w2_flip"),) * 20
ROUTES = {"searched": SEARCHED, "unsearched": UNSEARCHED}


def _local(dim, routes, class_token=None):
    options = {"dim": dim, "routes": routes, "class_token": class_token}
    return options | {"rope": class_token is None, "drop_path_rate": 0.1}


# Published gflops count one route of the four in all but the scan.
VARIANTS = {
    "local_vim_tiny": Variant(_local(192, SEARCHED), 8, 1.5, 76.2, sized=True),
    "local_vim_tiny_middle_cls_token": Variant(
        _local(192, SEARCHED, class_token="middle"), 8, 1.5, 77.8, sized=True
    ),
    "local_vim_tiny_wo_search": Variant(_local(192, UNSEARCHED), None, None, None, sized=True),
    "local_vim_small": Variant(_local(384, UNSEARCHED), 28, 4.8, 81.1, sized=True),
    "local_vim_tiny_search": Variant(_local(128, None), None, None, None, sized=True),
}


class LocalVim(Plain):
    """The family.

    Parameters
    ----------
    dim : int
        Channels.
    routes : sequence of sequences of str, optional
        The routes of each layer, named as in `selscan.paths.Path.of`; or "searched" or
        "unsearched", for those of the variants. Without them the model is that of a search, of
        `depth` layers.
    depth : int
        Number of layers; 20, or as many as there are routes.
    class_token : {None, "middle"}
        With a class token that is classified, or without one.
    d_state
        As in `selscan.nn.LocalMamba`.
    img_size, patch, rope
        As in `selscan.models.plain.Plain`.
    drop_path_rate, num_classes, in_chans, features_only
        As in `selscan.models.create`.
    out_indices : sequence of int, optional
        Layers; the maps are norms of the results of their mixers.
    """

    def __init__(self, dim, routes=None, depth=None, *, class_token=None, d_state=16, **options):
        check_count("create", "d_state", d_state)
        check_choice("create", "class_token", class_token, (None, "middle"))
        if depth is not None:
            check_count("create", "depth", depth, LAYERS)
        table = None if routes is None else table_of_routes(routes)
        if table and depth not in (None, len(table)):
            expected = f"{len(table)}, as many as there are routes"
            fail("create", "depth", expected, describe(depth))
        depth, middle = len(table) if table else depth or 20, class_token is not None

        def mixer(number):
            return LocalMamba(dim, table and table[number], middle, d_state=d_state)

        super().__init__(mixer, dim, depth, class_token=class_token, pads=True, **options)

    def add_norms_of_maps(self, dim):
        for i in range(len(self.out_indices)):
            self.add_module(f"outnorm_{i}", nn.LayerNorm(dim))

    def map_of(self, hidden, residual, number):
        return getattr(self, f"outnorm_{number}")(hidden)

    def place(self, grid):
        return (grid,)

    def reset(self):
        self.apply(init_weights)
        super().reset()


def searched_routes(model):
    """What a search has found: the four routes of each layer with the largest weights.

    Parameters
    ----------
    model : torch.nn.Module
        LocalVim or LocalVMamba, trained without given routes.

    Returns
    -------
    routes : tuple of tuples of str
        For a model with these `routes`. Those of a layer are in the order of the candidates, as
        they are in the official models.

    Raises
    ------
    ValueError
        A model whose routes were given.
    TypeError
        No model.

    Examples
    --------
    >>> from selscan import models
    >>> from selscan.models.localvim import searched_routes
    >>> search = models.create("local_vim_tiny_search")
    >>> found = models.create("local_vim_tiny", routes=searched_routes(search))
    """
    if not isinstance(model, nn.Module):
        expected, got = "a torch.nn.Module", describe(model)
        raise TypeError(f"searched_routes: model must be {expected}; got {got}.")
    learned = [x.weights for x in model.modules() if isinstance(x, RouteSum | RouteWeights)]
    if not learned or learned[0] is None:
        fail("searched_routes", "model", "one of a search", "one whose routes were given")
    best = [weights.flatten().topk(KEPT).indices.sort().values.tolist() for weights in learned]
    return tuple(tuple(CANDIDATES[i] for i in layer) for layer in best)


def table_of_routes(routes):
    """The routes of each layer, from the name of a table or one as it is."""
    if isinstance(routes, str):
        if routes not in ROUTES:
            fail("create", "routes", "'searched', 'unsearched' or a table", describe(routes))
        return ROUTES[routes]
    return checked_table(routes)


def checked_table(routes):
    """The routes of each layer, as tuples."""
    expected = f"a sequence of the routes of each layer, 1 to {LAYERS} of them"
    if not isinstance(routes, list | tuple):
        fail("create", "routes", expected, describe(routes))
    if not 1 <= len(routes) <= LAYERS:
        fail("create", "routes", expected, f"{len(routes)}")
    return tuple(checked_routes("create", of_layer) for of_layer in routes)


FAMILY = LocalVim
