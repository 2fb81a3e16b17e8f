"""scan2d for torch: autograd, compile, export, operators, transforms, and what is refused."""

import io

import numpy as np
import pytest
from map_strategies import FORMS, PATHS, make_map_problem
from processes import run_python
from tensors import assert_equal, forward_mode, random_like, torch
from torch.library import opcheck
from torch.utils.flop_counter import FlopCounterMode

import selscan
import selscan.torch  # makes the operators
from selscan.ops.scan2d import ARGUMENTS
from selscan.paths import Path, cross, window

OPERATORS = torch.ops.selscan
JOINED = PATHS["joined with padding"]
two_paths = pytest.mark.parametrize("path", [cross(4, 5), JOINED], ids=["cross", "joined"])


def tensors_of(path=None, grad=True, **options):
    """Tensors by name, and the options of scan2d."""
    problem = make_map_problem(path or cross(4, 5), **options)
    tensors = {x: torch.from_numpy(problem[x]) for x in ARGUMENTS if x in problem}
    tensors = {x: v.requires_grad_(grad) for x, v in tensors.items()}
    return tensors, {x: v for x, v in problem.items() if x not in ARGUMENTS}


def constants_of(options):
    return options["path"].text, options["delta_softplus"], options["merge"], None, None


def results(function, tensors, options):
    """y, and the gradients."""
    y = function(**tensors, **options)
    return [y, *torch.autograd.grad(y, list(tensors.values()), random_like(y))]


@two_paths
@pytest.mark.parametrize("form", FORMS)
def test_gradients_in_float64_pass_gradcheck(path, form):
    tensors, options = tensors_of(path, dtype="float64", d=2, forms=(form,) * 4)
    names = list(tensors)

    def scan(*values):
        return selscan.scan2d(**dict(zip(names, values, strict=True)), **options)

    assert torch.autograd.gradcheck(scan, list(tensors.values()))


def test_complex_gradients_pass_gradcheck():
    tensors, options = tensors_of(window(2, 3, 2), dtype="complex128", d=1)
    names = list(tensors)

    def scan(*values):
        return selscan.scan2d(**dict(zip(names, values, strict=True)), **options)

    assert torch.autograd.gradcheck(scan, list(tensors.values()))


def test_calls_with_and_without_gradients_give_the_same_bits():
    tensors, options = tensors_of()
    with torch.no_grad():
        want = selscan.scan2d(**tensors, **options)
    assert_equal(selscan.scan2d(**tensors, **options).detach(), want)


def test_an_expanded_gradient_is_that_of_its_copy():
    tensors, options = tensors_of()
    y = selscan.scan2d(**tensors, **options)
    one = torch.ones(()).expand_as(y)
    got = torch.autograd.grad(y, list(tensors.values()), one, retain_graph=True)
    assert_equal(got, torch.autograd.grad(y, list(tensors.values()), one.clone()))


@two_paths
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_compiled_scan_gives_the_same_bits(path, backend):
    tensors, options = tensors_of(path)
    compiled = torch.compile(selscan.scan2d, fullgraph=True, backend=backend)
    assert_equal(results(compiled, tensors, options), results(selscan.scan2d, tensors, options))


def test_another_path_of_the_same_size_is_compiled_anew():
    paths = [Path.of(4, 5, *routes) for routes in (("h", "v"), ("v", "h"), ("h", "h_flip"))]

    @torch.compile(fullgraph=True, backend="eager")
    def scan(tensors, path):
        return selscan.scan2d(**tensors, path=path)

    tensors, _ = tensors_of(paths[0], grad=False)
    found = [scan(tensors, path) for path in paths]

    for got, path in zip(found, paths, strict=True):
        assert_equal(got, selscan.scan2d(**tensors, path=path))
    assert not torch.equal(found[0], found[2])


def test_a_batch_that_changes_compiles_once_more_at_most():
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(selscan.scan2d, fullgraph=True, backend=counter)
    for b in (2, 3, 4, 5):
        tensors, options = tensors_of(grad=False, b=b)
        assert_equal(compiled(**tensors, **options), selscan.scan2d(**tensors, **options))
    assert counter.frame_count <= 2


