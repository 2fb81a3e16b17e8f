"""`return_states_at`: states after some steps, and their gradients, in every framework.

test_bits.py has that they are the last states of shorter scans; here are gradients and frameworks.
"""

import functools

import numpy as np
import pytest
from harness import to_numpy, to_tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import make_problem, over_time, problems, with_gradients
from tolerances import arithmetic, assert_within, expected_gradients

import selscan
from selscan.backends import SIMULATED, cpu
from selscan.ops import pieces
from selscan.ops import scan as ops

few = settings(max_examples=2 if SIMULATED else 8)
BY_STEP = ("u", "delta", "z", "initial_state")


def draw_steps(data, l):
    return sorted(data.draw(st.sets(st.integers(0, l - 1), max_size=4))) if l else []


def gradient_of(problem, t, dstate):
    """What the gradient of one state adds, and its bounds: that of the last of a shorter scan."""
    some = slice(t, None) if problem["reverse"] else slice(t + 1)
    short = over_time(problem, lambda x: x[..., some])
    short |= {"dy": np.zeros_like(short["dy"]), "dlast_state": dstate}
    return tuple(filled(x, problem, some) for x in expected_gradients(short))


def filled(gradients, problem, some):
    """Gradients of a part of the steps as those of all."""
    found = gradients._asdict()
    for name in {"u", "delta", "z"} | {x for x in "BC" if problem[x].ndim > 2}:
        if found[name] is not None:
            whole = np.zeros((*found[name].shape[:-1], problem["u"].shape[-1]), found[name].dtype)
            whole[..., some] = found[name]
            found[name] = whole
    return gradients._replace(**found)


@pytest.mark.usefixtures("small_pieces")
@few
@given(problem=problems(layout="bdl", out_dtype=None), data=st.data())
def test_gradients_with_those_of_states_match_the_reference(backend, problem, data):
    problem = with_gradients(problem)
    steps = draw_steps(data, problem["u"].shape[-1])
    shape = (*problem["dlast_state"].shape[:2], len(steps), problem["A"].shape[1])
    rng = np.random.default_rng(3)
    dstates = rng.normal(size=shape).astype(problem["dlast_state"].dtype)

    found = backend.scan_backward(**problem, dstates_at=dstates, return_states_at=steps)

    parts = [expected_gradients(problem)]
    parts += [gradient_of(problem, t, dstates[:, :, i]) for i, t in enumerate(steps)]
    for name, got in found._asdict().items():
        if got is not None:
            want, bound = (sum(getattr(x[i], name) for x in parts) for i in (0, 1))
            assert_within(got, want, bound, arithmetic(problem))


STEPS = [3, 20, 59]
PROBLEM = make_problem(b=2, d=7, n=5, l=60, seq_idx="many", form_b="shared", form_c="shared")
WHOLE = functools.partial(selscan.scan, return_last_state=True, return_states_at=STEPS)


@pytest.fixture(scope="module")
def known():
    """Results of NumPy, gradients of them, and the gradients of the inputs."""
    rng = np.random.default_rng(1)
    results = WHOLE(**PROBLEM)
    upstream = [rng.normal(size=x.shape).astype(x.dtype) for x in results]
    dy, dlast, dstates = upstream
    more = {"dlast_state": dlast, "dstates_at": dstates, "return_states_at": STEPS}
    gradients = selscan.scan_backward(dy, **PROBLEM, **more)
    return results, upstream, gradients


def tensors():
    torch = pytest.importorskip("torch")
    given = {x: to_tensor(v) if isinstance(v, np.ndarray) else v for x, v in PROBLEM.items()}
    leaves = [x for x in ops.GRADIENT_OF if x in given]
    return torch, given | {x: given[x].clone().requires_grad_() for x in leaves}, leaves


@pytest.mark.parametrize("compiled", [False, True])
def test_torch_has_the_bits_of_numpy(known, compiled):
    torch, given, leaves = tensors()
    call = torch.compile(WHOLE, backend="aot_eager", fullgraph=True) if compiled else WHOLE

    found = call(**given)
    loss = sum((x * to_tensor(g)).sum() for x, g in zip(found, known[1], strict=True))
    gradients = torch.autograd.grad(loss, [given[x] for x in leaves])

    for got, want in zip(found, known[0], strict=True):
        assert to_numpy(got).tobytes() == want.tobytes()
    for name, got in zip(leaves, gradients, strict=True):
        assert to_numpy(got).tobytes() == getattr(known[2], name).tobytes(), name


def test_torch_differentiates_the_states_alone():
    torch, given, _ = tensors()

    _, states = selscan.scan(**given, return_states_at=STEPS)
    [got] = torch.autograd.grad(states.sum(), [given["u"]])

    zeros = np.zeros_like(PROBLEM["u"])
    ones = np.ones(states.shape, np.float32)
    more = {"dstates_at": ones, "return_states_at": STEPS}
    assert to_numpy(got).tobytes() == selscan.scan_backward(zeros, **PROBLEM, **more).u.tobytes()


