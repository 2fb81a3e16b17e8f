"""Plans of scan2d: gather, scan, scatter.

u, delta, B and C are gathered into the order of the routes, each route is scanned, and y is
scattered; the gradient gathers dy as well, and scatters what the scans give. All that is in the
order of the routes lies in scratch, (b, d, k, l) with states instead of channels for B and C, in
the dtype of the arithmetic, so that a result is rounded once, after the sum over routes. A joined
path is one sequence of k l steps.
"""

from math import prod
from typing import NamedTuple

from . import gpu
from .launches import Plan, moving
from .moving import Tables, gather, scatter
from .scans import backward_launch, forward_launch
from .shapes import SIZES, slices_of, tiles_of
from .views import absent, dense, of_operand

_ALIGNMENT = 16  # bytes, of a complex128 number
_SEQUENCES = {  # operand -> the letter of its rows
    **dict.fromkeys(("u", "delta", "y", "dy", "du", "ddelta"), "d"),
    **dict.fromkeys(("B", "C", "dB", "dC"), "n"),
}
_ROWS = {"A": "rdn", "D": "rd", "delta_bias": "rd"}
_ROW_GRADIENTS = {"dA": "rbdn", "dD": "rbd", "ddelta_bias": "rbd"}
_FORWARD = ("u", "delta", "B", "C", "y")
_BACKWARD = ("u", "delta", "B", "C", "dy", "du", "ddelta", "dB", "dC")


class Scratch(NamedTuple):
    """Where everything lies: name -> View (b, rows, k, l), or with parts in front; and its end."""

    views: dict
    size: int  # bytes


