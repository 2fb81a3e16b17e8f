"""gather and scatter in torch: derivatives of any order, compilers, modes, the operators."""

import io
import re

import numpy as np
import pytest
from moving import maps, sequences
from processes import run_python
from tensors import assert_equal, forward_mode, torch
from test_torch_modes import Dispatched, Image, _to_meta, metadata
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.library import opcheck
from torch.utils.flop_counter import FlopCounterMode

import selscan
import selscan.torch
from selscan import paths
from selscan.paths import Path

OPERATORS = torch.ops.selscan
PATH = paths.atrous(5, 6, step=2)  # padding, and routes over a part of the map
CROSS = paths.cross(5, 6)
# What is done to a tensor, and one that it is done to.
CALLS = {
    "gather": (lambda x: selscan.gather(x, PATH), torch.from_numpy(maps(PATH, "float64"))),
    "gather, per route": (
        lambda x: selscan.gather(x, PATH),
        torch.from_numpy(maps(PATH, "float64", per_route=True)),
    ),
    "scatter": (lambda y: selscan.scatter(y, PATH), torch.from_numpy(sequences(PATH, "float64"))),
    "scatter, apart": (
        lambda y: selscan.scatter(y, PATH, merge=False),
        torch.from_numpy(sequences(PATH, "float64")),
    ),
}
every_call = pytest.mark.parametrize(("function", "x"), CALLS.values(), ids=CALLS)


@pytest.fixture(autouse=True)
def nothing_compiled():
    """No graph of one test serves another."""
    torch.compiler.reset()


def leaf(x):
    return x.clone().requires_grad_()


@every_call
@forward_mode
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_gradients_are_right_of_any_order_and_in_forward_mode(function, x):
    batched = {"check_batched_grad": True, "check_batched_forward_grad": True}
    assert torch.autograd.gradcheck(function, leaf(x), check_forward_ad=True, **batched)
    assert torch.autograd.gradgradcheck(lambda x: function(x).pow(3), leaf(x))


@every_call
def test_a_gradient_of_any_strides_is_taken(function, x):
    x = leaf(x)
    function(x).sum().backward()  # broadcast from one number
    want, ones = x.grad, torch.ones_like(function(x))
    [got] = torch.autograd.grad(function(x), x, ones.mT.contiguous().mT)
    assert_equal(got, want)


def test_complex_tensors_have_the_conjugate_of_the_adjoint():
    x = torch.from_numpy(maps(CROSS, "complex128"))
    assert torch.autograd.gradcheck(lambda x: selscan.gather(x, CROSS).conj(), leaf(x))


@every_call
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_compiled_function_is_one_graph_with_the_same_bits(backend, function, x):
    compiled = torch.compile(function, fullgraph=True, backend=backend)
    got, want = leaf(x), leaf(x)
    y = compiled(got)
    dy = torch.rand_like(y)
    assert_equal(y, function(want))
    y.backward(dy)
    function(want).backward(dy)
    assert_equal(got.grad, want.grad)


class Model(torch.nn.Module):
    """A path kept by a module, and one made as it goes."""

    def __init__(self):
        super().__init__()
        self.path = CROSS

    def forward(self, x):
        y = selscan.gather(x, self.path).cumsum(-1)
        x = selscan.scatter(y, self.path)
        window = paths.window(x.shape[2], x.shape[3], size=2)
        return selscan.scatter(selscan.gather(x, window).sin(), window)


def test_paths_may_be_made_inside_of_a_compiled_function():
    compiled, x = (
        torch.compile(Model(), fullgraph=True, backend="aot_eager"),
        torch.rand(2, 3, 5, 6),
    )
    assert_equal(compiled(x), Model()(x))


@pytest.mark.filterwarnings("ignore:.*not writable")
def test_the_table_of_a_path_may_be_read_inside_of_a_compiled_function():
    def function(x):
        order = torch.as_tensor(CROSS.table[1]).long()
        return x.flatten(2)[..., order] * CROSS.length

    x = CALLS["gather"][1]
    assert_equal(torch.compile(function, fullgraph=True, backend="eager")(x), function(x))


def test_a_function_compiled_for_one_path_is_not_used_for_another():
    compiled = torch.compile(selscan.gather, fullgraph=True, backend="aot_eager")
    x = torch.rand(2, 3, 5, 6)
    for path in (CROSS, Path.of(5, 6, "v", "h", "v_flip", "h_flip"), CROSS):
        assert_equal(compiled(x, path), selscan.gather(x, path))


