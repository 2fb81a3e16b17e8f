"""torch.compile: one graph with the operator in it, the same bits, and few compilations."""

import pytest
from processes import run_python
from strategies import OPTIONAL
from tensors import (
    assert_equal,
    detached,
    forward_mode,
    grads_of,
    random_like,
    scan,
    scan_backward,
    step_of,
    tensors_of,
    torch,
)
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

import selscan


@pytest.fixture(autouse=True)
def nothing_compiled():
    """No graph of one test serves another."""
    torch.compiler.reset()


def compiled(function, backend="aot_eager", **options):
    """The function as a single graph."""
    return torch.compile(function, fullgraph=True, backend=backend, **options)


def squares(tensors, options):
    """A scalar that depends on y and on the last state."""
    y, last = scan(tensors, options)
    return y.square().sum() + last.square().sum()


def assert_same(tensors, options, backend="aot_eager"):
    """Compiled, y, the last state and all gradients have the same bits."""
    results = compiled(scan, backend)(tensors, options)
    assert_equal([x.detach() for x in results], [x.detach() for x in scan(tensors, options)])
    incoming = [random_like(x) for x in results]
    torch.autograd.backward(results, incoming)
    want = scan_backward(tensors, options, *incoming)
    wanted = {x: v.requires_grad for x, v in tensors.items()}
    assert_equal(grads_of(tensors), {x: v if wanted[x] else None for x, v in want.items()})


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("given", [(), OPTIONAL], ids=["required", "all"])
def test_forward_and_backward_give_the_same_bits(given, layout):
    assert_same(*tensors_of(d=18, l=21, given=given, layout=layout, dtype="mixed"))


@pytest.mark.parametrize("form", ["shared", "grouped", "constant"])
@pytest.mark.parametrize("reverse", [False, True])
def test_options_and_forms_give_the_same_bits(reverse, form):
    problem = {"d": 6, "g": 2, "form_b": form, "form_c": form, "reverse": reverse}
    assert_same(*tensors_of(**problem, delta_softplus=False))


def test_inductor_gives_the_same_bits():
    assert_same(*tensors_of(), backend="inductor")


def test_gradients_of_some_inputs_only_are_those_of_backward():
    assert_same(*tensors_of(("A", "D", "delta_bias")))


def test_strides_that_are_not_contiguous_give_the_same_bits():
    tensors, options = tensors_of()
    moved = {x: v.detach().mT.contiguous().mT for x, v in tensors.items() if v.dim() > 1}
    tensors |= {x: v.requires_grad_() for x, v in moved.items()}
    assert_same(tensors, options)


def layer(x, weight, A):
    """Other operations before and behind a scan."""
    u = torch.nn.functional.silu(x @ weight)
    y = selscan.scan(u, u + 1, A, u[..., :4], u[..., 1:5], delta_softplus=True, layout="bld")
    return torch.tanh(y * u).sum()


def test_a_layer_around_a_scan_is_one_graph_with_inductor():
    torch.manual_seed(0)
    x, weight, A = torch.randn(2, 9, 5), torch.randn(5, 5), -torch.rand(5, 4)
    leaves = [v.requires_grad_() for v in (x, weight, A)]
    want = layer(*leaves)
    got = compiled(layer, "inductor")(*leaves)
    torch.testing.assert_close(got, want)
    grads = torch.autograd.grad(got, leaves)
    torch.testing.assert_close(grads, torch.autograd.grad(want, leaves))


def test_inference_has_no_states_in_the_graph():
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    tensors, options = tensors_of()
    with torch.no_grad():
        y = compiled(lambda x: selscan.scan(**x, **options), backend)(tensors)
    assert_equal(y, scan(tensors, options)[0].detach())
    calls = [str(x.target) for x in graphs[0].graph.nodes if x.op == "call_function"]
    assert "selscan.scan.default" in calls


