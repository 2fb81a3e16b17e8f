"""What a call of scan2d must look like: every check on shapes, dtypes and options."""

from ..arrays.layouts import Axes, Layout, dense_steps
from ..messages import fail
from ..paths.checks import times
from . import hints, orders
from .contract import Problem, check_size
from .dtypes import COMPLEX, arithmetic, check_dtype, check_dtypes

# In the order in which they are passed on.
ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "delta_bias")


def arguments(path):
    """The names of the arrays of a call, the numbers of orders per sample among them."""
    return (*ARGUMENTS, "path") if path.table is None else ARGUMENTS


def check(function, layouts, path, softplus=False, wide=False, device="cpu", merge=True):
    """Check layouts (name -> Layout) and return the Problem; `wide` asks for float64 arithmetic."""
    check_dtypes(function, layouts)
    batch, dim = _check_u(function, layouts["u"].shape, path)
    d_state = _check_parameters(function, layouts, path, dim)
    for name, letter, rows in (("delta", "d", dim), ("B", "n", d_state), ("C", "n", d_state)):
        _check_steps(function, name, layouts[name].shape, path, batch, letter, rows)
    check_size(function, "b * k * d * l * n", batch, path.routes, path.length, dim, d_state)
    if path.table is None:
        orders.check(function, layouts["path"], path, batch)
    return Problem(
        batch=batch,
        dim=dim,
        length=path.length,
        d_state=d_state,
        groups=1,
        real=arithmetic(layouts, wide),
        is_complex=layouts["A"].dtype in COMPLEX,
        layouts=dict(layouts),
        axes={name: axes_of(name, len(x.shape), path) for name, x in layouts.items()},
        constant_b=False,
        constant_c=False,
        softplus=softplus,
        reverse=False,
        device=device,
        path=path,
        merge=merge,
    )


def _check_u(function, shape, path):
    """b and d."""
    k, size, letters = path.routes, path.size, letters_of(path)
    one = 2 + len(size)  # axes, if routes share a map
    if len(shape) not in (one, one + 1) or (len(shape) == one + 1 and shape[1] != k):
        hint = f" The path has {k} routes." if len(shape) == one + 1 else ""
        if len(shape) == 3 and shape[2] == path.pixels:
            hint = f" Is it (b, d, {letters.replace(',', ' *')})?"
        elif len(shape) == one - 1:
            hint = hints.NO_BATCH
        fail(function, "u", f"(b, d, {letters}) or (b, k, d, {letters}) with k = {k}", shape, hint)
    if shape[-len(size) :] != size:
        got, hint = f"one over {times(size)}", ""
        if len(shape) == one and shape[1:-1] == size:
            hint = " Are the channels of u last? Pass it with the axes moved."
        elif len(shape) == 4 and shape[1::2] == (k, path.length):
            hint = " Is u in the order of the routes? Pass the map."
        fail(function, "path", f"one over {times(shape[-len(size) :])} pixels like u", got, hint)
    return shape[0], shape[-1 - len(size)]


def letters_of(path):
    """The axes of a map in messages."""
    return "h, w" if path.depth is None else "t, h, w"


def _sequences(path):
    """Number and steps of what is scanned without a reset."""
    return (1, path.routes * path.length) if path.joined else (path.routes, path.length)


def _check_parameters(function, layouts, path, dim):
    """A, D and delta_bias; n."""
    wanted, a = (_sequences(path)[0], dim), layouts["A"].shape
    if len(a) != 3 or a[:2] != wanted:
        hint = _hint(path, a, (*wanted, *a[-1:]), 0, "d")
        fail(function, "A", f"(k, d, n) with k, d = {wanted}", a, hint)
    if a[2] == 0:
        fail(function, "A", "(k, d, n) with n of at least 1", a)
    for name in ("D", "delta_bias"):
        if name in layouts and layouts[name].shape != wanted:
            shape = layouts[name].shape
            hint = hints.broadcast(shape, wanted) or _hint(path, shape, wanted, 0, "d")
            fail(function, name, f"(k, d) = {wanted}", shape, hint)
    return a[2]


def _check_steps(function, name, shape, path, batch, letter, rows):
    """delta, B or C, with so many rows of that letter."""
    k, l = _sequences(path)
    maps, ordered = (batch, k, rows, *path.size), (batch, k, rows, l)
    if shape not in (maps, ordered):
        expected = f"(b, k, {letter}, {letters_of(path)}) = {maps} or (b, k, {letter}, l) = "
        expected += str(ordered)
        hint = _hint(path, shape, maps, 1, letter) or _hint(path, shape, ordered, 1, letter)
        fail(function, name, expected, shape, hint)


def _hint(path, shape, wanted, axis, letter):
    """For an argument with routes along an axis, and along the next what has that letter."""
    before, (k, rows, *rest) = wanted[:axis], wanted[axis:]
    if shape == (*before, rows, *rest):
        return hints.NO_ROUTE
    if shape == (*before, k * rows, *rest):
        return f" Are k and {letter} one axis?"
    if len(shape) != len(wanted) or shape[axis] == k:
        return ""
    if path.joined:
        return " The routes of a joined path share one set of parameters."
    return f" The path has {path.routes} route{'s' * (path.routes > 1)}."


def axes_of(name, ndim, path):
    """The Axes of an argument that was checked."""
    if name == "path":
        return Axes(0, None, None, 2, 1)
    shared, several = path.joined, path.routes > 1
    route = None if shared else 1
    if name == "u":
        return maps_axes(ndim, path)
    if name in ("A", "D", "delta_bias"):
        return Axes(None, 1, 2 if name == "A" else None, None, None if shared else 0)
    d, n = (2, None) if name == "delta" else (None, 2)
    if ndim == 4:
        return Axes(0, d, n, 3, route)
    axes = Axes(0, d, n, None, route, is_shared=shared and several)
    return _with_pixels(axes, ndim, path)


def maps_axes(ndim, path):
    """Of u, y and their gradients."""
    if ndim > 2 + len(path.size):
        return _with_pixels(Axes(0, 2, None, None, 1), ndim, path)
    return _with_pixels(Axes(0, 1, None, None, is_shared=path.routes > 1), ndim, path)


def _with_pixels(axes, ndim, path):
    """The last axes are those of a map."""
    return axes._replace(t=ndim - 1, h=ndim - 2, p=None if path.depth is None else ndim - 3)


def output_layout(u, path, merge):
    """The Layout of y, of u's dtype; in memory channels are last where those of u are."""
    sides = len(path.size)
    if (len(u.shape) == 2 + sides) == merge:
        return u
    b, d, *size = u.shape[0], u.shape[-1 - sides], *u.shape[-sides:]
    shape = (b, d, *size) if merge else (b, path.routes, d, *size)
    order = list(range(len(shape)))
    if u.steps[-1 - sides] < u.steps[-1]:
        order.append(order.pop(-1 - sides))
    return Layout(shape, dense_steps(shape, order, 1), u.dtype)


def check_gradient(function, dy, shape):
    """dy has the shape of y."""
    check_dtype(function, "dy", dy.dtype, False)
    if dy.shape != shape:
        hint = hints.broadcast(dy.shape, shape)
        fail(function, "dy", f"of the shape of y, {shape}", dy.shape, hint)
