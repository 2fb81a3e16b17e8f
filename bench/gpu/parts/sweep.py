"""All mappings of some shapes, with what planning expects of each: to tune plan.py.

Only by name, as it is no part of the plan: `python -m bench.gpu sweep`.
"""

from bench.gpu import shapes
from bench.rows import Row, markdown, quantiles, short

PATIENCE = 60
CHOSEN = "chosen"


def names(options):
    """The shapes."""
    return list(shapes.SHAPES)


def run(name, options):
    """The time of each mapping; the note has the estimate, and says which one is chosen."""
    from unittest import mock

    from bench.gpu import peers, timing
    from bench.gpu.parts.speed import input_sets
    from selscan.backends.cupy import plan
    from selscan.ops import scan as ops

    shape, seen = shapes.SHAPES[name], []
    sets = input_sets(shape)
    choose = plan.choose

    def watched(problem, element, device):
        seen.append((problem, element, device))
        return choose(problem, element, device)

    def planned_by(function):
        ops.prepare_forward.cache_clear()
        return mock.patch.object(plan, "choose", function)

    calls = [peers.ours(inputs, shape, "forward", options) for inputs in sets]
    with planned_by(watched):
        calls[0]()
    asked = seen[0]  # for the plan; the others are for its scratch
    best = choose(*asked)
    for mapping in plan.mappings(*asked):
        with planned_by(lambda *_, mapping=mapping: mapping):
            clock = timing.Clock(calls)
            clock.round(0.02)
        estimate = plan.estimate(asked[0], mapping, asked[2])
        case = " ".join(f"{k} {v}" for k, v in mapping._asdict().items())
        note = f"{estimate:.0f} cycles" + (f", {CHOSEN}" if mapping == best else "")
        values = quantiles(clock.times)
        yield Row(name, case, "forward", "sweep", **values, unit="us", threads=0, note=note)
    ops.prepare_forward.cache_clear()


def tables(rows, rates):
    """For each shape the chosen mapping, the fastest, and what choosing right would save."""
    lines = []
    for case in dict.fromkeys(row.case for row in rows if row.p50):
        of_case = [row for row in rows if row.case == case and row.p50]
        fastest = min(of_case, key=lambda row: row.p50)
        for row in of_case:
            if CHOSEN in row.note:
                loss = f"{short(row.p50 / fastest.p50)}x"
                lines.append(
                    [case, row.peer, short(row.p50), fastest.peer, short(fastest.p50), loss]
                )
    if lines:
        header = ["", "chosen", "us", "fastest", "us", "ratio"]
        yield f"Mappings of the forward scan\n\n{markdown(header, lines)}"
