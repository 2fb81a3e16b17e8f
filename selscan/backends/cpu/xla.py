"""Plans for XLA: what its handler (xla_handler.py) gets instead of a Python call.

A block is a plan without addresses, and holds in any process with the same selscan on the same kind
of CPU. `link` compiles the kernels that a block names and enters their addresses in a table.
"""

import ctypes
import functools
import hashlib
import itertools
from typing import NamedTuple

import llvmlite.binding
import numba
import numpy as np

from . import gather_plan as moves
from . import kernel as kernel_of
from . import layout as at
from . import orders, run, simd, tasks, threads, xla_handler
from .cache import source_version
from .coefficients import CONSTANT, SHARED
from .formats import F32, F64
from .gather_plan import ADDED, COPIED, RoutesPlan
from .notice import form_of
from .orders import OrdersPlan
from .plan import SLOTS
from .planes import COMPLEX_STATES, REAL_STATES
from .xla_handler import FIRST

MESSAGES = {
    xla_handler.BAD_FRAME: "selscan: the call frame of XLA must be of version 0.1 or a later one "
    "that is like it; got another. docs/jax.md names the versions of jax that were tried.",
    xla_handler.BAD_CALL: "selscan: a call must have the operands that its plan names; got others.",
    xla_handler.OTHER_STAMP: "selscan: an exported program must run on the version of selscan and "
    "the kind of CPU that it was made with; got others. Export it there.",
    xla_handler.NOT_LINKED: "selscan: the kernels of a program must have been compiled when it was "
    "loaded; got none. Import selscan.jax before.",
    xla_handler.WRONG_ORDERS: "selscan: path must be -1 for padding or pixel numbers of the map, "
    "each at most once on a route; got others. Outside of JAX's transforms the message says where.",
}
_TILES, _ROWS = ("load_tile", "store_tile"), ("load_rows", "store_rows")
_TILE_SLOTS = at.LOAD_TILE, at.STORE_TILE, at.LOAD_ROWS, at.STORE_ROWS
# The most that a kernel adds to what it asks for: the argument array and the scratch are aligned.
_ALIGNMENT = 128


def _kernels():
    """The arguments of `kernel` for each that there is, in an order that is always the same."""
    states, coefficients = (REAL_STATES, COMPLEX_STATES), (SHARED, CONSTANT)
    for name, real in itertools.product(("forward", "backward", "step"), (F32, F64)):
        for kinds in itertools.product(states, coefficients, coefficients):
            yield name, real, kinds
    for name, real in itertools.product(_TILES + _ROWS, (F32, F64)):
        yield name, real, ()
    for name, real in itertools.product(("gather", "place"), COPIED.values()):
        yield name, real, ()
    yield "orders", orders.INT32, ()
    for real, total in {(x.dtype, y.dtype): (x, y) for x, y in ADDED.values()}.values():
        yield "merge", real, (total,)


def _key(name, real, kinds):
    return name, real.dtype, *(kind.dtype for kind in kinds)


_KERNELS = tuple(_kernels())
_NUMBERS = {_key(*x): i for i, x in enumerate(_KERNELS, FIRST)}
_SIGNATURES = dict.fromkeys(_TILES, run.TILE) | dict.fromkeys(_ROWS, run.ROWS)
_messages = {i: ctypes.create_string_buffer(text.encode()) for i, text in MESSAGES.items()}
# In use by compiled handlers as long as there is a process.
_table = np.zeros(FIRST + len(_KERNELS), np.int64)
llvmlite.binding.add_symbol(xla_handler.SYMBOL, _table.ctypes.data)


class Program(NamedTuple):
    """A plan for XLA."""

    block: np.ndarray  # int64
    tables: tuple  # of int32: operands behind those that were named
    scratch: int  # bytes of the last result


