"""DLPack and torch: what it reads of ours, and the traps in what it makes of NumPy arrays."""

import ml_dtypes
import numpy as np
import pytest
from calls import argument, call, refused
from numpy.testing import assert_array_equal
from processes import ROOT, run_python
from producers import Shared

from selscan.arrays import dlpack

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
@pytest.mark.parametrize("keywords", [{}, {"max_version": (1, 0)}, {"copy": True}])
def test_another_library_reads_what_is_handed_out(dtype, keywords):
    array = np.arange(40).reshape(2, 4, 5).astype(dtype)

    tensor = torch.from_dlpack(dlpack.producer(array).__dlpack__(**keywords))

    assert tensor.dtype == getattr(torch, array.dtype.name)
    assert (tensor.data_ptr() == array.ctypes.data) == ("copy" not in keywords)
    assert_array_equal(tensor.float().numpy(), array.astype(np.float32))


BACKWARDS = """
import torch
from producers import Shared

class Tensors(Shared):
    def __array_namespace__(self):
        return torch

u, delta, dy, B, C = (x[..., ::-1] for x in (u, delta, dy, B, C))
y = selscan.scan(u, delta, A, B, C)
assert np.array_equal(selscan.scan(*map(Tensors, (u, delta, A, B, C))), y)
assert selscan.scan_backward(*map(Tensors, (dy, u, delta, A, B, C))).u.shape == u.shape
try:
    selscan.scan(torch.ones(2, 64, 65), delta, A, B, C)
except TypeError as error:
    print(error)
"""


def test_negative_strides_do_not_reach_torch():
    # torch.from_dlpack of such an array ends the process (torch 2.13).
    done = run_python(BACKWARDS, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")

    assert done.stdout == ("scan: delta must be a torch tensor like u; got a numpy.ndarray.\n"), (
        done.stderr
    )


def test_read_only_memory_is_not_written_though_torch_would():
    array = argument("scan_step", "state")
    array.flags.writeable = False
    alias = torch.from_dlpack(array)  # a tensor has no such flag

    call("scan", "dlpack", initial_state=Shared(array))
    refused(ValueError, "scan_step", "dlpack", state=Shared(array))

    assert_array_equal(alias.numpy(), 1)
