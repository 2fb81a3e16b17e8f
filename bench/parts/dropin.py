"""A small model of transformers with and without selscan.patch (bench/dropin.py)."""

import importlib.util
import time
from dataclasses import asdict

from bench.child import call, progress
from bench.rows import Row, markdown, nothing, quantiles, short

MODEL, HIDDEN, LAYERS = "Mamba", 256, 4
CASE = f"{MODEL}, {LAYERS} layers of {HIDDEN}"


def measure(options):
    """Rows for each thread count."""
    rows = []
    for threads in options.threads:
        request = {"threads": threads, "turns": 2 if options.quick else 5}
        rows += [Row(**row) for row in call(child, request, threads=threads)]
    return rows


def child(request):
    """Times of both, in turns; their results are compared."""
    threads = request["threads"]
    row = Row(CASE, "transformers", "all", "time", **nothing(), unit="ms", threads=threads)
    if importlib.util.find_spec("transformers") is None:
        return [asdict(row) | {"note": "pip install transformers"}]
    import transformers

    from bench import dropin

    transformers.logging.set_verbosity_error()
    work = dropin.Work(dropin.model_of(MODEL, HIDDEN, LAYERS))
    clock = time.process_time if threads == 1 else time.perf_counter
    progress(f"dropin: {CASE}, {threads} threads")
    rows = []
    for mode, (plain, ours, results) in dropin.measure(work, request["turns"], clock).items():
        dropin.compared(mode, *results)
        for peer, times in {"transformers": plain, "selscan": ours}.items():
            numbers = quantiles([1e3 * x for x in times])
            rows.append(asdict(row) | numbers | {"peer": peer, "mode": mode})
    return rows


def tables(rows):
    """Kinds of work down, thread counts across."""
    cells = {(row.mode, row.peer, row.threads): row.p50 for row in rows if row.p50}
    threads = sorted({row.threads for row in rows})
    lines = []
    for mode in dict.fromkeys(mode for mode, _, _ in cells):
        line = [mode]
        for count in threads:
            plain, ours = (cells[mode, peer, count] for peer in ("transformers", "selscan"))
            line += [short(plain), f"{short(ours)} ({short(plain / ours)}x)"]
        lines.append(line)
    header = [""]
    for count in threads:
        header += [f"plain, {count} threads", "patched (gain)"]
    yield f"{CASE}, with and without selscan.patch, ms, median\n\n{markdown(header, lines)}"
    yield "\n".join(f"- not measured: {row.peer}: {row.note}" for row in rows if row.note)
