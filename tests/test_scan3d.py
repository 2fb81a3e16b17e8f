"""scan3d where scan2d's own tests, which have paths over maps with a depth, do not go."""

import io

import numpy as np
import pytest
from map_strategies import PATHS, make_map_problem, with_dy
from tolerances import arithmetic, assert_within

import reference
import selscan
from selscan.ops.scan2d import ARGUMENTS

torch = pytest.importorskip("torch")
PATH = PATHS["windows in 3-D"]
FORMS = {
    "channels between frames": lambda x: np.moveaxis(
        np.ascontiguousarray(np.moveaxis(x, -4, -3)), -3, -4
    ),
    "every second frame": lambda x: np.repeat(x, 2, axis=-3)[..., ::2, :, :],
    "some rows": lambda x: np.repeat(x, 2, axis=-2)[..., ::2, :],
}


def arrays_of(**options):
    """Arrays of a small problem by name, in float32, and its other arguments."""
    problem = make_map_problem(PATH, **options)
    arrays = {x: problem[x] for x in ARGUMENTS if x in problem}
    return arrays, {x: v for x, v in problem.items() if x not in arrays}


@pytest.mark.parametrize("form", FORMS)
def test_frames_need_not_follow_one_another(form):
    arrays, options = arrays_of(d=5)
    arrays |= {x: FORMS[form](arrays[x]) for x in ("u", "delta", "B", "C")}
    problem = with_dy(arrays | options)

    leaves = {x: torch.from_numpy(v).requires_grad_() for x, v in arrays.items()}
    y = selscan.scan3d(**leaves, **options)
    grads = torch.autograd.grad(y, list(leaves.values()), torch.from_numpy(problem["dy"]))

    want = reference.scan2d_backward(**problem)
    bounds = reference.scan2d_backward_error_bound(**problem)
    for name, grad in zip(leaves, grads, strict=True):
        of = getattr(want, name), getattr(bounds, name)
        assert_within(grad.numpy(), *of, arithmetic(problem))
    np.testing.assert_array_equal(y.detach(), selscan.scan3d(**arrays, **options))


def test_an_exported_scan_of_volumes_gives_the_same_for_any_batch():
    class Scan(torch.nn.Module):
        def forward(self, u, delta, A, B, C):
            return selscan.scan3d(u, delta, A, B, C, path=PATH, delta_softplus=True)

    def inputs(b):
        arrays, _ = arrays_of(b=b, given=())
        return tuple(map(torch.from_numpy, arrays.values()))

    batch = {0: torch.export.Dim("b")}
    program = torch.export.export(
        Scan(), inputs(2), dynamic_shapes=(batch, batch, None, batch, batch)
    )
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()

    torch.testing.assert_close(loaded(*inputs(3)), Scan()(*inputs(3)), rtol=0, atol=0)


def test_jax_compiles_differentiates_and_maps_over_volumes():
    jax = pytest.importorskip("jax")
    arrays, options = arrays_of(b=2)
    names = list(arrays)

    def loss(*values):
        return (selscan.scan3d(**dict(zip(names, values, strict=True)), **options) ** 2).sum()

    grads = jax.jit(jax.grad(loss, tuple(range(len(names)))))(*arrays.values())

    leaves = [torch.from_numpy(x).requires_grad_() for x in arrays.values()]
    loss(*leaves).backward()
    for grad, leaf in zip(grads, leaves, strict=True):
        np.testing.assert_allclose(grad, leaf.grad, rtol=1e-4, atol=1e-4)
    u = np.stack([arrays["u"], 2 * arrays["u"]])
    rest = {x: jax.numpy.asarray(v) for x, v in arrays.items() if x != "u"}
    mapped = jax.vmap(lambda u: selscan.scan3d(u, **rest, **options))(u)
    np.testing.assert_array_equal(mapped[1], selscan.scan3d(**arrays | {"u": u[1]}, **options))
