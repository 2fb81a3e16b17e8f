"""DLPack to NumPy and back, bfloat16 included, which NumPy's own from_dlpack refuses.

NumPy reads and writes capsules; only for bfloat16 the type in the capsule's struct (dlpack.h) is
changed on the way: bfloat16 passes as the uint16 of its bits.
"""

import ctypes
from ctypes import c_int32, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

import numpy as np

from .numpy import numpy_dtype

CPU = 1  # kDLCPU
_UINT, _BFLOAT = 1, 4  # kDLUInt, kDLBfloat
_READ_ONLY, _COPIED = 1, 2  # bits of flags


class _Tensor(ctypes.Structure):
    """DLTensor up to its type."""

    _fields_ = (
        ("data", c_void_p),
        ("device", c_int32 * 2),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
    )


class _Managed(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", _Tensor),)


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("version", c_uint32 * 2),
        ("manager", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("tensor", _Tensor),
    )


_STRUCTS = {b"dltensor": _Managed, b"dltensor_versioned": _Versioned}
# Prototypes of our own: what is set on the functions of ctypes.pythonapi is set for all libraries.
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_pointer = ctypes.PYFUNCTYPE(c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _managed(capsule):
    """The struct in a capsule, to read and write while the capsule's tensor lives; or None."""
    for name, struct in _STRUCTS.items():
        if _is_valid(capsule, name):
            managed = struct.from_address(_pointer(capsule, name))
            if struct is _Managed or managed.version[0] == 1:
                return managed
    return None


class _Holder:
    """A producer of one capsule that is there already."""

    def __init__(self, capsule):
        self._capsule = capsule

    def __dlpack__(self, **_):
        return self._capsule

    def __dlpack_device__(self):
        return CPU, 0


class _Memory:
    """That of a NumPy array, to make another one of which can be written or not."""

    def __init__(self, array, read_only):
        self._array = array
        interface = array.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], read_only)}


def view(array, in_place=False):
    """A NumPy array on the memory of a producer on the CPU, which it keeps alive.

    With `in_place` it can be written if the producer says so, and a producer that would have to
    make a copy raises. Before DLPack 1 producers could not say: some have immutable arrays.
    """
    keywords = {"copy": False} if in_place else {}
    try:
        capsule = array.__dlpack__(max_version=(1, 0), **keywords)
    except TypeError:  # before DLPack 1 there were no keywords
        capsule = array.__dlpack__()
    if not in_place:
        return _imported(capsule)
    managed = _managed(capsule)
    flags = managed.flags if type(managed) is _Versioned else _READ_ONLY
    found = _imported(capsule)
    # The versions of NumPy differ in what they let write.
    memory = _Memory(found, read_only=bool(flags & (_READ_ONLY | _COPIED)))
    return np.asarray(memory).view(found.dtype)


def _imported(capsule):
    """A NumPy array of what is in a capsule."""
    holder = _Holder(capsule)
    try:
        return np.from_dlpack(holder)
    except Exception:
        managed = _managed(capsule)
        if managed is None:
            raise
        tensor = managed.tensor
        if (tensor.code, tensor.bits, tensor.lanes) != (_BFLOAT, 16, 1):
            raise
    dtype = numpy_dtype("bfloat16")
    tensor.code = _UINT
    try:
        return np.from_dlpack(holder).view(dtype)
    finally:
        tensor.code = _BFLOAT


class _Bits:
    """A NumPy array of bfloat16 as a producer."""

    def __init__(self, array):
        self._bits = array.view(np.uint16)

    def __dlpack__(self, **keywords):
        capsule = self._bits.__dlpack__(**keywords)
        _managed(capsule).tensor.code = _BFLOAT
        return capsule

    def __dlpack_device__(self):
        return CPU, 0


def producer(array):
    """What another library's from_dlpack takes for a NumPy array; no copy is made."""
    return _Bits(array) if array.dtype.name == "bfloat16" else array