MADE = {
    "cross": paths.cross,
    "hilbert": paths.hilbert,
    "atrous": lambda h, w: paths.atrous(h, w, step=3),
    "window": lambda h, w: paths.window(h, w, 3),
    "of": lambda h, w: Path.of(h, w, "w2_flip", "v", joined=True),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_maps_of_other_sizes_compile_once_more(make):
    def function(x):
        return selscan.gather(x, make(*x.shape[2:]))

    compiled = torch.compile(function, fullgraph=True, backend="eager")
    for height in (5, 6, 9):  # torch takes a size for a variable from the second on
        x = torch.rand(2, 3, height, 7)
        assert_equal(compiled(x), function(x))


@pytest.mark.parametrize("strict", [False, True], ids=["non-strict", "strict"])
def test_an_exported_module_takes_any_batch_and_can_be_saved(strict):
    sizes, file = {0: torch.export.Dim("batch")}, io.BytesIO()
    given = (torch.rand(2, 3, 5, 6),)
    program = torch.export.export(Model(), given, dynamic_shapes=(sizes,), strict=strict)
    names = [str(x.target) for x in program.graph.nodes if "selscan" in str(x.target)]
    assert names == ["selscan.gather.default", "selscan.scatter.default"] * 2
    torch.export.save(program, file)
    file.seek(0)
    x = torch.rand(7, 3, 5, 6)
    assert_equal(torch.export.load(file).module()(x), Model()(x))


@every_call
@forward_mode
def test_transforms_of_torch_func_agree_with_autograd(function, x):
    want = torch.autograd.functional.jacobian(function, x)
    assert_equal(torch.func.jacrev(function)(x), want)
    assert_equal(torch.func.jacfwd(function)(x), want)
    hessian = torch.func.hessian(lambda x: function(x).pow(3).sum())(x)
    assert_equal(hessian, torch.autograd.functional.hessian(lambda x: function(x).pow(3).sum(), x))


@every_call
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_vmap_is_a_loop(axis, function, x):
    many = torch.stack([x, 2 * x, 3 * x], axis)
    want = torch.stack([function(x), function(2 * x), function(3 * x)])
    assert_equal(torch.func.vmap(function, in_dims=axis)(many), want)
    assert torch.func.vmap(function)(many.new_empty(1, *x.shape)).shape == (1, *want.shape[1:])


@pytest.mark.parametrize("shape", [(), (3, 5, 6)])
@pytest.mark.parametrize(("function", "name"), [("gather", "x"), ("scatter", "y")])
def test_vmap_refuses_the_shape_of_one(function, name, shape):
    with pytest.raises(
        ValueError, match=rf"^{function}: {name} must be .*got {re.escape(str(shape))}"
    ):
        torch.func.vmap(lambda x: getattr(selscan, function)(x, PATH))(torch.rand(2, *shape))


def test_the_operators_pass_the_checks_of_torch():
    x, y = leaf(CALLS["gather"][1]), leaf(CALLS["scatter"][1])
    opcheck(OPERATORS.gather, (x, PATH.text, None))
    for merge in (True, False):
        opcheck(OPERATORS.scatter, (y, PATH.text, merge, None))


def test_a_gradient_through_the_operators_is_that_of_the_functions():
    x = leaf(CALLS["gather"][1])
    y = OPERATORS.gather(x, PATH.text, None)
    z = OPERATORS.scatter(y.square(), PATH.text, True, None)
    want = selscan.scatter(selscan.gather(x, PATH).square(), PATH)
    assert_equal(*(torch.autograd.grad(x.sum(), v)[0] for x, v in ((z, x), (want, x))))
    [mapped] = torch.func.vmap(OPERATORS.gather, (0, None, None))(x[None], PATH.text, None)
    assert_equal(mapped, y)


def test_an_operator_refuses_a_text_that_is_no_path():
    with pytest.raises(ValueError, match=r"^Path.from_text: text must be the text of a path"):
        OPERATORS.gather(torch.rand(2, 3, 5, 6), "5 6 0 4 30 eJxj", None)


@every_call
def test_modes_see_the_operators_and_count_no_operations(function, x):
    x = leaf(x)
    with Dispatched() as mode, FlopCounterMode(display=False) as counter:
        function(x).sum().backward()
    names = ["selscan.gather.default", "selscan.scatter.default"]
    assert sorted(mode.seen) == names
    assert counter.get_total_flops() == 0


@every_call
def test_tensors_without_data_and_subclasses_are_moved(function, x):
    want = function(x)
    assert metadata([function(_to_meta(x))]) == metadata([want])
    assert metadata([function(FakeTensorMode().from_tensor(x))]) == metadata([want])
    assert type(function(x.as_subclass(Image))) is Image


@pytest.mark.filterwarnings("ignore:.*graph break")
def test_a_wrong_call_is_named_by_the_compiler():
    compiled = torch.compile(lambda x: selscan.gather(x, CROSS), backend="eager")
    with pytest.raises(Exception, match="gather: x must be") as caught:
        compiled(torch.rand(2, 3, 6, 5))
    assert "Are height and width of path swapped?" in str(caught.value)


def test_inference_mode_and_integers_have_no_graph():
    x = torch.from_numpy(maps(CROSS, "int64"))
    with torch.inference_mode():
        y = selscan.gather(x, CROSS)
    assert not y.requires_grad
    assert_equal(selscan.scatter(y.clone(), CROSS), 4 * x)


def test_autocast_casts_nothing():
    x = torch.rand(1, 2, 5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_equal(selscan.gather(x, CROSS), selscan.gather(x, CROSS).float())


def test_the_first_call_of_a_process_may_be_compiled():
    code = """
import torch
x, path = torch.ones(1, 2, 3, 4), selscan.paths.cross(3, 4)
function = torch.compile(selscan.gather, fullgraph=True, backend="eager")
print(np.array_equal(function(x, path), selscan.gather(x.numpy(), path)))
"""
    done = run_python(code)
    assert done.stdout.split() == ["True"], done.stderr


def test_bits_do_not_depend_on_the_way_of_a_call():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 4, 3, 30), np.float32))
    want = selscan.scatter(x, CROSS)
    assert_equal(OPERATORS.scatter(x, CROSS.text, True, None), want)
    assert_equal(torch.from_numpy(selscan.scatter(x.numpy(), CROSS)), want)
