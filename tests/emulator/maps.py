"""The scan along a path of CUDA kernels on NumPy arrays: plans, launched in the emulator."""

from math import prod

from devices import Host
from tolerances import arithmetic, assert_within

import reference
from selscan.backends.cupy import launches, launches2d, plan2d, plan2d_backward, plan_cross
from selscan.ops import scan, scan2d

from .scans import DEVICE, Poisoned, function


class Emulated:
    """The backend with the mappings that are asked for, which may be of either kind of kernel."""

    MAY_KEEP_NONE = True
    sum_plan = staticmethod(launches.sum_plan)
    orders_plan = staticmethod(launches2d.orders_plan)

    def __init__(self, forward=None, backward=None, device=DEVICE):
        self._forward, self._backward, self._device = forward, backward, device

    def states_size(self, problem):
        forced = self._backward or self._forward
        if forced is None:
            size = launches2d.states_size(problem, self._device)
        else:
            is_cross = isinstance(forced, plan_cross.Mapping)
            size = 0 if is_cross else prod(plan2d.saved_shape(problem))
        return size * (2 if problem.is_complex else 1)

    def forward_plan(self, problem, operands):
        mapping = self._mapping(problem, operands)
        return launches2d.forward_plan(problem, operands, self._device, Host, mapping)

    def forward_scratch(self, problem, operands):
        mapping = self._mapping(problem, operands)
        return launches2d.forward_scratch(problem, operands, self._device, mapping)

    def _mapping(self, problem, operands):
        """What is forced, where routes are added up at all; None in a mode: as planning has it."""
        if self._forward is None and self._backward is not None:
            element, y = launches2d.element_of(problem, operands), operands.get("y", (None,))[0]
            return plan2d.choose(problem, element, y, self._device)
        if self._forward is None or isinstance(self._forward, plan_cross.Mapping):
            return self._forward
        y = operands.get("y", (None,))[0]
        mode = plan2d.APART if y is None else plan2d.sum_mode(problem, y)
        if mode != plan2d.APART and self._forward.mode == plan2d.RESIDENT:
            mode = plan2d.RESIDENT
        staged = min(problem.d_state, self._forward.staged)
        return self._forward._replace(mode=mode, staged=staged)

    def _walk(self, problem):
        """A block that walks adds to its part, which is a gradient itself if it is the only one."""
        if self._backward is None and self._forward is not None:
            return plan2d_backward.choose(problem, self._device)
        if self._backward is None or isinstance(self._backward, plan_cross.Mapping):
            return self._backward
        mapping = self._backward._replace(staged=min(problem.d_state, self._backward.staged))
        return mapping if plan2d_backward.slices(problem, mapping) > 1 else mapping._replace(walk=1)

    def backward_plan(self, problem, operands, part_steps):
        mapping = self._walk(problem)
        return launches2d.backward_plan(problem, operands, part_steps, self._device, Host, mapping)

    def backward_parts(self, problem):
        return launches2d.backward_parts(problem, self._device, self._walk(problem))

    def backward_scratch(self, problem):
        return launches2d.backward_scratch(problem, self._device, self._walk(problem))

    @staticmethod
    def launch(plan, addresses, runs_on=None):
        for one in plan if isinstance(plan, list) else (plan,):
            one.launch(function(one.file, one.name), addresses)


def _request(backend, path, softplus, merge, out_dtype, inputs, order):
    framework, names = Poisoned(), scan2d.arguments(path)
    arrays = tuple((inputs | {"path": order}).get(name) for name in names)
    options = scan2d.switches(scan2d.name_of(path), path, softplus, merge, out_dtype, framework)
    found = scan.signatures("scan2d", framework, names, arrays)
    return scan.Request("scan2d", framework, backend, found, options), arrays


def forward(*, path, delta_softplus, merge, out_dtype=None, mapping=None, order=None, **inputs):
    """y; `order` are orders per sample, of which `path` says the sizes."""
    backend = Emulated(mapping)
    request, arrays = _request(backend, path, delta_softplus, merge, out_dtype, inputs, order)
    return scan2d.forward(request, arrays)[0]


def backward(dy, *, path, delta_softplus, merge, mapping=None, forward=None, order=None, **inputs):
    """Gradients in the order of the inputs."""
    backend = Emulated(forward, mapping)
    request, arrays = _request(backend, path, delta_softplus, merge, None, inputs, order)
    return scan2d.backward(request, arrays, dy)


def assert_right(problem, y):
    """y is that of the reference."""
    problem = {x: v for x, v in problem.items() if x != "out_dtype"}
    bound = reference.scan2d_error_bound(**problem)
    assert_within(y, reference.scan2d(**problem), bound, arithmetic(problem))


def assert_gradients_right(problem, gradients):
    """All gradients are those of the reference."""
    found = reference.Scan2dGrads(*gradients)
    for name, gradient in found._asdict().items():
        assert gradient is None or gradient.dtype == problem[name].dtype
    bounds = reference.scan2d_backward_error_bound(**problem)
    assert_within(found, reference.scan2d_backward(**problem), bounds, arithmetic(problem))
