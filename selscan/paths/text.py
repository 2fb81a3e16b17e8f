"""A path as text: it stands for the path in the graphs of torch.compile and torch.export."""

import binascii
import zlib

import numpy as np


def text_of(table, size, joined):
    """Sizes, and the table (k, l) packed: as differences along a route, of which most are equal."""
    routes, length = table.shape
    steps = np.diff(table, axis=1, prepend=np.int32(0)).astype("<i4")
    packed = binascii.b2a_base64(zlib.compress(steps.tobytes(), 1), newline=False).decode()
    return f"{' '.join(map(str, size))} {int(joined)} {routes} {length} {packed}"


def parse(text):
    """The arguments of a Path; ValueError for what is no text of one."""
    *sizes, packed = text.split(" ")
    *size, joined, routes, length = map(int, sizes)
    *depth, height, width = size
    steps = unpacked(binascii.a2b_base64(packed, strict_mode=True), 4 * routes * length)
    steps = np.frombuffer(steps, "<i4").reshape(routes, length)
    return np.cumsum(steps, axis=1, dtype=np.int32), height, width, bool(joined), *depth


def unpacked(packed, count):
    """The `count` bytes that were packed; of more than that no more is unpacked."""
    stream = zlib.decompressobj()
    found = stream.decompress(packed, count + 1)
    if len(found) != count or not stream.eof or stream.unused_data:
        raise ValueError
    return found
