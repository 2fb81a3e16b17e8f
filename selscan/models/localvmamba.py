"""LocalVMamba (Huang et al. 2024): the pyramid of VMamba, each layer with routes of its own."""

import functools

from ..messages import fail
from ..nn import Mixer2d
from ..nn.checks import check_count
from ..nn.routes import CANDIDATES, RouteSum
from ..paths import Path
from .localvim import checked_table
from .pyramid import Pyramid, check_depths
from .registry import Variant
from .vmamba import Block

# What the searches found, stage by stage.
TINY = (
    ("h", "h_flip", "w7", "w7_flip"),
    ("h_flip", "v_flip", "w2", "w2_flip"),
    ("h_flip", "v_flip", "w2_flip", "w7"),
    ("h_flip", "v", "v_flip", "w2"),
    ("h", "h_flip", "v_flip", "w2_flip"),
    ("h_flip", "v_flip", "w2", "w2_flip"),
    ("h", "w2_flip", "w7", "w7_flip"),
    ("h", "h_flip", "v", "v_flip"),
    ("h", "v_flip", "w7", "w7_flip"),
    ("h_flip", "v", "w2", "w7_flip"),
    ("v", "v_flip", "w2", "w7_flip"),
    ("h", "h_flip", "v_flip", "w2_flip"),
    ("v_flip", "w2_flip", "w7", "w7_flip"),
    ("h_flip", "v_flip", "w2_flip", "w7_flip"),
    ("h_flip", "v", "w7", "w7_flip"),
)
SMALL = (
    ("h", "v", "v_flip", "w7_flip"),
    ("h", "h_flip", "v", "w7"),
    ("h_flip", "v", "v_flip", "w7"),
    ("h_flip", "v", "w2_flip", "w7"),
    ("h_flip", "v", "w2_flip", "w7"),
    ("h_flip", "v_flip", "w2", "w7_flip"),
    ("h_flip", "v", "v_flip", "w7"),
    ("h", "v", "v_flip", "w7"),
    ("h", "v", "v_flip", "w7"),
    ("h", "v", "v_flip", "w7_flip"),
    ("h", "h_flip", "v", "v_flip"),
    ("h", "v", "v_flip", "w2"),
    ("v", "v_flip", "w2_flip", "w7"),
    ("h", "h_flip", "v", "w2"),
    ("h_flip", "v", "v_flip", "w7_flip"),
    ("h", "h_flip", "v", "v_flip"),
    ("h", "v", "v_flip", "w7_flip"),
    ("h", "v", "v_flip", "w7_flip"),
    ("h", "h_flip", "v_flip", "w7"),
    ("h_flip", "v_flip", "w2_flip", "w7"),
    ("h_flip", "v", "v_flip", "w7_flip"),
    ("v", "v_flip", "w7", "w7_flip"),
    ("h", "v", "v_flip", "w7_flip"),
    ("h_flip", "v", "v_flip", "w2"),
    ("h", "v", "v_flip", "w2_flip"),
    ("h", "h_flip", "v", "w7"),
    ("h", "h_flip", "w7", "w7_flip"),
    ("h", "v_flip", "w2", "w2_flip"),
    ("h", "v_flip", "w2", "w7"),
    ("h", "v", "v_flip", "w7_flip"),
    ("h_flip", "v", "w2_flip", "w7"),
    ("h_flip", "v_flip", "w7", "w7_flip"),
    ("h", "v", "w7", "w7_flip"),
)


def _local(third, dim, routes):
    options = {"depths": (2, 2, third, 2), "dim": dim}
    return options | {"routes": routes, "drop_path_rate": 0.2}


VARIANTS = {
    "local_vssm_tiny": Variant(_local(9, 96, TINY), 26, 5.7, 82.7),
    "local_vssm_small": Variant(_local(27, 96, SMALL), 50, 11.4, 83.7),
    "local_vssm_tiny_search": Variant(_local(9, 32, None), None, None, None),
    "local_vssm_small_search": Variant(_local(27, 32, None), None, None, None),
}


def path_along(routes, height, width):
    """The path of some routes; a function of this module, so that models can be pickled."""
    return Path.of(height, width, *routes)


def local_mixer(dim, routes, d_state):
    """The 2-D mixer with attention to the channels of each route, or that of a search."""
    combine = RouteSum(2 * dim, search=routes is None)
    path = functools.partial(path_along, CANDIDATES if routes is None else routes)
    return Mixer2d(dim, path, d_state=d_state, combine=combine)


class LocalVMamba(Pyramid):
    """The family.

    Parameters
    ----------
    depths, dim
        As in `selscan.models.pyramid.Pyramid`.
    routes : sequence of sequences of str, optional
        The routes of each block, named as in `selscan.paths.Path.of`. Without them the model is
        that of a search: `selscan.models.localvim.searched_routes` has what it finds.
    d_state
        As in `selscan.nn.Mixer2d`.
    drop_path_rate, num_classes, in_chans, features_only, out_indices
        As in `selscan.models.create`.
    """

    def __init__(self, depths, dim, routes=None, *, d_state=16, **options):
        check_count("create", "d_state", d_state)
        check_depths(depths)
        table = [None] * sum(depths) if routes is None else checked_table(routes)
        if len(table) != sum(depths):
            fail("create", "routes", f"those of {sum(depths)} blocks", f"{len(table)}")
        of_blocks = iter(table)

        def block(stage, dim, rate):
            return Block(dim, local_mixer(dim, next(of_blocks), d_state), 0, rate)

        super().__init__(depths, dim, block, **options)


FAMILY = LocalVMamba
