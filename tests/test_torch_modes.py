"""Modes, tensor subclasses and tensors without data see the operator, and get the right tensors."""

import functools

import forms
import numpy as np
import pytest
from harness import to_tensor
from strategies import OPTIONAL, make_problem
from tensors import (
    INPUTS,
    assert_equal,
    detached,
    grads_of,
    random_like,
    scan,
    scan_backward,
    step_of,
    tensors_of,
    torch,
    total,
)
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

import selscan


def name_of(function):
    """An operator of selscan by its name; None for other functions."""
    text = str(function)
    return text if text.startswith("selscan.") else None


class Dispatched(TorchDispatchMode):
    """Keeps the names of our operators that torch dispatches."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen += filter(None, [name_of(function)])
        return function(*args, **(kwargs or {}))


class Called(TorchFunctionMode):
    """The same of those that are called."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.seen += filter(None, [name_of(function)])
        return function(*args, **(kwargs or {}))


class Image(torch.Tensor):
    """A subclass that only has another name."""


class Traced(torch.Tensor):
    """A tensor around another one, which says what is done to it."""

    seen = []  # noqa: RUF012 of all of them

    @staticmethod
    def __new__(cls, inner):
        like = {"dtype": inner.dtype, "strides": inner.stride(), "device": inner.device}
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, **like, requires_grad=inner.requires_grad
        )

    def __init__(self, inner):
        self.inner = inner.detach()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        cls.seen += filter(None, [name_of(function)])
        strip = functools.partial(torch.utils._pytree.tree_map_only, cls, lambda x: x.inner)
        results = function(*strip(args), **strip(kwargs or {}))
        return torch.utils._pytree.tree_map_only(torch.Tensor, cls, results)


def test_a_dispatch_mode_sees_forward_and_backward():
    tensors, options = tensors_of()
    with Dispatched() as mode:
        total(tensors, options).backward()
    plain, _ = tensors_of()
    total(plain, options).backward()
    assert mode.seen == ["selscan.scan_forward.default", "selscan.scan_backward.default"]
    assert_equal(grads_of(tensors), grads_of(plain))


def test_a_dispatch_mode_around_the_backward_alone_sees_it():
    tensors, options = tensors_of()
    loss = total(tensors, options)
    with Dispatched() as mode:
        loss.backward()
    assert mode.seen == ["selscan.scan_backward.default"]


@pytest.mark.parametrize("mode", [Dispatched, Called])
def test_a_mode_sees_each_function_once(mode):
    tensors, options = tensors_of((), l=1)
    with mode() as seen:
        scan(tensors, options)
        selscan.scan_backward(tensors["u"], **tensors, **options)
        selscan.scan_step(**step_of(tensors, options))
    names = ("scan", "scan_backward", "scan_step")
    assert seen.seen == [f"selscan.{name}.default" for name in names]


def test_a_step_in_a_mode_updates_the_state_in_place():
    tensors, options = tensors_of((), l=1)
    step, want = step_of(tensors, options), step_of(tensors, options)
    want["state"] = want["state"].clone()
    step["state"] = step["state"].clone()
    version = step["state"]._version
    with Dispatched():
        y, state = selscan.scan_step(**step)
    assert state is step["state"]
    assert state._version > version
    assert_equal((y, state), selscan.scan_step(**want))


def test_a_subclass_of_tensor_stays_one():
    tensors, options = tensors_of()
    images = {x: v.detach().as_subclass(Image).requires_grad_() for x, v in tensors.items()}
    y, last = scan(images, options)
    assert type(y) is type(last) is Image
    total(images, options).backward()
    total(tensors, options).backward()
    got = {x: v.grad.as_subclass(torch.Tensor) for x, v in images.items()}
    assert_equal(got, grads_of(tensors))


def test_a_tensor_around_another_sees_forward_and_backward():
    tensors, options = tensors_of()
    y, last = scan(tensors, options)
    dy, dlast = random_like(y), random_like(last)
    Traced.seen.clear()
    wrapped = {x: Traced(v).requires_grad_() for x, v in detached(tensors).items()}
    results = scan(wrapped, options)
    grads = torch.autograd.grad(results, list(wrapped.values()), (Traced(dy), Traced(dlast)))
    assert Traced.seen == ["selscan.scan_forward.default", "selscan.scan_backward.default"]
    assert_equal([x.inner for x in results], [y.detach(), last.detach()])
    want = scan_backward(tensors, options, dy, dlast)
    assert_equal({x: v.inner for x, v in zip(wrapped, grads, strict=True)}, want)


def metadata(tensors):
    """All but the data, strides of axes of one element aside."""
    sizes = [[x for x in zip(v.shape, v.stride(), strict=True) if x[0] != 1] for v in tensors]
    return [(v.shape, s, v.dtype) for v, s in zip(tensors, sizes, strict=True)]


def results_of(tensors, options):
    """y, the last state and the gradients of those that want one."""
    results = scan(tensors, options)
    wanted = [x for x in tensors.values() if x.requires_grad]
    ones = [torch.ones_like(x) for x in results]
    return [*results, *(torch.autograd.grad(results, wanted, ones) if wanted else ())]


