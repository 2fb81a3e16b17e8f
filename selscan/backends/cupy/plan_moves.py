"""How a gather or a scatter is spread over a GPU: pure functions, as in plan.py.

A block has a chunk of the result in shared memory, of some channels. The list of a chunk says
where each of its numbers comes from, in the order of the source, so that reading is as coalesced
as the path allows and writing always is.
"""

from typing import NamedTuple

import numpy as np

from .plan import MOST_BLOCKS

THREADS = 256
ORDERS_THREADS = 512
SIZES = {  # of what is added up
    **dict.fromkeys(("float16", "bfloat16", "float32", "int32", "uint32"), 4),
    **dict.fromkeys(("float64", "complex64", "int64", "uint64"), 8),
    **dict.fromkeys(("int16", "uint16"), 2),
    **dict.fromkeys(("int8", "uint8"), 1),
    "complex128": 16,
}
STORED = SIZES | {"float16": 2, "bfloat16": 2}
PAST = -2  # as in csrc/move.cu
_CHUNK_BYTES = 32 * 1024  # of shared memory: six blocks of a multiprocessor fit
_MOST_ROWS = 16
_WANTED_BLOCKS = 4  # of each multiprocessor
_LINE = 128  # bytes, of channels that are neighbours


class Mapping(NamedTuple):
    """A way to spread a move."""

    length: int  # numbers of a chunk
    rows: int  # channels of a chunk
    shift: int  # log2 of the threads that take channels of the same place
    pitch: int  # numbers from a channel to the next in shared memory


def adds(moved):
    """Whether routes are added up."""
    return moved.kernel == "merge"


def size_of(moved):
    """Bytes of a number in shared memory."""
    return (SIZES if adds(moved) else STORED)[moved.dtype]


def results(moved):
    """Steps or pixels of the result, for each channel."""
    path = moved.path
    return path.length if moved.kernel == "gather" else path.pixels


def source_width(moved):
    """Columns of the source: sequences are maps of one row."""
    return moved.path.width if moved.kernel == "gather" else moved.path.length


def choose(moved, device):
    """The mapping of a move."""
    size, total, dim = size_of(moved), results(moved), moved.dim
    channel, column = moved.steps[2], moved.steps[-1]
    if dim > 1 and abs(channel) < abs(column):
        shift = min((dim - 1).bit_length(), (_LINE // STORED[moved.dtype]).bit_length() - 1)
        rows, most = 1 << shift, _CHUNK_BYTES // (size << shift)
    else:
        shift, most = 0, _CHUNK_BYTES // size
        length = -(-total // -(-total // most))
        rows = max(1, min(dim, _MOST_ROWS, most // length))
    chunks = -(-total // most)
    length = -(-total // chunks)
    mapping = Mapping(length, rows, shift, _pitch(length, size, shift))
    while (
        shift == 0
        and rows > 1
        and blocks(moved, mapping) < (_WANTED_BLOCKS * device.multiprocessors)
    ):
        rows //= 2
        mapping = mapping._replace(rows=rows)
    if blocks(moved, mapping) > MOST_BLOCKS:
        function = "gather" if moved.kernel == "gather" else "scatter"
        raise ValueError(
            f"{function}: b * k * d * l must be small enough for the blocks of a grid on a GPU; "
            f"got b = {moved.batch}, d = {dim}."
        )
    return mapping


def _pitch(length, size, shift):
    """Channels that are written at once are in different banks of four bytes."""
    if not shift or size > 8:
        return length
    per_bank = max(1, 4 // size)
    words = -(-length // per_bank) * max(1, size // 4)
    unit = max(1, size // 4)
    return (words // unit | 1) * per_bank


def channel_blocks(moved, mapping):
    return -(-moved.dim // mapping.rows)


def chunks(moved, mapping):
    return -(-results(moved) // mapping.length)


def by_order(moved):
    """Whether what is moved has orders per sample."""
    return moved.path.table is None


def blocks(moved, mapping):
    """Blocks of the grid."""
    routes = 1 if adds(moved) else moved.path.routes
    return moved.batch * channel_blocks(moved, mapping) * routes * chunks(moved, mapping)


def shared_bytes(moved, mapping):
    """Dynamic shared memory of a block."""
    return mapping.rows * mapping.pitch * size_of(moved)


def list_of(moved, mapping):
    """(routes, chunks, length, 2), int32: place and number of each entry, sorted by place."""
    path = moved.path
    places = path.table if moved.kernel == "gather" else path.inverse
    count, length = chunks(moved, mapping), mapping.length
    padded = np.full((path.routes, count * length), PAST, np.int32)
    padded[:, : places.shape[1]] = places
    padded = padded.reshape(path.routes, count, length)
    order = padded.argsort(-1, kind="stable").astype(np.int32)
    return np.stack([np.take_along_axis(padded, order, -1), order], -1)
