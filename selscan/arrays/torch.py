"""torch's tensors, on the CPU and on GPUs; torch itself is handed in by who found it."""

import numpy as np

from .layouts import Layout, Output, dense_steps
from .numpy import DTYPES, INTEGERS, Framework
from .rounding import narrowable

# Ends of messages about tensors that a kernel cannot read.
_NESTED = "a dense tensor; got a nested one. Scan what .unbind() gives one by one."
_NOT_DENSE = "a dense tensor; got one of layout {}. Call .to_dense() first."
_NEGATIVE = "a plain tensor; got one with its negative bit set. Call .resolve_neg() first."
_CONJUGATE = "a plain tensor; got one with its conjugate bit set. Call .resolve_conj() first."


_LOW = 2**40


class TorchArrays(Framework):
    """torch.Tensor on the CPU."""

    name = "torch"
    title = "a torch tensor"

    def __init__(self, torch):
        self._torch, self._on = torch, {"cpu": self}
        self._tensor = torch.Tensor
        self._strided = torch.strided
        self._empty = torch.empty_strided
        self._from_numpy = torch.from_numpy
        self._threads = torch.get_num_threads
        self._increment_version = torch.autograd.graph.increment_version
        self._dtype = torch.dtype
        self._wide = (torch.float64, torch.complex128)
        self._by_name = {name: getattr(torch, name) for name in DTYPES + INTEGERS}
        self._names = {dtype: name for name, dtype in self._by_name.items()}

    def on(self, device):
        found = self._on.get(device)
        if found is None:
            found = self._on.setdefault(device, CudaTensors(self._torch, device))
        return found

    def runs_on(self):
        return self._threads()

    def owns(self, array):
        return isinstance(array, self._tensor)

    def signatures(self, arrays):
        """As one loop: a call for each tensor would double the time."""
        tensor, strided, found = self._tensor, self._strided, []
        for x in arrays:
            if x is None:
                found.append(None)
            elif not isinstance(x, tensor):
                found.append(())
            elif x.layout is strided and not (x.is_nested or x.is_neg() or x.is_conj()):
                found.append((x.shape, x.stride(), x.dtype, x.device))
            else:
                found.append(((), None, self._unreadable(x), x.device))
        return tuple(found)

    def _unreadable(self, array):
        """The end of a message: why a kernel cannot read a tensor, whose shape may not exist."""
        if array.is_nested:
            return _NESTED
        if array.layout is not self._strided:
            return _NOT_DENSE.format(array.layout)
        return _NEGATIVE if array.is_neg() else _CONJUGATE

    def layout(self, function, name, signature):
        shape, strides, dtype, _ = signature
        if strides is None:
            raise TypeError(f"{function}: {name} must be {dtype}")
        size = dtype.itemsize
        text = self._names.get(dtype) or str(dtype).removeprefix("torch.")
        return Layout(tuple(shape), tuple(s * size for s in strides), text)

    def dtype_name(self, dtype):
        """The name of a torch dtype, or of a string that names one; None otherwise."""
        if isinstance(dtype, str):
            return dtype if dtype in DTYPES else None
        return str(dtype).removeprefix("torch.") if isinstance(dtype, self._dtype) else None

    @staticmethod
    def device(signature):
        device = signature[3]
        return "cpu" if device.type == "cpu" else str(device)

    def is_wide(self, signature):
        return signature[2] in self._wide

    @staticmethod
    def address(array):
        address = array.data_ptr()
        # Its storage was freed, or fake tensors are being made: then this is the offset of the
        # tensor in its storage. Few addresses are that low, so the second question is rare.
        if address < _LOW and not array.untyped_storage().data_ptr():
            raise ValueError("selscan: every tensor must have memory; got one without.")
        return address

    def sum_parts(self, parts, array):
        with np.errstate(all="ignore"):
            if parts.dtype == array.dtype:
                np.sum(parts.numpy(), axis=0, out=array.numpy())
            else:
                total = narrowable(np.sum(parts.numpy(), axis=0), array.dtype)
                array.copy_(self._from_numpy(total))

    def fill(self, array, values):
        if isinstance(values, int):
            array.fill_(values)
            return
        values = values.detach()
        if values.is_complex() and not array.is_complex():
            values = values.real
        if array.itemsize == 2 and values.dtype == self._torch.float64:
            values = self._narrowable(values)
        array.copy_(values)

    def _narrowable(self, values):
        """The function of that name, on any device."""
        near = values.float()
        away, inexact = near.double().abs() > values.abs(), near.double() != values
        return (near.view(self._torch.int32) - away.int() | inexact.int()).view(self._torch.float32)

    def begin_update(self, function, name, array):
        """Every tensor can be written, but a graph that saved it must not be used any more."""
        self._increment_version(array)

    def _output(self, shape, order, dtype):
        kind = self._by_name[dtype]
        recipe = shape, dense_steps(shape, order, 1), kind
        return Output(Layout(shape, dense_steps(shape, order, kind.itemsize), dtype), recipe)

    def allocate(self, output):
        shape, strides, dtype = output.recipe
        return self._empty(shape, strides, dtype=dtype, device="cpu")


class CudaTensors(TorchArrays):
    """torch.Tensor on one GPU, with the memory and on the stream that torch uses there."""

    def __init__(self, torch, device):
        super().__init__(torch)
        self._device = torch.device(device)
        self._number = self._device.index
        # The public way makes an object first, which takes ten times as long.
        raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)
        self._stream = raw or (lambda number: torch.cuda.current_stream(number).cuda_stream)

    def runs_on(self):
        return self._stream(self._number)

    def allocate(self, output):
        shape, strides, dtype = output.recipe
        return self._empty(shape, strides, dtype=dtype, device=self._device)