def test_torch_exports_it():
    torch, given, _ = tensors()
    names = ("u", "delta", "A", "B", "C")

    class Module(torch.nn.Module):
        def forward(self, *arrays):
            return selscan.scan(*arrays, return_states_at=[2, 5])

    arrays = tuple(given[x].detach() for x in names)
    program = torch.export.export(Module(), arrays).module()

    for got, want in zip(program(*arrays), Module()(*arrays), strict=True):
        assert got.equal(want)


def test_jax_has_the_bits_of_numpy(known):
    jax = pytest.importorskip("jax")
    given = {x: jax.numpy.asarray(v) for x, v in PROBLEM.items() if isinstance(v, np.ndarray)}
    options = {x: v for x, v in PROBLEM.items() if x not in given}
    leaves = {x: given.pop(x) for x in ops.GRADIENT_OF if x in given}

    def loss(leaves):
        found = WHOLE(**leaves, **given, **options)
        return sum((x * g).sum() for x, g in zip(found, known[1], strict=True)), found

    (_, found), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(leaves)

    for got, want in zip(found, known[0], strict=True):
        assert np.asarray(got).tobytes() == want.tobytes()
    for name in BY_STEP:
        assert np.asarray(gradients[name]).tobytes() == getattr(known[2], name).tobytes(), name


def test_jax_maps_it():
    jax = pytest.importorskip("jax")
    u, *others = (jax.numpy.asarray(PROBLEM[x]) for x in ("u", "delta", "A", "B", "C"))

    def states(u):
        return selscan.scan(u, *others, return_states_at=STEPS)[1]

    both = jax.vmap(states)(jax.numpy.stack([u, 2 * u]))

    for got, want in zip(both, (states(u), states(2 * u)), strict=True):
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


def test_guests_get_states_as_arrays_of_their_own(guest, known):
    found = guest._call(WHOLE, PROBLEM)

    for got, want in zip(found, known[0], strict=True):
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax"])
def test_no_steps_are_no_states(framework):
    if framework != "numpy":
        pytest.importorskip(framework)
    from harness import Backend

    backend = Backend("cpu", framework)
    y, _, states = backend.scan(**PROBLEM, return_states_at=())

    assert states.shape == (2, 7, 0, 5)
    assert y.tobytes() == WHOLE(**PROBLEM)[0].tobytes()


def test_y_and_states_without_the_last_state(known):
    y, states = selscan.scan(**PROBLEM, return_states_at=np.array(STEPS))

    assert (y.tobytes(), states.tobytes()) == (known[0][0].tobytes(), known[0][2].tobytes())


@pytest.mark.parametrize("case", [{}, {"reverse": True}, {"seq_idx": None, "given": ()}])
def test_a_backend_that_cannot_stop_gets_pieces(monkeypatch, case):
    options = {"d": 7, "n": 5, "l": 60, "seq_idx": "many"} | case
    problem = with_gradients(make_problem(**options))
    dstates = np.random.default_rng(2).normal(size=(2, 7, 3, 5)).astype(np.float32)
    forward = {x: v for x, v in problem.items() if not x.startswith("dy") and x != "dlast_state"}
    more = {"dstates_at": dstates, "return_states_at": STEPS}
    want = *WHOLE(**forward), *selscan.scan_backward(**problem, **more)

    monkeypatch.setattr(cpu, "STOPS", False)
    found = *WHOLE(**forward), *selscan.scan_backward(**problem, **more)

    assert isinstance(
        ops.serving(cpu, ops.Switches(False, False, "bdl", positions=(1,))), pieces.Cut
    )
    names = ("y", "last_state", "states", *ops.GRADIENT_OF)
    for name, got, expected in zip(names, found, want, strict=True):
        if got is not None and name in ("y", "last_state", "states", *BY_STEP):
            assert got.tobytes() == expected.tobytes(), name
        elif got is not None:
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


BAD = {
    "[3, 1]": ([3, 1], ValueError, "1 behind 3"),
    "[2, 2]": ([2, 2], ValueError, "2 behind 2"),
    "[60]": ([60], ValueError, "with l = 60; got 60"),
    "[-1]": ([-1], ValueError, "got -1. Count from the front."),
    "5": (5, TypeError, "a sequence of integers, or None; got 5 (int)"),
    "'12'": ("12", TypeError, "a sequence of integers, or None; got '12' (str)"),
    "[1.0]": ([1.0], TypeError, "a sequence of integers, or None; got a list"),
    "[True]": ([True], TypeError, "a sequence of integers, or None; got a list"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_bad_steps_are_refused(framework, name):
    steps, error, message = BAD[name]
    given = PROBLEM
    if framework == "torch":
        given = tensors()[1]

    with pytest.raises(error) as caught:
        selscan.scan(**given, return_states_at=steps)

    assert str(caught.value).startswith("scan: return_states_at must be ")
    assert message in str(caught.value)


def test_a_gradient_of_states_needs_their_steps():
    dstates, dy = np.zeros((2, 7, 1, 5), np.float32), np.zeros_like(PROBLEM["u"])

    with pytest.raises(ValueError, match="return_states_at must be the steps that dstates_at bel"):
        selscan.scan_backward(dy, **PROBLEM, dstates_at=dstates)
    with pytest.raises(ValueError, match=r"dstates_at must be \(b, d, k, n\) for k steps"):
        selscan.scan_backward(dy, **PROBLEM, dstates_at=dstates, return_states_at=[1, 2])
