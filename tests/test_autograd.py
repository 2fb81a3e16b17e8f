"""The scan in torch's automatic differentiation: gradients are right in every use."""

import itertools

import pytest
from strategies import OPTIONAL
from tensors import (
    INPUTS,
    assert_equal,
    grads_of,
    random_like,
    scan,
    scan_backward,
    tensors_of,
    torch,
    total,
)
from torch.utils.checkpoint import checkpoint

# Sets of inputs that want a gradient: all, one, all but one, the weights, the activations.
SUBSETS = [
    INPUTS,
    *((x,) for x in INPUTS),
    *(tuple(y for y in INPUTS if y != x) for x in INPUTS),
    ("A", "D", "delta_bias"),
    ("u", "delta", "B", "C", "z"),
]
SEQUENCES = ("u", "delta", "z", "initial_state")  # results like these have their memory order


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed"])
@pytest.mark.parametrize("wanted", SUBSETS, ids="-".join)
def test_backward_gives_the_gradients_of_scan_backward(wanted, dtype, layout):
    tensors, options = tensors_of(wanted, d=18, l=21, dtype=dtype, layout=layout)
    results = scan(tensors, options)
    dy, dlast = map(random_like, results)
    torch.autograd.backward(results, (dy, dlast))
    want = scan_backward(tensors, options, dy, dlast)
    assert_equal(grads_of(tensors), {x: v if x in wanted else None for x, v in want.items()})


@pytest.mark.parametrize("absent", OPTIONAL)
def test_backward_without_an_optional_argument_gives_the_other_gradients(absent):
    tensors, options = tensors_of(given=set(OPTIONAL) - {absent})
    y, _ = scan(tensors, options)
    y.backward(random_like(y))
    assert_equal(grads_of(tensors), scan_backward(tensors, options, random_like(y)))


def test_backward_from_the_last_state_alone_has_a_zero_gradient_of_y():
    tensors, options = tensors_of()
    y, last = scan(tensors, options)
    last.backward(random_like(last))
    want = scan_backward(tensors, options, torch.zeros_like(y), random_like(last))
    assert_equal(grads_of(tensors), want)


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scan_that_records_gradients_gives_the_same_bits(dtype, layout):
    tensors, options = tensors_of(d=37, l=150, n=9, dtype=dtype, layout=layout)
    recorded = scan(tensors, options)
    with torch.no_grad():
        quiet = scan(tensors, options)
    assert [x.requires_grad for x in recorded] == [True, True]
    assert [x.requires_grad for x in quiet] == [False, False]
    assert_equal([x.detach() for x in recorded], list(quiet))


def test_inference_mode_gives_the_same_bits():
    tensors, options = tensors_of()
    with torch.inference_mode():
        got = scan(tensors, options)
    assert_equal([x.clone() for x in got], [x.detach() for x in scan(tensors, options)])


def test_second_backward_of_a_retained_graph_gives_the_same_bits():
    tensors, options = tensors_of(d=37, l=150)
    loss = total(tensors, options)
    first = torch.autograd.grad(loss, list(tensors.values()), retain_graph=True)
    assert_equal(torch.autograd.grad(loss, list(tensors.values())), first)


def test_backward_that_creates_a_graph_gives_the_same_bits():
    tensors, options = tensors_of()
    loss, inputs = total(tensors, options), list(tensors.values())
    want = torch.autograd.grad(loss, inputs, retain_graph=True)
    got = torch.autograd.grad(loss, inputs, create_graph=True)
    assert_equal([x.detach() for x in got], list(want))


def test_gradients_of_two_scans_add_up():
    tensors, options = tensors_of()
    total(tensors, options).backward()
    twice = {x: 2 * v for x, v in grads_of(tensors).items()}
    total(tensors, options).backward()
    assert_equal(grads_of(tensors), twice)


def test_y_may_be_changed_in_place():
    tensors, options = tensors_of()
    y, _ = scan(tensors, options)
    y.mul_(2)
    y.sum().backward()
    assert_equal(grads_of(tensors), scan_backward(tensors, options, torch.full_like(y, 2)))


