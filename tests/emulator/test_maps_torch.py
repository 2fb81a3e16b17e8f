"""scan2d, gather and scatter of torch with kernels emulated: autograd, compile, export, autocast.

Tensors on the CPU pass for ones on a GPU.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness import to_tensor  # noqa: E402
from map_strategies import make_map_problem, with_dy  # noqa: E402
from path_strategies import orders  # noqa: E402

import selscan  # noqa: E402
from selscan.ops.scan2d import ARGUMENTS  # noqa: E402
from selscan.paths import Path, cross  # noqa: E402

from . import maps  # noqa: E402
from .test_models import emulated  # noqa: E402, F401 a fixture

PATH = Path.of(5, 7, "w2", "v_flip", "h")
SMALL = cross(7, 7)  # has kernels of its own, whose forward keeps no states
pytestmark = pytest.mark.usefixtures("emulated")


def scanned(u, delta, A, B, C, D, delta_bias, path=PATH):
    options = {"path": path, "delta_softplus": True}
    return selscan.scan2d(u, delta, A, B, C, D, delta_bias=delta_bias, **options)


def small(*inputs):
    return scanned(*inputs, path=SMALL)


def moved(x):
    return selscan.scatter(2 * selscan.gather(x, PATH), PATH)


def leaves(problem):
    return [to_tensor(problem[x]).requires_grad_() for x in ARGUMENTS]


def check(function, problem):
    """y and the gradients of a function that scans."""
    problem, inputs = with_dy(problem), leaves(problem)
    y = function(*inputs)
    gradients = torch.autograd.grad(y, inputs, to_tensor(problem["dy"]))
    forward = {x: v for x, v in problem.items() if x != "dy"}
    maps.assert_right(forward, y.detach().numpy())
    maps.assert_gradients_right(problem, [x.numpy() for x in gradients])


def kernels(devices):
    return {launch.kernel.partition("<")[0] for launch in devices.launches}


def test_autograd_runs_the_kernels(emulated):  # noqa: F811
    check(scanned, make_map_problem(PATH))

    assert kernels(emulated) >= {"scan2d_forward", "scan2d_backward"}


def test_a_compiled_scan_runs_the_kernels(emulated):  # noqa: F811
    torch.compiler.reset()
    function = torch.compile(small, fullgraph=True, backend="aot_eager")
    check(function, make_map_problem(SMALL, n=1))

    assert kernels(emulated) - {"sum_parts"} == {"cross_forward", "cross_backward"}


TURNED = {
    "dense at first": (lambda x: x, {"cross_forward", "scan2d_forward", "scan2d_backward"}),
    "dense in the end": (lambda x: x.mT.contiguous().mT, {"scan2d_forward", "cross_backward"}),
}


@pytest.mark.parametrize("case", TURNED)
def test_tensors_may_come_back_with_other_strides(emulated, case):  # noqa: F811
    """The states that a forward has kept may be none, or of no use."""
    given, wanted = TURNED[case]
    is_dense = case == "dense at first"

    def turn(x):
        return x if x.dim() < 4 else x.mT.contiguous().mT if is_dense else x.contiguous()

    def function(u, *inputs):
        return small(given(u), *inputs)

    with torch.autograd.graph.saved_tensors_hooks(turn, lambda x: x):
        check(function, make_map_problem(SMALL, n=1))

    assert kernels(emulated) - {"sum_parts"} == wanted


def test_a_compiled_move_runs_the_kernels(emulated):  # noqa: F811
    torch.compiler.reset()
    x = torch.arange(70.0).reshape(1, 2, 5, 7).requires_grad_()
    y = torch.compile(moved, fullgraph=True, backend="aot_eager")(x)
    [dx] = torch.autograd.grad(y.sum(), [x])

    visits = (PATH.inverse >= 0).sum(axis=0).reshape(5, 7)
    np.testing.assert_array_equal(y.detach().numpy(), 2 * visits * x.detach().numpy())
    np.testing.assert_array_equal(dx.numpy(), np.broadcast_to(2 * visits, x.shape))
    assert kernels(emulated) == {"move"}


def test_orders_per_sample_are_operands_of_a_compiled_scan(emulated):  # noqa: F811
    torch.compiler.reset()
    table = torch.from_numpy(orders((5, 7), b=1, k=3, l=30))
    same = Path(table[0].numpy(), 5, 7)
    problem = make_map_problem(same)
    options = {"fullgraph": True, "backend": "aot_eager"}
    check(torch.compile(lambda *inputs: scanned(*inputs, path=table), **options), problem)

    moved = selscan.scatter(selscan.gather(to_tensor(problem["u"]), table), table, size=(5, 7))
    visits = (same.inverse >= 0).sum(axis=0).reshape(5, 7).astype(np.float32)
    np.testing.assert_allclose(moved.numpy(), visits * problem["u"], rtol=1e-6)
    assert kernels(emulated) - {"sum_parts"} == {
        *("check_orders", "move_by_order", "scan2d_forward", "scan2d_backward"),
    }


def test_an_exported_scan_runs_the_kernel(emulated):  # noqa: F811
    class Scan(torch.nn.Module):
        def forward(self, *inputs):
            return scanned(*inputs)

    problem = make_map_problem(PATH)
    inputs = tuple(to_tensor(problem[x]) for x in ARGUMENTS)

    y = torch.export.export(Scan(), inputs).module()(*inputs)

    maps.assert_right(problem, y.numpy())
    assert kernels(emulated) == {"scan2d_forward"}


def test_autocast_changes_nothing(emulated):  # noqa: F811
    problem = make_map_problem(PATH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = scanned(*(to_tensor(problem[x]) for x in ARGUMENTS))

    assert y.dtype == torch.float32
    maps.assert_right(problem, y.numpy())
    assert kernels(emulated) == {"scan2d_forward"}


def test_a_gradient_that_is_asked_for_twice_is_the_same():
    problem = with_dy(make_map_problem(PATH))
    inputs, dy = leaves(problem), to_tensor(problem["dy"])
    y = scanned(*inputs)
    first = torch.autograd.grad(y, inputs, dy, retain_graph=True)
    second = torch.autograd.grad(y, inputs, dy)

    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
