"""Maps of vision models, as their scans see them: stages at 224 x 224 and 1248 x 1248 pixels."""

from typing import NamedTuple


class Maps(NamedTuple):
    """A call of scan2d in bfloat16."""

    path: str  # a maker of selscan.paths
    more: tuple  # its arguments after height and width
    side: int  # pixels
    batch: int
    dim: int
    d_state: int


def _stages(name, dims, d_state, sides, batch, path="cross", more=()):
    for dim, side in zip(dims, sides, strict=True):
        yield f"{name}, {side} x {side}", Maps(path, more, side, batch, dim, d_state)


AT_224, AT_1248 = (56, 28, 14, 7), (312, 156, 78, 39)
_MODELS = (
    ("vmamba T/S", (96, 192, 384, 768), 1, "cross", ()),
    ("vmamba B", (128, 256, 512, 1024), 1, "cross", ()),
    ("msvmamba", (96, 192, 384, 768), 1, "cross", ()),
    ("efficientvmamba", (96, 192, 384, 768), 16, "atrous", ()),
    ("localvmamba, windows of 7", (96, 192, 384, 768), 16, "window", (7,)),
)
SHAPES = {
    case: shape
    for name, dims, d_state, path, more in _MODELS
    for sides, batch in ((AT_224, 128), (AT_1248, 1))
    for case, shape in _stages(name, dims, d_state, sides, batch, path, more)
}


def path_of(shape):
    """The path of a shape."""
    from selscan.paths import MAKERS

    return MAKERS[shape.path](shape.side, shape.side, *shape.more)


def steps(shape):
    """Steps of all routes that visit a pixel, and pixels, both of all channels."""
    each = shape.batch * shape.dim
    return each * int((path_of(shape).inverse >= 0).sum()), each * shape.side**2
