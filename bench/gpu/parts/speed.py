"""Times of selscan and its peers on the shapes of models, each checked against float64 first.

Peers take turns, so that all see the same clocks. Inputs are several sets that do not fit into the
L2 cache together.
"""

import contextlib
from dataclasses import replace

from bench.child import one_line
from bench.gpu import classes, limits, shapes
from bench.gpu.outcomes import ABSENT, FAILED, NotAvailable
from bench.gpu.worker import device_is_lost
from bench.rows import Row, markdown, nothing, quantiles, short
from selscan import BackendUnavailable

PATIENCE = 60
ROUNDS, ROUND = 3, 0.05  # seconds of a peer in a round
MODES = {**shapes.MODES, "step": "one step"}


def names(options):
    """Shapes and modes: the first step, each kind of kernel once, then all others."""
    first, *steps = (f"{name}, step" for name in shapes.STEPS)
    cells = [(shape, mode) for shape in shapes.SHAPES.values() for mode in shapes.MODES]
    scans = [f"{shape.name}, {mode}" for shape, mode in classes.telling_first(cells)]
    return [first, *scans, *steps]


def run(name, options):
    """Times of each peer, or why there are none; and of selscan the plan and the memory."""
    from bench.gpu import checks
    from bench.gpu.peers import PEERS

    case, mode = name.rsplit(", ", 1)
    shape = (shapes.STEPS if mode == "step" else shapes.SHAPES)[case]
    sets = input_sets(shape)
    row = Row(case, "-", mode, "time", **nothing(), unit="us", threads=0)
    wanted = None if mode == "step" else checks.expected(sets[0], shape, mode)
    clocks, notes = {}, {}
    for peer in PEERS.values():
        try:
            found = prepare(peer, sets, shape, mode, options, wanted)
            clocks[peer.name], notes[peer.name] = found
        except (NotAvailable, BackendUnavailable) as error:
            notes[peer.name] = ABSENT + str(error).removeprefix("selscan: ")
        except Exception as error:  # other people's code: a line of the table
            notes[peer.name] = FAILED + one_line(error)
            if device_is_lost():
                raise
        if peer.name not in clocks:
            yield replace(row, peer=peer.name, note=notes[peer.name])
    for _ in range(ROUNDS):
        for clock in clocks.values():
            clock.round(ROUND)
    for peer, clock in clocks.items():
        yield replace(row, peer=peer, **quantiles(clock.times), note=notes[peer])
        yield replace(row, peer=peer, metric="eager", **quantiles([clock.eager()]))
        yield replace(row, peer=peer, metric="memory", **quantiles([clock.memory]), unit="MB")


def input_sets(shape):
    """Inputs, as many sets as do not fit into the L2 cache together."""
    from bench.gpu import inputs, timing

    timing.release()
    first = inputs.make(shape, 0)
    count = timing.sets_for(inputs.size_of(first), timing.cache_size())
    return [first, *(inputs.make(shape, seed) for seed in range(1, count))]


def prepare(peer, sets, shape, mode, options, wanted):
    """A clock of a peer whose results are right, and what is to be said of it."""
    from bench.gpu import checks, timing

    if wanted is None:  # a step goes on from the state that the peers before it left
        wanted = checks.expected(sets[0], shape, mode)
    with launches() as plans:
        call = peer.make(sets[0], shape, mode, options)
        results = call()
    if fault := checks.fault(results, wanted):
        raise ArithmeticError(fault)
    del results
    memory = timing.peak(call)
    clock = timing.Clock([peer.make(inputs, shape, mode, options) for inputs in sets])
    clock.memory = memory
    how = "in a graph" if clock.in_graph else "queued"
    return clock, "; ".join([how, *map(describe, plans)])


@contextlib.contextmanager
def launches():
    """The plans that selscan launches meanwhile."""
    from unittest import mock

    from selscan.backends import cupy

    plans, launch = [], cupy.launch

    def noted(plan, addresses, stream):
        plans.extend(plan if isinstance(plan, list) else [plan])
        return launch(plan, addresses, stream)

    with mock.patch.object(cupy, "launch", noted):
        yield plans


def describe(plan):
    """The instance and the grid of a plan, as far as it has them."""
    name = getattr(plan, "name", type(plan).__name__)
    if not hasattr(plan, "grid"):
        return name
    return f"{name}, {plan.grid} x {plan.block} threads, {plan.shared / 1024:.0f} KB"


# ---- tables ------------------------------------------------------------------------------------


def tables(rows, rates):
    """A table for each mode, and what was not measured."""
    for mode, title in MODES.items():
        if lines := list(lines_of(rows, mode, rates)):
            header = ["", "selscan", "p20-p80", "eager", "MB", "limit", "of it", *OTHERS]
            yield f"{title}: us, medians (times as long as selscan)\n\n{markdown(header, lines)}"
    yield "\n".join(reasons(rows))


OTHERS = ("numba_cuda", "mamba_ssm", "loop", "associative_scan")


def lines_of(rows, mode, rates):
    """A line a shape."""
    cells = {(row.case, row.peer, row.metric): row for row in rows if row.mode == mode}
    for case in dict.fromkeys(case for case, *_ in cells):
        own = cells.get((case, "selscan", "time"))
        median = own.p50 if own else None
        spread = f"{short(own.p20)}-{short(own.p80)}" if median else "-"
        more = (value(cells.get((case, "selscan", metric))) for metric in ("eager", "memory"))
        line = [case, short(median), spread, *more, *against_limit(case, mode, median, rates)]
        yield line + [ratio(cells.get((case, peer, "time")), median) for peer in OTHERS]


def value(row):
    return short(row.p50 if row else None)


def against_limit(case, mode, median, rates):
    """The limit with what makes it, and how much of it is reached."""
    shape = (shapes.STEPS | shapes.SHAPES)[case]
    found = limits.limit(limits.work(shape, mode), rates)
    if found is None:
        return "-", "-"
    reached = f"{100 * found.us / median:.0f} %" if median else "-"
    return f"{short(found.us)} {found.name}", reached


def ratio(row, median):
    """A peer's time, and how many times that of selscan it is."""
    if row is None or row.p50 is None:
        return "-"
    return short(row.p50) + (f" ({short(row.p50 / median)}x)" if median else "")


def reasons(rows):
    """What was launched, and why cells are empty; a reason that many have is given once."""
    for row in rows:
        if row.peer == "selscan" and row.metric == "time" and row.p50:
            yield f"- {row.case}, {row.mode}: {row.note}"
    found = {}
    for row in rows:
        if row.p50 is None:
            found.setdefault((row.peer, row.note), []).append(f"{row.case} {row.mode}")
    for (peer, note), cases in found.items():
        where = ", ".join(cases) if len(cases) < 4 else f"{len(cases)} rows"
        yield f"- {peer}, {where}: {note}"
