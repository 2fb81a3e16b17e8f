"""What torch may do to tensors and to calls besides computing."""

import pytest
from calls import call
from processes import run_python

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("start", [1, 2])
def test_a_part_of_a_tensor_whose_storage_was_freed_is_refused(start):
    part = torch.ones(4, 4, 5)[start : start + 2]
    part.untyped_storage().resize_(0)  # as sharded training does between steps

    with pytest.raises(ValueError, match=r"^selscan: every tensor must have memory; got one"):
        call("scan", "torch", delta=part)


# In a process of its own: the memory that these tests give to results is not torch's.
ON_ANOTHER_DEVICE = """
import torch

arguments = [torch.from_numpy(x) for x in (dy, u, delta, A, B, C)]
torch.set_default_device("meta")
grads = selscan.scan_backward(*arguments)[:5]
print(same([selscan.scan(*arguments[1:]), *grads], compute()))
"""


def test_results_are_where_the_arrays_are_whatever_the_default_device():
    done = run_python(ON_ANOTHER_DEVICE)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"]