def test_a_dynamic_length_and_batch_compile_once():
    counter = CompileCounterWithBackend("aot_eager")
    function = compiled(scan, counter)
    for b, l in ((2, 9), (3, 300), (4, 20), (2, 700)):
        tensors, options = tensors_of(b=b, l=l, form_b="shared", form_c="shared")
        for name in ("u", "delta", "B", "C", "z"):
            torch._dynamo.mark_dynamic(tensors[name], 0)
            torch._dynamo.mark_dynamic(tensors[name], 2)
        torch._dynamo.mark_dynamic(tensors["initial_state"], 0)
        results = function(tensors, options)
        incoming = [random_like(x) for x in results]
        torch.autograd.backward(results, incoming)
        assert_equal(grads_of(tensors), scan_backward(tensors, options, *incoming))
    assert counter.frame_count == 1


def test_lengths_that_change_compile_twice():
    counter = CompileCounterWithBackend("aot_eager")
    function = compiled(squares, counter)
    for l in (9, 20, 300, 1, 700, 31):
        if l > 1:  # torch compiles sizes of 1 apart
            function(*tensors_of(l=l, given=())).backward()
    assert counter.frame_count == 2


@pytest.mark.parametrize("n", [4, 16])
def test_a_step_updates_the_state_in_place(n):
    tensors, options = tensors_of((), n=n, l=1)
    step, want = step_of(tensors, options), step_of(tensors, options)
    step["state"] = step["state"].clone()
    y, state = compiled(selscan.scan_step)(**step)
    assert state is step["state"]
    assert_equal((y, state), selscan.scan_step(**want))


def test_a_step_with_gradients_gives_a_new_state():
    tensors, options = tensors_of(l=1)
    step = step_of(detached(tensors), options)
    leaves = [x.requires_grad_() for x in step.values() if torch.is_tensor(x)]
    results, want = compiled(selscan.scan_step)(**step), selscan.scan_step(**step)
    assert results[1] is not step["state"]
    got, want = (torch.autograd.grad(x, leaves, list(map(random_like, x))) for x in (results, want))
    assert_equal(got, want)


@pytest.mark.parametrize("name", ["scan", "scan_step"])
def test_no_module_is_guarded_under_two_names(name):
    """Each would cost a call of the compiled function 1 us."""
    kinds = []

    def keep(guards):
        kinds.extend(x.guard_type for x in guards)
        return [True] * len(guards)

    tensors, options = tensors_of((), l=1)
    arguments = tensors | options if name == "scan" else step_of(tensors, options)
    function = getattr(selscan, name)
    torch.compile(lambda x: function(**x), backend="eager", options={"guard_filter_fn": keep})(
        arguments
    )
    assert "TENSOR_MATCH" in kinds
    assert not {"DUPLICATE_INPUT", "OBJECT_ALIASING"} & set(kinds)


def test_scan_backward_gives_the_same_bits():
    tensors, options = tensors_of(())
    dy = random_like(tensors["u"])
    got = compiled(lambda dy, x: selscan.scan_backward(dy, **x, **options))(dy, tensors)
    assert isinstance(got, selscan.ScanGrads)
    assert_equal(list(got), list(selscan.scan_backward(dy, **tensors, **options)))


@pytest.mark.parametrize("given", ["float64", torch.float64], ids=["name", "dtype"])
def test_out_dtype_is_a_dtype_or_its_name(given):
    tensors, options = tensors_of(())
    options["out_dtype"] = given
    y, _ = compiled(scan)(tensors, options)
    assert y.dtype == torch.float64
    assert_equal(y, scan(tensors, options)[0])


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_gives_the_same_gradients(reentrant):
    tensors, options = tensors_of()
    want = torch.autograd.grad(squares(tensors, options), list(tensors.values()))

    def function(*values):
        return squares(dict(zip(tensors, values, strict=True)), options)

    def run(*values):
        return checkpoint(function, *values, use_reentrant=reentrant)

    # torch breaks the graph at a reentrant checkpoint, but not inside of it.
    torch.compile(run, fullgraph=not reentrant, backend="aot_eager")(*tensors.values()).backward()
    torch.testing.assert_close(list(grads_of(tensors).values()), list(want))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_autograd_gives_the_same_gradients():
    tensors, options = tensors_of()
    want = torch.autograd.grad(squares(tensors, options), list(tensors.values()))
    loss = squares(tensors, options)
    with torch._dynamo.compiled_autograd._enable(compiled_graph):
        loss.backward()
    torch.testing.assert_close(list(grads_of(tensors).values()), list(want))