@pytest.mark.parametrize("kind", ["fake", "meta"])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("form", forms.ANY_FRAMEWORK)
def test_tensors_without_data_have_the_strides_of_those_with(form, layout, kind):
    problem = make_problem(dtype="mixed", layout=layout, l=6)
    arrays = {x: form(problem[x]) for x in INPUTS}
    tensors = {x: to_tensor(v).requires_grad_() for x, v in arrays.items()}
    options = {x: v for x, v in problem.items() if x not in INPUTS}
    to = FakeTensorMode().from_tensor if kind == "fake" else _to_meta
    empty = {x: to(v) for x, v in tensors.items()}
    got = results_of(empty, options)
    assert metadata(got) == metadata(results_of(tensors, options))
    assert {x.device.type for x in got} == {"cpu" if kind == "fake" else "meta"}


def _to_meta(tensor):
    strides = {"size": tensor.shape, "stride": tensor.stride(), "dtype": tensor.dtype}
    return torch.empty_strided(**strides, device="meta").requires_grad_(tensor.requires_grad)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)], ids=str)
@pytest.mark.parametrize("given", [(), OPTIONAL], ids=["required", "all"])
def test_empty_tensors_without_data_give_empty_ones(given, shape):
    b, d, l = shape
    tensors, options = tensors_of(b=b, d=d, l=l, given=given)
    empty = {x: _to_meta(v) for x, v in tensors.items()}
    assert metadata(results_of(empty, options)) == metadata(results_of(tensors, options))


def test_a_step_of_tensors_without_data_gives_the_right_shapes():
    tensors, options = tensors_of((), l=1)
    step = {
        x: _to_meta(v) if torch.is_tensor(v) else v for x, v in step_of(tensors, options).items()
    }
    y, state = selscan.scan_step(**step)
    assert y.shape == step["u"].shape
    assert state is step["state"]


def test_tensors_without_data_are_checked():
    tensors, options = tensors_of(())
    empty = {x: _to_meta(v) for x, v in tensors.items()}
    empty["A"] = empty["A"].mT
    with pytest.raises(ValueError, match=r"scan: A must be \(d, n\) with d = 5; .* transposed\?"):
        scan(empty, options)


def test_a_default_device_for_new_tensors_changes_nothing():
    tensors, options = tensors_of()
    want = results_of(tensors, options)
    with torch.device("meta"):
        y, last = scan(tensors, options)
        assert y.device.type == "cpu"
        grads = torch.autograd.grad((y, last), list(tensors.values()), (y * 0 + 1, last * 0 + 1))
    assert_equal([y, last, *grads], want)


def test_what_a_function_under_a_default_device_makes_can_be_scanned():
    with torch.device("meta"):
        u = torch.ones(2, 4, 5, requires_grad=True)
        y = selscan.scan(u, u, torch.ones(4, 3), torch.ones(2, 3, 5), torch.ones(2, 3, 5))
        y.sum().backward()
    assert (y.device.type, u.grad.device.type) == ("meta", "meta")
    assert u.grad.shape == u.shape


def test_selective_checkpointing_can_keep_the_scan():
    tensors, options = tensors_of()
    seen = []

    def policy(context, operator, *args, **kwargs):
        seen.extend(filter(None, [name_of(operator)]))
        return operator is torch.ops.selscan.scan_forward.default

    contexts = functools.partial(create_selective_checkpoint_contexts, policy)
    with Dispatched() as mode:
        loss = checkpoint(total, tensors, options, use_reentrant=False, context_fn=contexts)
        loss.backward()
    plain, _ = tensors_of()
    total(plain, options).backward()
    assert "selscan.scan_forward.default" in seen
    assert mode.seen.count("selscan.scan_forward.default") == 1
    assert_equal(grads_of(tensors), grads_of(plain))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_a_trace_has_the_scan_in_it():
    tensors, options = tensors_of((), given=())

    def function(u):
        return selscan.scan(**tensors | {"u": u}, **options)

    traced = torch.jit.trace(function, tensors["u"])
    other = tensors["u"] + 1
    assert "selscan::scan" in str(traced.graph)
    assert_equal(traced(other), function(other))


def test_symbolic_tracing_has_the_operators_in_its_graph():
    from torch.fx.experimental.proxy_tensor import make_fx

    tensors, options = tensors_of()

    def function(*values):
        y = selscan.scan(**dict(zip(tensors, values, strict=True)), **options)
        return torch.autograd.grad(y.sum(), values)

    graph = make_fx(function, tracing_mode="symbolic")(*tensors.values())
    names = [name_of(node.target) for node in graph.graph.nodes]
    expected = ["selscan.scan_forward.default", "selscan.scan_backward.default"]
    assert list(filter(None, names)) == expected
    larger, _ = tensors_of(l=30)
    got = graph(*detached(larger).values())
    assert_equal(got, function(*larger.values()))


def test_numpy_arrays_go_past_the_modes():
    problem = make_problem()
    with Dispatched() as mode, torch.device("meta"):
        y = selscan.scan(**problem)
    assert mode.seen == []
    assert np.isfinite(y).all()
