"""Objects that speak DLPack: around arrays of NumPy and torch, and capsules made by hand."""

import ctypes
import sys
import types
from ctypes import c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

import numpy as np


class Shared:
    """An array of a library that has DLPack and nothing else, around one of NumPy or torch."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __array_namespace__(self):
        return types.SimpleNamespace(from_dlpack=self._from_dlpack)

    @staticmethod
    def _from_dlpack(x):
        # torch for bfloat16, which np.from_dlpack refuses.
        if isinstance(x, np.ndarray):
            return Shared(np.from_dlpack(x))
        return Shared(sys.modules["torch"].from_dlpack(x))


class Tensor(ctypes.Structure):
    """DLTensor of dlpack.h."""

    _fields_ = (
        ("data", c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", ctypes.POINTER(c_int64)),
        ("strides", ctypes.POINTER(c_int64)),
        ("byte_offset", c_uint64),
    )


class Legacy(ctypes.Structure):
    """DLManagedTensor of dlpack.h."""

    _fields_ = (("tensor", Tensor), ("manager", c_void_p), ("deleter", c_void_p))


class Versioned(ctypes.Structure):
    """DLManagedTensorVersioned of dlpack.h."""

    _fields_ = (
        ("major", c_uint32),
        ("minor", c_uint32),
        ("manager", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("tensor", Tensor),
    )


READ_ONLY, COPIED = 1, 2  # DLPACK_FLAG_BITMASK_*
CODES = {"i": 0, "u": 1, "f": 2, "V": 4, "c": 5, "b": 6}  # of NumPy's kinds; V is ml_dtypes'
_api = ctypes.pythonapi
# Prototypes of our own: what is set on the functions of ctypes.pythonapi is set for all libraries.
_new_type = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, ctypes.c_char_p, c_void_p)
_new = _new_type(("PyCapsule_New", _api))
# The destructor's argument must not be counted as a reference: the capsule is on its way out.
_valid = ctypes.PYFUNCTYPE(ctypes.c_int, c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", _api))
_pointer = ctypes.PYFUNCTYPE(c_void_p, c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", _api))


_EVER = []  # capsules may outlive their producer, and need its functions


class Counted(Shared):
    """A NumPy array in capsules made by hand, which counts them and the calls of their deleter."""

    made = deleted = 0

    def __init__(
        self, array, *, legacy=False, flags=0, major=1, offset=0, strides=True, type_=None
    ):
        super().__init__(array)
        self._struct = Legacy if legacy else Versioned
        self._name = b"dltensor" if legacy else b"dltensor_versioned"
        self._flags, self._major = flags, major
        self._offset, self._strides = offset, strides
        self._type = type_ or (CODES[array.dtype.kind], 8 * array.itemsize, 1)
        self._alive = {}
        self._deleter = ctypes.CFUNCTYPE(None, c_void_p)(self._delete)
        self._destructor = ctypes.PYFUNCTYPE(None, c_void_p)(self._destruct)
        _EVER.append(self)

    def __dlpack__(self, **keywords):
        if self._struct is Legacy and keywords:
            raise TypeError(f"unexpected keywords {keywords}")
        assert self._struct is Legacy or "max_version" in keywords
        managed = self._struct()
        tensor, array = managed.tensor, self.array
        tensor.data = array.ctypes.data - self._offset
        tensor.device_type, tensor.ndim = 1, array.ndim
        tensor.code, tensor.bits, tensor.lanes = self._type
        tensor.shape = (c_int64 * array.ndim)(*array.shape)
        if self._strides:
            steps = (step // array.itemsize for step in array.strides)
            tensor.strides = (c_int64 * array.ndim)(*steps)
        tensor.byte_offset = self._offset
        managed.deleter = ctypes.cast(self._deleter, c_void_p).value
        if self._struct is Versioned:
            managed.major, managed.flags = self._major, self._flags
        address = ctypes.addressof(managed)
        self._alive[address] = managed
        self.made += 1
        return _new(address, self._name, ctypes.cast(self._destructor, c_void_p))

    def _delete(self, address):
        del self._alive[address]  # KeyError, and a failing test, if it comes twice
        self.deleted += 1

    def _destruct(self, capsule):
        if _valid(capsule, self._name):  # nobody took it
            self._delete(_pointer(capsule, self._name))
