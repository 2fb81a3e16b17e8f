"""Gather and scatter along a path, for arrays of one framework.

As in scan.py, what depends on shapes, strides, dtypes and the path only is computed once and
cached, for as few calls as paths are kept: it is as large as a path. Neither has a gradient of its
own here: that of each is the other.
"""

from typing import Any, NamedTuple

from .. import backends
from ..arrays.layouts import Output
from ..messages import foreign
from ..paths.keeping import keeping
from . import contract, memory, orders, path_contract


class Request(NamedTuple):
    """A call without its data."""

    function: str  # "gather" or "scatter"
    framework: Any
    backend: Any  # module
    signature: Any  # of the array
    path: Any
    merge: bool  # of a scatter
    order: Any = None  # signature of orders per sample


def name_of(function):
    """The name of the array in messages."""
    return "x" if function == "gather" else "y"


def request(function, framework, array, path, merge=True, backend=None, order=None):
    """Look at the arguments; `order` are the numbers of orders per sample."""
    check_options(function, path, merge, backend)
    if not framework.owns(array):
        raise foreign(function, name_of(function), array, None)
    signature, numbers = signatures(function, framework, array, order)
    device = framework.device(signature)
    module = backends.choose(function, orders.operator_for(path, function), backend, device)
    return Request(function, framework.on(device), module, signature, path, merge, numbers)


def signatures(function, framework, array, order):
    """Of the array, and of orders per sample or None."""
    if order is not None and not framework.owns(order):
        raise foreign(function, "path", order, framework)
    return framework.signatures((array, order))


def check_options(function, path, merge, backend):
    path_contract.check_path(function, path)
    if backend is not None:
        backends.check_name(function, "backend", backend)
    if merge is not True and merge is not False:
        contract.check_flags(function, merge=merge)


def check(request):
    """The Moved, and the Output; sizes may be symbolic."""
    function, framework, _, signature, path, merge, order = request
    layout = memory.in_64_bits(framework.layout(function, name_of(function), signature))
    if function == "gather":
        moved = path_contract.check_gather(layout, path)
    else:
        moved = path_contract.check_scatter(layout, path, merge)
    device = framework.device(signature)
    moved = moved._replace(device=device)
    if order is not None:
        devices = {name_of(function): device, "path": framework.device(order)}
        contract.check_devices(function, devices)
        orders.check(function, framework.layout(function, "path", order), path, moved.batch)
    return moved, framework.output(moved.shape, moved.dtype)


@keeping
def prepare(request) -> tuple[Any, Output]:
    moved, output = check(request)
    return None if moved.empty else request.backend.move_plan(moved), output


def run(request, array, order=None):
    """The result, a new array in C order."""
    plan, output = prepare(request)
    framework = request.framework
    result = framework.allocate(output)
    if plan is not None:
        addresses = {"source": framework.address(array), "result": framework.address(result)}
        if order is not None:
            order = orders.checked(request, request.path, order)
            addresses["path"] = framework.address(order)
        request.backend.launch(plan, addresses, framework.runs_on())
    return result
