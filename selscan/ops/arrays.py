"""Any array, seen the same way: shape, byte steps, dtype name, address.

One small class for each framework, all with the same methods: NumPy and torch here, JAX and DLPack
in exchange.py, what is on a GPU in cuda.py. frameworks.py finds the one that an array belongs to.
"""

import numpy as np

from .layouts import Layout, Output, dense_order, dense_steps

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


class Framework:
    """What the frameworks share."""

    borrows = False  # whether arrays pass through the methods of exchange.GuestArrays
    immutable = False  # arrays that nobody may write, not even where a call says so

    @staticmethod
    def check_out_dtype(function, dtype):
        """Refuse one of the supported dtypes that this framework cannot hold at present."""

    def on(self, device):
        """The framework of arrays on a device, where they are not all on one."""
        return self

    def stream(self):
        """The CUDA stream that kernels are launched on, an integer; on the CPU there are none."""

    def signatures(self, arrays):
        """`signature` of each array; None for None, and () for what is not one of these."""
        owns, signature = self.owns, self.signature
        return tuple([x if x is None else signature(x) if owns(x) else () for x in arrays])

    def like(self, layout, dtype=None):
        """An output of the shape, memory order and, if none is given, dtype of an input."""
        order = dense_order(layout.shape, layout.steps)
        return self._output(layout.shape, order, dtype or layout.dtype)

    def output(self, shape, dtype):
        """A new array in C order."""
        return self._output(shape, tuple(range(len(shape))), dtype)


class NumPyArrays(Framework):
    """numpy.ndarray."""

    name = "numpy"
    title = "a NumPy array"

    @staticmethod
    def owns(array):
        """Whether the array can be read as it is: a masked array would lose its mask."""
        return type(array) is np.ndarray or (
            isinstance(array, np.ndarray) and not isinstance(array, np.ma.MaskedArray | np.matrix)
        )

    @staticmethod
    def signature(array):
        """What the plan of a call depends on: hashable, cheap to take."""
        return array.shape, array.strides, array.dtype

    @staticmethod
    def layout(function, name, signature):
        shape, strides, dtype = signature
        text = dtype.name if dtype.isnative else f"byte-swapped {dtype.name}"
        return Layout(shape, strides, text)

    @staticmethod
    def dtype_name(dtype):
        """The name of a dtype, a class or a string that NumPy takes for one, or None."""
        if isinstance(dtype, str) and dtype in DTYPES:
            return dtype  # bfloat16 may not be known to NumPy yet
        if not isinstance(dtype, str | type | np.dtype):
            return None  # NumPy would ask it for its items
        try:
            dtype = np.dtype(dtype)
        except (TypeError, ValueError, SyntaxError):  # whatever its parser of strings raises
            return None
        return dtype.name if dtype.isnative else f"byte-swapped {dtype.name}"

    @staticmethod
    def check_out_dtype(function, dtype):
        try:
            numpy_dtype(dtype)
        except ImportError as error:
            raise TypeError(
                f"{function}: out_dtype must be a dtype that can be had here; got {dtype}. {error}"
            ) from None

    @staticmethod
    def device(signature):
        return "cpu"

    @staticmethod
    def is_wide(signature):
        return signature[2].char in "dD"

    @staticmethod
    def address(array):
        return array.__array_interface__["data"][0]

    @staticmethod
    def sum_parts(parts, array):
        """array = the sum over the first axis of `parts`, in their dtype, rounded once."""
        with np.errstate(all="ignore"):
            if parts.dtype == array.dtype:
                np.sum(parts, axis=0, out=array)
            else:
                array[...] = np.sum(parts, axis=0)

    @staticmethod
    def fill(array, values):
        """array = values, an array or 0; of complex values for a real array the real part."""
        array[...] = np.real(values) if array.dtype.kind != "c" else values

    @staticmethod
    def begin_update(function, name, array):
        """Announce that a kernel writes to an argument; refuse one that is read-only."""
        if not array.flags.writeable:
            raise ValueError(
                f"{function}: {name} must be writable, it is updated in place; got a read-only "
                f"array. Pass {name}.copy()."
            )

    @staticmethod
    def _output(shape, order, dtype):
        kind = numpy_dtype(dtype)
        recipe = tuple(shape[i] for i in order), kind, tuple(np.argsort(order).tolist())
        return Output(Layout(shape, dense_steps(shape, order, kind.itemsize), dtype), recipe)

    @staticmethod
    def allocate(output):
        shape, dtype, axes = output.recipe
        return np.empty(shape, dtype).transpose(axes)


def numpy_dtype(name):
    """The dtype of one of DTYPES or INTEGERS."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError("NumPy has no bfloat16 of its own; pip install ml_dtypes.") from None
    return np.dtype(ml_dtypes.bfloat16)


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
        self._increment_version = torch.autograd.graph.increment_version
        self._dtype = torch.dtype
        self._wide = (torch.float64, torch.complex128)
        self._by_name = {name: getattr(torch, name) for name in DTYPES + INTEGERS}
        self._names = {dtype: name for name, dtype in self._by_name.items()}

    def on(self, device):
        found = self._on.get(device)
        if found is None:
            from .cuda import CudaTensors

            found = self._on.setdefault(device, CudaTensors(self._torch, device))
        return found

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
                array.copy_(self._from_numpy(np.sum(parts.numpy(), axis=0)))

    @staticmethod
    def fill(array, values):
        if isinstance(values, int):
            array.fill_(values)
        else:
            values = values.detach()
            array.copy_(values if array.is_complex() or not values.is_complex() else values.real)

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
