"""Orders per sample: a table (b, k, l) that comes with a call, and is checked at each, by a kernel.

In a call without its data an `Orders` stands for it, where a Path would; the numbers are an operand
under the name "path".
"""

import functools

from ..messages import fail
from ..paths.checks import check_numbers, inverted
from . import memory
from .dtypes import check_dtype
from .given_path import table_of
from .scan import CACHED_SHAPES


def operator_for(path, operator):
    """What a backend must have: orders, where the path is some, or else the operator."""
    return "orders_per_sample" if path.table is None else operator


def check(function, layout, path, batch):
    """A table has integers, and k routes of l steps for each sample."""
    check_dtype(function, "path", layout.dtype, False)
    wanted = batch, path.routes, path.length
    if layout.shape != wanted:
        fail(function, "path", f"(b, k, l) with b = {batch}", layout.shape)
    if 0 in wanted[1:]:
        fail(function, "path", "(b, k, l) with k and l of at least 1", layout.shape)


@functools.lru_cache(maxsize=CACHED_SHAPES)
def prepare(function, framework, backend, signature, pixels):
    """The plan of a check, None if there is nothing to check, and the Output of a copy."""
    layout = memory.in_64_bits(framework.layout(function, "path", signature))
    device = framework.device(signature)
    plan = backend.orders_plan(layout, pixels, device) if layout.shape[0] else None
    return plan, framework.output(layout.shape, "int32")


def checked(request, path, table):
    """A copy of the table that kernels trust; raises where its numbers are wrong."""
    function, framework, backend = request.function, request.framework, request.backend
    [signature] = framework.signatures((table,))
    plan, output = prepare(function, framework, backend, signature, path.pixels)
    copy = framework.allocate(output)
    if plan is not None:
        addresses = {"source": framework.address(table), "result": framework.address(copy)}
        if backend.launch(plan, addresses, framework.runs_on()) is False:
            refuse(function, table, path)
    return copy


def refuse(function, table, path):
    """Say what is wrong, and where."""
    for b, order in enumerate(table_of(function, table)):
        where = f" of sample {b}"
        check_numbers(function, order, path.pixels, "path", where)
        inverted(function, order, path.pixels, "path", where)
