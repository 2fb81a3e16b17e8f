"""Paths: those of the makers, and routes that no maker has."""

import inspect

import numpy as np
from hypothesis import strategies as st

from selscan.paths import MAKERS, MAKERS_3D, Path

SIZES = st.integers(1, 17)
SIZES_3D = st.integers(1, 9)


def extra(maker):
    """The arguments of a maker after height and width."""
    return [2] * (len(inspect.signature(maker).parameters) - 2)


@st.composite
def made_by(draw, name, sizes=SIZES):
    """The arguments of a maker; windows and steps may be larger than the map."""
    return draw(sizes), draw(sizes), *(draw(sizes) for _ in extra(MAKERS[name]))


@st.composite
def made_in_3d(draw, name, sizes=SIZES_3D):
    """The arguments of a maker of paths over maps with a depth."""
    more = [2, 3] if name == "window3d" else []
    return *(draw(sizes) for _ in range(3)), *([draw(st.sampled_from(more))] if more else [])


@st.composite
def tables(draw, largest=12):
    """A table (k, l) over a map (1, pixels): any pixels in any order, padding anywhere."""
    pixels, k, l = draw(st.integers(1, largest)), draw(st.integers(1, 3)), draw(st.integers(1, 15))
    table = np.full((k, l), -1)
    for row in table:
        visits = draw(st.lists(st.integers(0, pixels - 1), unique=True, max_size=min(pixels, l)))
        row[draw(st.permutations(range(l)))[: len(visits)]] = visits
    return table, pixels


@st.composite
def routes(draw):
    """Paths over small maps by name, in any number, joined or not."""
    names = draw(st.lists(st.sampled_from(["h", "v", "w2", "w3", "w3_flip", "v_flip"]), min_size=1))
    size = st.integers(1, 4)
    return Path.of(draw(size), draw(size), *names[:3], joined=draw(st.booleans()))


@st.composite
def paths(draw):
    """Paths over small maps: of the makers, by name, of any table."""
    if draw(st.booleans()):
        return draw(routes())
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(MAKERS)))
        return MAKERS[name](*draw(made_by(name, st.integers(1, 4))))
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(MAKERS_3D)))
        return MAKERS_3D[name](*draw(made_in_3d(name, st.integers(1, 3))))
    table, pixels = draw(tables())
    return Path(table, 1, pixels, draw(st.booleans()))


def orders(size, b=2, k=2, l=None, seed=0, dtype=np.int64):
    """Orders per sample, routes of different pixels, with padding."""
    rng, pixels = np.random.default_rng(seed), int(np.prod(size))
    every = np.concatenate([np.arange(pixels), np.full(3, -1)])
    return (
        np.stack([rng.permutation(every)[:l] for _ in range(b * k)]).reshape(b, k, -1).astype(dtype)
    )