def scratch_of(problem, names):
    """The Scratch for some of _SEQUENCES."""
    path, views, end = problem.path, {}, 0
    for name in names:
        rows = problem.dim if _SEQUENCES[name] == "d" else problem.d_state
        dtype = problem.real if _SEQUENCES[name] == "d" else problem.state_dtype
        parts = {"": ()}
        if name in ("dB", "dC"):
            parts["parts of "] = (slices_of(problem),)
        for kind, front in parts.items():
            shape = (*front, problem.batch, rows, path.routes, path.length)
            views[kind + name] = dense("carries", shape, dtype, end)
            end += -(-prod(shape) * SIZES[dtype] // _ALIGNMENT) * _ALIGNMENT
    return Scratch(views, end)


def forward_scratch(problem):
    """Elements of a forward's scratch, all real."""
    return scratch_of(problem, _FORWARD).size // SIZES[problem.real]


def backward_scratch(problem):
    """The same of a backward."""
    return scratch_of(problem, _BACKWARD).size // SIZES[problem.real]


def states_size(problem):
    """Elements, all real, of the states that a forward keeps."""
    return prod(_kept_shape(problem)) * (2 if problem.is_complex else 1)


def _kept_shape(problem):
    sequences, length = _sequences(problem.path)
    tiles = tiles_of(problem, length) - 1
    return (sequences, problem.batch, tiles, problem.d_state, problem.dim)


def _sequences(path):
    """How many are scanned, and of how many steps."""
    return (1, path.routes * path.length) if path.joined else (path.routes, path.length)


def forward_plan(problem, operands):
    """Plan of scan2d; keeps states if given their address."""
    along = Along(problem, operands, _FORWARD)
    launches = [along.take(name) for name in ("u", "delta", "B", "C")]
    for route in range(_sequences(problem.path)[0]):
        launches.append(forward_launch(problem, along.views(route)))
    if "y" in operands:
        launches.append(along.put("y"))
    return Plan(along.number, tuple(launches))


def backward_plan(problem, operands, part_steps):
    """Plan of all gradients."""
    along = Along(problem, operands, _BACKWARD)
    launches = [along.take(name) for name in ("u", "delta", "B", "C", "dy")]
    for route in range(_sequences(problem.path)[0]):
        launches.append(backward_launch(problem, along.views(route)))
    for name in ("dB", "dC"):
        views = along.scratch.views
        launches.append(
            moving("sum_parts", problem.state_dtype, views[f"parts of {name}"], views[name])
        )
    launches += [along.put(name) for name in ("du", "ddelta", "dB", "dC")]
    return Plan(along.number, tuple(launches))


class Along:
    """The views of a problem along its path."""

    def __init__(self, problem, operands, names):
        self.number = gpu.number_of(problem.device)
        self.scratch = scratch_of(problem, names)
        self._problem, self._operands = problem, operands
        self._tables = Tables(problem.path, self.number)

    def take(self, name):
        """The Launch that gathers an operand; what stands at padding is not read."""
        view, is_map = self._operand(name)
        table = self._tables.pixels if is_map else self._tables.own
        return gather(view, table, self._by_routes(name))

    def put(self, name):
        """The Launch that puts a result in its place, adding up the routes that share a map."""
        view, is_map = self._operand(name)
        source = self._by_routes(name)
        if is_map:
            return scatter(source, self._tables.steps, view)
        source = with_axis(with_axis(source, 3), 3)
        return gather(source, self._tables.own, view.at(3, 0).at(3, 0))

    def _by_routes(self, name):
        """In scratch, as (b, k, rows, l)."""
        view = self.scratch.views[name]
        shape, steps = ((x[0], x[2], x[1], x[3]) for x in (view.shape, view.steps))
        return view._replace(shape=shape, steps=steps)

    def _operand(self, name):
        """An operand as (b, k, rows, t, h, w), and whether it is a map; if not, it has one row.

        One map for all routes has one route as a result, and as an input the same for each.
        """
        path, (_, axes) = self._problem.path, self._operands[name]
        is_result = name not in ("u", "delta", "B", "C", "dy")
        shared = 1 if is_result and axes.is_map else path.routes
        view = of_operand(name, self._operands, f"br{_SEQUENCES[name]}pht", r=shared)
        if path.joined and not axes.is_map:  # (b, 1, rows, k l)
            b, _, rows, *_ = view.shape
            *front, step = view.steps
            shape = (b, path.routes, rows, 1, 1, path.length)
            steps = (front[0], path.length * step, front[2], 0, 0, step)
            view = view._replace(shape=shape, steps=steps)
        return view, axes.is_map

    def views(self, route):
        """What the kernels get of a route, by the names of their arguments."""
        operands, problem = self._operands, self._problem
        views = {name: self._sequence(x, route) for name, x in self.scratch.views.items()}
        for name in ("B", "C"):
            views[name] = with_axis(views[name], 1)
        for name in ("dB", "dC"):
            if name in views:
                views[name] = with_axis(views.pop(f"parts of {name}"), 2)
        for name, keys in (_ROWS | _ROW_GRADIENTS).items():
            view = of_operand(name, operands, keys, b=problem.batch)
            views[name] = view.at(0, route) if view.name else absent(len(keys) - 1)
        views["pixels"] = self._tables.sequences[route]
        shape = _kept_shape(problem)
        if 0 in shape:
            views["saved"] = absent(4, problem.state_dtype)
        else:
            views["saved"] = dense("states", shape, problem.state_dtype).at(0, route)
        return absent_others() | views

    def _sequence(self, view, route):
        """A sequence of a View in scratch, whose last axes are k and l."""
        if not self._problem.path.joined:
            return view.at(len(view.shape) - 2, route)
        *front, k, l = view.shape
        return view._replace(shape=(*front, k * l), steps=(*view.steps[:-2], view.steps[-1]))


def with_axis(view, where):
    """With an axis of one element."""
    shape, steps = ((*x[:where], y, *x[where:]) for x, y in ((view.shape, 1), (view.steps, 0)))
    return view._replace(shape=shape, steps=steps)


def absent_others():
    """What scans along paths do not have."""
    others = {"z": 3, "dz": 3, "seq_idx": 2, "dB_constant": 3, "dC_constant": 3}
    states = ("initial_state", "last_state", "dlast_state", "dinitial_state")
    return {name: absent(n) for name, n in (others | dict.fromkeys(states, 3)).items()}