class Mixer(torch.nn.Module):
    """A scan with weights along a path of its own."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.A = torch.nn.Parameter(-torch.rand(path.routes, 3, 2))

    def forward(self, u, delta, B):
        return selscan.scan2d(u, delta, self.A, B, B, path=self.path, delta_softplus=True)


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_scan_is_one_node_that_can_be_saved(strict):
    module = Mixer(cross(4, 5))
    tensors, _ = tensors_of(grad=False, b=2)
    inputs = tensors["u"], tensors["delta"], tensors["B"]
    batch = ({0: torch.export.Dim("batch")},) * 3
    program = torch.export.export(module, inputs, dynamic_shapes=batch, strict=strict)
    nodes = [str(x.target) for x in program.graph.nodes if "selscan" in str(x.target)]
    assert nodes == ["selscan.scan2d.default"]
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    more = [torch.cat([x, x]) for x in inputs]
    assert_equal(loaded(*more), module(*more))


@two_paths
@pytest.mark.parametrize("given", [(), ("D", "delta_bias")], ids=["required", "all"])
def test_the_operators_pass_the_checks_of_torch(path, given):
    tensors, options = tensors_of(path, given=given)
    constants = constants_of(options)
    inputs = [tensors.get(x) for x in ARGUMENTS]
    opcheck(OPERATORS.scan2d, (*inputs, *constants))
    inputs = [x if x is None else x.detach() for x in inputs]
    opcheck(OPERATORS.scan2d_forward, (*inputs, *constants))
    y, states = OPERATORS.scan2d_forward(*inputs, *constants)
    for kept in (states, None):
        opcheck(OPERATORS.scan2d_backward, (random_like(y), kept, *inputs, *constants))


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("per_route", [False, True])
def test_tensors_without_data_have_the_strides_of_those_with(merge, form, per_route):
    tensors, options = tensors_of(
        grad=False, forms=(form,) * 4, merge=merge, per_route=per_route, b=2
    )
    y = selscan.scan2d(**tensors, **options)

    meta = selscan.scan2d(**{x: v.to("meta") for x, v in tensors.items()}, **options)

    assert meta.shape == y.shape
    assert meta.stride() == y.stride()


def test_the_gradient_transform_gives_the_gradients_of_backward():
    tensors, options = tensors_of()
    y, *want = results(selscan.scan2d, tensors, options)

    def total(tensors):
        return (selscan.scan2d(**tensors, **options) * random_like(y)).sum()

    got = torch.func.grad(total)({x: v.detach() for x, v in tensors.items()})
    assert_equal(tuple(got.values()), tuple(want))


def test_autocast_casts_nothing():
    tensors, options = tensors_of(dtype="float64")
    want = results(selscan.scan2d, tensors, options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_equal(results(selscan.scan2d, tensors, options), want)


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_gives_the_same_gradients(reentrant):
    tensors, options = tensors_of()

    def checkpointed(**given):
        names = list(tensors)
        return torch.utils.checkpoint.checkpoint(
            lambda *x: selscan.scan2d(**dict(zip(names, x, strict=True)), **options),
            *(given[x] for x in names),
            use_reentrant=reentrant,
        )

    y = checkpointed(**tensors)
    y.backward(random_like(y))
    got = [x.grad for x in tensors.values()]
    assert_equal(got, results(selscan.scan2d, tensors, options)[1:])


def test_flops_are_nine_for_each_state_of_each_step():
    tensors, options = tensors_of(b=2, d=3, n=2)
    with FlopCounterMode(display=False) as counter:
        y = selscan.scan2d(**tensors, **options)
        forward = counter.get_total_flops()
        y.sum().backward()
    steps = 2 * 4 * 20 * 3
    assert forward == steps * (9 * 2 + 1)
    assert counter.get_total_flops() == 3 * forward


def refused(error, message):
    return pytest.raises(error, match=f"^{message}")


def test_double_backward_raises():
    tensors, options = tensors_of()
    y = selscan.scan2d(**tensors, **options)
    [du] = torch.autograd.grad(y.sum(), tensors["u"], create_graph=True)
    with refused(RuntimeError, "scan2d: double backward is not supported"):
        torch.autograd.grad(du.sum(), tensors["delta"])


@forward_mode
def test_forward_mode_raises():
    tensors, options = tensors_of(grad=False)
    with torch.autograd.forward_ad.dual_level():
        tensors["u"] = torch.autograd.forward_ad.make_dual(tensors["u"], tensors["u"])
        with refused(NotImplementedError, "scan2d: forward-mode automatic differentiation"):
            selscan.scan2d(**tensors, **options)


def test_vmap_raises():
    tensors, options = tensors_of(grad=False)
    u = tensors.pop("u")
    with refused(RuntimeError, "scan2d: vmap is not supported"):
        torch.func.vmap(lambda x: selscan.scan2d(x, **tensors, **options))(torch.stack([u, u]))


def test_several_gradients_at_once_raise():
    tensors, options = tensors_of()
    y = selscan.scan2d(**tensors, **options)
    with refused(RuntimeError, "scan2d: vmap is not supported"):
        torch.autograd.grad(y, tensors["u"], torch.stack([y, y]), is_grads_batched=True)


def test_an_operator_that_records_no_gradients_refuses_to():
    tensors, options = tensors_of()
    inputs = [tensors.get(x) for x in ARGUMENTS]
    with refused(RuntimeError, "selscan: the operator scan2d_forward records no gradients"):
        OPERATORS.scan2d_forward(*inputs, *constants_of(options))


@pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
def test_a_path_is_the_same_after_a_way_as_text(path):
    assert type(path).from_text(path.text) == path


def test_numpy_users_do_not_import_torch():
    code = """
import sys
import numpy as np
one = np.ones((1, 1, 1, 2, 2), np.float32)
path = selscan.paths.unidirectional(2, 2)
selscan.scan2d(one[:, 0], one, -one[0, :, :, 0, :1], one, one, path=path)
print("torch" in sys.modules)
"""
    done = run_python(code)
    assert done.stdout.split() == ["False"], done.stderr


def test_numpy_arrays_and_tensors_give_the_same_bits():
    tensors, options = tensors_of(grad=False)
    arrays = {x: v.numpy() for x, v in tensors.items()}
    got = selscan.scan2d(**tensors, **options).numpy()
    np.testing.assert_array_equal(got, selscan.scan2d(**arrays, **options))