def compiled_graph(graph):
    return torch.compile(graph, backend="eager", fullgraph=True)


WRONG = {
    "B must be (b, n, l)": {"B": torch.ones(2, 9, 4)},
    "u must be float16": {"u": torch.ones(2, 5, 9, dtype=torch.int64)},
    "layout must be 'bdl' or 'bld'; got 'lbd'": {"layout": "lbd"},
    "backend must be one for arrays on cpu; got 'cupy'": {"backend": "cupy"},
    "backend must be one of cpu, cupy, numba_cuda; got 'gpu'": {"backend": "gpu"},
    "out_dtype must be float16": {"out_dtype": torch.int32},
    "delta_softplus must be True or False; got 1 (int)": {"delta_softplus": 1},
    "return_last_state must be True or False; got 1 (int)": {"return_last_state": 1},
    "layout must be 'bdl' or 'bld'; got None": {"layout": None},
    "D must be a torch tensor; got a list": {"D": [1.0]},
    "A must be a torch tensor; got None": {"A": None},
}


@pytest.mark.filterwarnings("ignore:.*graph break")
@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_call_is_named(message):
    tensors, options = tensors_of(())
    arguments = tensors | options | WRONG[message]
    function = torch.compile(lambda x: selscan.scan(**x), backend="eager")
    with pytest.raises(Exception, match="scan: ") as caught:
        function(arguments)
    assert f"scan: {message}" in str(caught.value).replace('\\"', '"')


def test_a_wrong_step_is_named():
    tensors, options = tensors_of((), l=1)
    step = step_of(tensors, options) | {"u": torch.ones(2, 5, 1)}
    with pytest.raises(RuntimeError, match=r"scan_step: u must be \(b, d\) = \(2, 5\); got"):
        compiled(selscan.scan_step, "eager")(**step)


def test_vmap_raises():
    tensors, options = tensors_of(())
    function = torch.func.vmap(lambda u: selscan.scan(**tensors | {"u": u}, **options))
    with pytest.raises(RuntimeError, match="scan: vmap is not supported"):
        compiled(function, "eager")(tensors["u"][None])


@forward_mode
def test_forward_mode_raises():
    tensors, options = tensors_of(())

    def function(u):
        return torch.func.jvp(lambda x: selscan.scan(**tensors | {"u": x}, **options), (u,), (u,))

    with pytest.raises(Exception, match="scan: forward-mode automatic differentiation is not supp"):
        compiled(function, "eager")(tensors["u"])


def test_the_gradient_transform_is_one_graph():
    tensors, options = tensors_of(())

    def function(*values):
        names = dict(zip(tensors, values, strict=True))
        return torch.func.grad(lambda u: squares(names | {"u": u}, options))(names["u"])

    got = compiled(function)(*tensors.values())
    torch.testing.assert_close(got, function(*tensors.values()))


def test_double_backward_raises():
    tensors, options = tensors_of()
    loss = compiled(squares)(tensors, options)
    with pytest.raises(RuntimeError, match=r"create_graph|double backward"):
        torch.autograd.grad(loss, tensors["u"], create_graph=True)[0].sum().backward()


def test_a_view_of_an_input_is_scanned():
    tensors, options = tensors_of(())
    tensors["A"] = tensors["A"].mT.contiguous()

    def run(x):
        return selscan.scan(**x | {"A": x["A"].mT}, **options)

    assert_equal(compiled(run)(tensors), run(tensors))
    assert_equal(detached(tensors), tensors)


def test_the_first_scan_of_a_process_may_be_compiled_and_that_of_numpy_arrays():
    code = """
import torch
arrays = u, delta, A, B, C
function = torch.compile(lambda *x: selscan.scan(*x), fullgraph=True, backend="eager")
y = function(*map(torch.from_numpy, arrays)).numpy()
print(np.array_equal(y, selscan.scan(*arrays)))
function = torch.compile(lambda *x: selscan.scan(*x), backend="eager")
print(np.array_equal(function(*arrays), y))
"""
    done = run_python(code)
    assert done.stdout.split() == ["True", "True"], done.stderr
