"""Tables of a result.json: `python -m bench.gpu.report FILE` prints them again."""

import importlib
import sys

from bench.gpu import limits, results
from bench.gpu.outcomes import ABSENT, FAILED, UNTRIED
from bench.gpu.parts import SECONDS, module_of


def report(head, rows):
    """Markdown: where it ran, the tables of each part, and everything that failed."""
    rates = limits.rates_of([row for _, row in rows])
    texts = ["# selscan on a GPU", where(head), summary([row for _, row in rows])]
    for part in SECONDS:
        if of_part := [row for name, row in rows if name == part]:
            texts.append(f"## {part}")
            texts += filter(None, importlib.import_module(module_of(part)).tables(of_part, rates))
    failures = [f"- {part}, {row.case}: {row.note}" for part, row in rows if failed(row)]
    if failures:
        texts += ["## Failures", "\n".join(failures)]
    return "\n\n".join(texts)


def failed(row):
    return row.note.startswith(FAILED)


def where(head):
    """The machine, its software and its clocks."""
    gpus = "; ".join(head["gpus"]) or "none"
    lines = [
        f"- GPU ({results.WATCHED.replace(',', ', ')}): {gpus}",
        f"- {head['machine']}, Python {head['python']}",
        f"- {head['versions']} {head['cuda_versions']}",
        f"- selscan {head['commit']} (source {head['source']}), {head['date']}",
    ]
    lines += [f"- after {part}: {'; '.join(found)}" for part, found in head["clocks"].items()]
    return "\n".join(lines)


def summary(rows):
    """How many rows came out how."""
    kinds = {FAILED: "failed", ABSENT: "not available", UNTRIED: "not run"}
    counts = dict.fromkeys(["measured", *kinds.values()], 0)
    for row in rows:
        kind = next((text for prefix, text in kinds.items() if row.note.startswith(prefix)), None)
        counts[kind or "measured"] += 1
    return "Rows: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())


if __name__ == "__main__":
    print(report(*results.read(sys.argv[1])))