@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("form", ["shared", "grouped", "constant"])
def test_gradients_in_float64_pass_gradcheck(form, reverse, layout):
    sizes = {"d": 4, "g": 2, "n": 3, "l": 5, "form_b": form, "form_c": form}
    tensors, options = tensors_of(**sizes, dtype="float64", reverse=reverse, layout=layout)

    def function(*values):
        return scan(dict(zip(tensors, values, strict=True)), options)

    assert torch.autograd.gradcheck(function, tuple(tensors.values()), atol=1e-6)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_gradients_have_the_memory_order_of_their_input(order):
    tensors, options = tensors_of()
    back = sorted(range(3), key=order.__getitem__)
    moved = {x: tensors[x].detach().permute(order).contiguous().permute(back) for x in SEQUENCES}
    tensors |= {x: v.requires_grad_() for x, v in moved.items()}
    y, _ = scan(tensors, options)
    y.sum().backward()
    assert y.stride() == tensors["u"].stride()
    assert [x.grad.stride() for x in tensors.values()] == [x.stride() for x in tensors.values()]
    assert [x.grad.dtype for x in tensors.values()] == [x.dtype for x in tensors.values()]


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)], ids=str)
def test_backward_of_empty_tensors_gives_zeros(shape):
    b, d, l = shape
    tensors, options = tensors_of(b=b, d=d, l=l)
    scan(tensors, options)[0].sum().backward()
    assert_equal(grads_of(tensors), {x: torch.zeros_like(v) for x, v in tensors.items()})


def test_backward_of_no_steps_passes_the_gradient_of_the_state_on():
    tensors, options = tensors_of(l=0)
    _, last = scan(tensors, options)
    last.backward(random_like(last))
    want = {x: torch.zeros_like(v) for x, v in tensors.items()}
    assert_equal(grads_of(tensors), want | {"initial_state": random_like(last)})


def test_inputs_may_be_views_of_one_projection():
    tensors, options = tensors_of((), form_b="shared", form_c="shared", given=())
    views = {x: tensors[x] for x in ("u", "delta", "B", "C")}
    sizes = [x.shape[1] for x in views.values()]
    fused = torch.cat(list(views.values()), dim=1).requires_grad_()
    pieces = dict(zip(views, fused.split(sizes, dim=1), strict=True))
    total(tensors | pieces, options).backward()
    alone = {x: v.clone().requires_grad_() for x, v in views.items()}
    total(tensors | alone, options).backward()
    assert_equal(fused.grad, torch.cat([x.grad for x in alone.values()], dim=1))


def test_one_tensor_may_be_several_inputs():
    tensors, options = tensors_of(("u",), d=4, n=4, form_b="shared", form_c="shared", given=())
    u = tensors["u"]
    tensors |= {"B": u, "C": u, "z": u}
    y, _ = scan(tensors, options)
    y.sum().backward()
    want = scan_backward(tensors, options, torch.ones_like(y))
    assert_equal(u.grad, want["u"] + want["B"] + want["C"] + want["z"])


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_gives_the_same_gradients(reentrant):
    tensors, options = tensors_of()
    want = torch.autograd.grad(total(tensors, options), list(tensors.values()))

    def function(*values):
        return total(dict(zip(tensors, values, strict=True)), options)

    checkpoint(function, *tensors.values(), use_reentrant=reentrant).backward()
    assert_equal(list(grads_of(tensors).values()), list(want))


def test_gradients_of_outputs_may_be_views_with_their_negative_bit_set():
    tensors, options = tensors_of()
    results = scan(tensors, options)
    incoming = [random_like(x) for x in results]
    want = torch.autograd.grad(results, list(tensors.values()), incoming, retain_graph=True)
    negative = [torch.complex(x, -x).conj().imag for x in incoming]
    assert all(x.is_neg() for x in negative)
    assert_equal(torch.autograd.grad(results, list(tensors.values()), negative), want)


def test_gradients_of_outputs_may_be_one_number_expanded():
    tensors, options = tensors_of()
    results = scan(tensors, options)
    want = torch.autograd.grad(
        results, list(tensors.values()), [torch.ones_like(x) for x in results], retain_graph=True
    )
    incoming = [torch.ones(()).expand(x.shape) for x in results]
    assert_equal(torch.autograd.grad(results, list(tensors.values()), incoming), want)


@pytest.fixture
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_the_default_dtype_of_torch_does_not_matter(float64_by_default):
    tensors, options = tensors_of()
    results = scan(tensors, options)
    dy, dlast = map(random_like, results)
    got = torch.autograd.grad(results, list(tensors.values()), (dy, dlast))
    torch.set_default_dtype(torch.float32)
    want = torch.autograd.grad(scan(tensors, options), list(tensors.values()), (dy, dlast))
    assert {x.dtype for x in (*results, *got)} == {torch.float32}
    assert_equal(got, want)


def test_parameters_get_their_gradients():
    tensors, options = tensors_of()
    weights = {x: torch.nn.Parameter(tensors[x].detach()) for x in ("A", "D", "delta_bias")}
    total(tensors | weights, options).backward()
    plain, _ = tensors_of()
    total(plain, options).backward()
    assert_equal(grads_of(weights), {x: plain[x].grad for x in weights})
