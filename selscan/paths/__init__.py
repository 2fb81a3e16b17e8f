"""Scan orders over images: a Path is a table of pixel numbers, and a few functions make them.

>>> from selscan import paths
>>> paths.cross(2, 3).table
array([[0, 1, 2, 3, 4, 5],
       [0, 3, 1, 4, 2, 5],
       [5, 4, 3, 2, 1, 0],
       [5, 2, 4, 1, 3, 0]], dtype=int32)
"""

from .curves import diagonal, hilbert, snake, spiral, z_order, zigzag
from .makers import MAKERS as MAKERS
from .makers import atrous, bidirectional, cross, unidirectional, window
from .makers3d import MAKERS_3D as MAKERS_3D
from .makers3d import (
    cross3d,
    hilbert3d,
    snake3d,
    spatial_first,
    spatiotemporal,
    temporal_first,
    tri_orientated,
    window3d,
    z_order3d,
)
from .path import Path

__all__ = [
    "Path",
    "atrous",
    "bidirectional",
    "cross",
    "cross3d",
    "diagonal",
    "hilbert",
    "hilbert3d",
    "snake",
    "snake3d",
    "spatial_first",
    "spatiotemporal",
    "spiral",
    "temporal_first",
    "tri_orientated",
    "unidirectional",
    "window",
    "window3d",
    "z_order",
    "z_order3d",
    "zigzag",
]
