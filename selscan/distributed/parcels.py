"""What travels between ranks: several tensors in one buffer of bytes, behind a head of integers."""

from math import prod

import torch

_HEAD = 4  # integers, see links.Line.pack
_ALIGNED = 16  # bytes: a complex number in float64


class Parcel:
    """The form of a buffer.

    Parameters
    ----------
    device : torch.device
    *parts : (shape, dtype)
    """

    def __init__(self, device, *parts):
        self.device, self.parts = device, (((_HEAD,), torch.int64), *parts)
        self.sizes = [prod(shape) * dtype.itemsize for shape, dtype in self.parts]
        self.steps = [-(-size // _ALIGNED) * _ALIGNED for size in self.sizes]

    def empty(self):
        return torch.empty(sum(self.steps), dtype=torch.uint8, device=self.device)

    def pack(self, head, *tensors):
        """The buffer."""
        buffer = self.empty()
        for found, tensor in zip(self._views(buffer), (torch.tensor(head), *tensors), strict=True):
            found.copy_(tensor)
        return buffer

    def unpack(self, buffer):
        """The head as a list, and views of the tensors."""
        head, *tensors = self._views(buffer)
        return head.tolist(), tensors

    def _views(self, buffer):
        start = 0
        for (shape, dtype), size, step in zip(self.parts, self.sizes, self.steps, strict=True):
            yield buffer[start : start + size].view(dtype).view(shape)
            start += step
