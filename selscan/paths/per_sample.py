"""Orders per sample: a path whose table is an operand of the call."""

import math
from typing import NamedTuple


class Orders(NamedTuple):
    """What is known of a table (b, k, l), an order for each sample, before its numbers are.

    It stands where a Path would, and has the same names.
    """

    routes: int
    length: int
    size: tuple  # (height, width) or (depth, height, width) of the maps

    table = None  # of one path for all samples
    text = ""
    joined = False

    @property
    def depth(self):
        return None if len(self.size) == 2 else self.size[0]

    @property
    def height(self):
        return self.size[-2]

    @property
    def width(self):
        return self.size[-1]

    @property
    def pixels(self):
        return math.prod(self.size)
