"""Orders per sample are checked: from a table (b, k, l) of any strides to one that kernels trust.

The copy is int32 in C order. Whatever is no pixel, or one that its route has visited before, is
padding there, and WRONG is set. A task is a route of a sample; its scratch has a byte for each
pixel.
"""

import numpy as np
from numba import carray

from .elements import get, put
from .formats import CODES, read_integer
from .jit import kernel
from .layout import HEADER
from .routes import clear
from .simd import as_pointer

(
    SOURCE,  # addresses
    RESULT,
    SCRATCH,  # worker i owns [SCRATCH + i SCRATCH_STEP, ...)
    SCRATCH_STEP,
    DTYPE,  # of the source, and its bytes between neighbours
    STEP_B,
    STEP_R,
    STEP_T,
    K,
    LENGTH,
    PIXELS,
    WRONG,  # whether some order is
    END,
) = range(HEADER, HEADER + 13)
SLOTS = {"source": SOURCE, "result": RESULT}
INT8, INT32 = np.int8(0), np.int32(0)


class OrdersPlan:
    """Sizes and steps of one check; `fill` adds the addresses."""

    kernel, real, kinds = "orders", INT32, ()

    def __init__(self, layout, pixels):
        batch, routes, length = layout.shape
        self.linked = False  # whether the template has the address of its compiled kernel
        self.tasks, self.at_once = batch * routes, 1
        self.elements = batch * routes * length
        self.scratch = -(-pixels // 64) * 64
        self.template = np.zeros(END, np.int64)
        for slot, value in {
            SCRATCH_STEP: self.scratch,
            DTYPE: CODES[layout.dtype],
            K: routes,
            LENGTH: length,
            PIXELS: pixels,
            **dict(zip((STEP_B, STEP_R, STEP_T), layout.steps, strict=True)),
        }.items():
            self.template[slot] = value

    def fill(self, addresses, scratch):
        """The argument array: `addresses` by name, `scratch` aligned to 64 bytes."""
        args = self.template.copy()
        for name, address in addresses.items():
            args[SLOTS[name]] = address
        args[SCRATCH] = scratch
        return args


def compile_orders(element):
    """For tables of int32 and int64."""

    @kernel
    def check_orders(address, worker, first, last):
        args = carray(as_pointer(address), END)
        visited = args[SCRATCH] + worker * args[SCRATCH_STEP]
        pixels, length = args[PIXELS], args[LENGTH]
        for task in range(first, last):
            b, r = task // args[K], task % args[K]
            source = args[SOURCE] + b * args[STEP_B] + r * args[STEP_R]
            target = args[RESULT] + 4 * task * length
            clear(INT8, visited, pixels)
            for t in range(length):
                pixel = read_integer(args[DTYPE], source + t * args[STEP_T])
                if pixel < -1 or pixel >= pixels:
                    args[WRONG] = 1
                    pixel = -1
                elif pixel >= 0:
                    if get(INT8, INT8, visited, pixel):
                        args[WRONG] = 1
                        pixel = -1
                    else:
                        put(INT8, visited, pixel, 1)
                put(element, target, 4 * t, pixel)

    return check_orders
