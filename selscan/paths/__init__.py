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
from .path import Path

__all__ = [
    "Path",
    "atrous",
    "bidirectional",
    "cross",
    "diagonal",
    "hilbert",
    "snake",
    "spiral",
    "unidirectional",
    "window",
    "z_order",
    "zigzag",
]