def program(plan, given, results):
    """The Program of a plan, with operands and results in the order of these names."""
    is_scan = not isinstance(plan, RoutesPlan | OrdersPlan)
    layout, slots, tables = (_of_scan if is_scan else _of_move)(plan)
    tiles = () if not is_scan else _TILES if plan.path is None else _TILES + _ROWS
    template, workers = plan.template.copy(), run.workers_of(plan)
    template[list(tables)] = 0  # addresses, and those that a call of Python may have entered
    template[[at.ENTRY, *(_TILE_SLOTS if is_scan else ())]] = 0
    run.set_tasks(template, plan)
    head = np.zeros(xla_handler.HEAD, np.int64)
    for i, value in {
        xla_handler.STAMP: _stamp(),
        xla_handler.KERNEL: _NUMBERS[_key(plan.kernel, plan.real, plan.kinds)],
        **{xla_handler.LOAD_TILE + i: _NUMBERS[x, plan.real.dtype] for i, x in enumerate(tiles)},
        xla_handler.WORKERS: workers,
        xla_handler.SCRATCH_SIZE: 8 * layout.END + workers * plan.scratch + _ALIGNMENT,
        xla_handler.SCRATCH_SLOT: layout.SCRATCH,
        xla_handler.OWN_SLOT: at.OWN_ADDRESS if is_scan else -1,
        xla_handler.WRONG_SLOT: orders.WRONG if layout is orders else -1,
        xla_handler.OPERANDS: len(given) + len(tables),
        xla_handler.RESULTS: len(results),
        xla_handler.SIZE: layout.END,
    }.items():
        head[i] = value
    order = [*(slots[x] for x in given), *tables, *(slots[x] for x in results)]
    block = np.concatenate([head, np.array(order, np.int64), template])
    scratch = int(head[xla_handler.SCRATCH_SIZE])
    return Program(block, tuple(x.ravel().view(np.int32) for x in tables.values()), scratch)


def _of_scan(plan):
    """The layout of the argument array, slots by name, and the tables by their slot."""
    is_known = plan.path is not None and plan.path.table is not None
    tables = {at.TABLE: plan.path.table} if is_known else {}
    if plan.stops is not None:
        tables[at.STOPS] = plan.stops
    if plan.windows is not None:
        tables[at.WINDOWS] = plan.windows.table
    return at, SLOTS, tables


def _of_move(plan):
    if isinstance(plan, OrdersPlan):
        return orders, orders.SLOTS, {}
    return moves, moves.SLOTS, {slot: x for slot, x in plan.arrays.items() if x.size}


def lanes(real):
    """Channels of a vector, as kept states have them."""
    return simd.lanes_of(numba.from_dtype(np.dtype(real)))


def link(block):
    """Compile what a block names, where that is not done; a block of another selscan is left."""
    if len(block) < xla_handler.HEAD or block[xla_handler.STAMP] != _stamp():
        return
    _have_threads(int(block[xla_handler.WORKERS]))
    first, last = xla_handler.KERNEL, xla_handler.STORE_ROWS
    missing = [i for i in block[first : last + 1].tolist() if i and not _table[i]]
    if not missing:
        return
    kernels = [_KERNELS[i - FIRST] for i in missing]
    entries = {kernel_of(*x): _SIGNATURES.get(x[0], run.KERNEL) for x in kernels}
    found = run.addresses_of(entries, form_of(*kernels[0]))
    for i, entry in zip(missing, entries, strict=True):
        _table[i] = found[entry]


def _have_threads(workers):
    """Have the threads that a call wants besides XLA's own."""
    if workers > 1:
        run.addresses_of(run.THREADS, "threads")
        pool = threads.pool()
        pool.grow(workers - 1)
        _table[xla_handler.POOL], _table[xla_handler.POOL_SIZE] = pool.address, pool.size


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def _load(frame):
    """Compile what a program needs that was made in another process; in Python, with the GIL.

    What goes wrong here is printed by ctypes, and the handler says that kernels are missing.
    """
    block = xla_handler.find_block(frame)
    if block is not None:
        link(block)


def loader():
    """The address of the function that XLA calls when it loads a program."""
    return ctypes.cast(_load, ctypes.c_void_p).value


@functools.cache
def handler():
    """The address of the function that XLA calls to run a kernel."""
    entry = xla_handler.compile_handler()
    for i, text in _messages.items():
        _table[i] = ctypes.addressof(text)
    for i in range(xla_handler.LOCKS):
        _table[xla_handler.LOCK + i] = threads.closed_lock()
    _table[xla_handler.OWN_STAMP] = _stamp()
    found = run.addresses_of({entry: (numba.int64,)}, "handler of XLA calls")
    _table[xla_handler.DO_TASKS] = found[tasks.do_tasks]
    return found[entry]


def _stamp():
    """What blocks must have in common with the selscan that runs them."""
    text = f"{source_version()} {simd.BITS}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")
