"""Problems as torch tensors that want gradients."""

import pytest
from harness import to_tensor
from strategies import make_problem

import selscan

torch = pytest.importorskip("torch")

INPUTS = selscan.ScanGrads._fields
# make_dual makes torch 2.13 warn of its own torch.jit.
forward_mode = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


def tensors_of(wanted=INPUTS, **options):
    """Tensors by name, which want a gradient or not, and the options of a scan."""
    problem = make_problem(**options)
    tensors = {x: to_tensor(problem[x]) for x in INPUTS if x in problem}
    tensors = {x: v.requires_grad_(x in wanted) for x, v in tensors.items()}
    return tensors, {x: v for x, v in problem.items() if x not in INPUTS}


def step_of(tensors, options, t=0):
    """One time step of a scan as the arguments of scan_step."""
    timed = {"u", "delta", "z"} | {x for x in "BC" if tensors[x].dim() > 2}
    step = {x: v[..., t] if x in timed else v for x, v in tensors.items()}
    step["state"] = step.pop("initial_state")
    return step | {"delta_softplus": options["delta_softplus"]}


def random_like(tensor, seed=0):
    """Numbers in the shape and dtype of a tensor."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)


def scan(tensors, options):
    """y and the last state."""
    return selscan.scan(**tensors, **options, return_last_state=True)


def total(tensors, options):
    """A scalar that depends on y and on the last state."""
    y, last = scan(tensors, options)
    return (y * random_like(y, 1)).sum() + (last * random_like(last, 2)).sum()


def detached(tensors):
    """The tensors as constants."""
    return {x: v.detach() for x, v in tensors.items()}


def grads_of(tensors):
    """What backward() left, by name."""
    return {x: v.grad for x, v in tensors.items()}


def scan_backward(tensors, options, dy, dlast=None):
    """The gradients by `selscan.scan_backward`, by name, of those that were given."""
    grads = selscan.scan_backward(dy, **detached(tensors), **options, dlast_state=dlast)
    return {x: v for x, v in grads._asdict().items() if v is not None}


def assert_equal(got, want):
    """The same bits, dtypes and shapes."""
    torch.testing.assert_close(got, want, rtol=0, atol=0)
