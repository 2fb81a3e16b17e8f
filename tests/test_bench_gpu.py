"""python -m bench.gpu without a GPU: the plan, its processes, what it keeps, and its tables."""

import json
import sys
from pathlib import Path

import pytest

from bench.gpu import __main__ as command
from bench.gpu import outcomes, results, worker
from bench.gpu.parts import PARTS, correct
from bench.rows import Row, quantiles

# ---- processes -----------------------------------------------------------------------------------

FAILURES = {
    "raises": "failed: ValueError: a reason",
    "absent": "not available: there is none",
    "refused": "not available: no GPU.",
    "dies": "failed: the process ended with 7",
    "hangs": "failed: took over 2 s",
}


@pytest.fixture
def run_part(tmp_path, monkeypatch):
    """The rows of tests/bench_part.py, and the names that were begun."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def run(names, seconds=60, module="bench_part"):
        rows = []
        options = {"names": names, "folder": str(tmp_path)}
        with (tmp_path / "log").open("w") as log:
            worker.run_part(module, options, seconds, rows.append, log)
        return rows, {path.name for path in tmp_path.iterdir()} - {"log"}

    return run


def test_a_row_that_fails_costs_no_other(run_part):
    names = [x for name in FAILURES for x in (name, f"after {name}")]

    rows, begun = run_part(names)

    assert begun == set(names)
    assert {row.case for row in rows if row.p50 == 2} == set(names)
    assert {row.case: row.note for row in rows if row.note} == FAILURES


def test_rows_for_which_there_is_no_time_say_so(run_part):
    rows, begun = run_part(["a", "hangs", "b"], seconds=1.5)

    assert begun <= {"a", "hangs"}
    notes = {row.case: row.note for row in rows if row.note}
    assert notes["hangs"] == notes["b"] == "not run: the part's 2 s were over"


def test_a_part_that_cannot_start_is_tried_once(run_part, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    rows, begun = run_part(["a", "b"])

    assert begun == set()
    assert [row.note for row in rows] == [
        "failed: the process ended with 1",
        "not run: the process ended with 1",
    ]


# ---- the command ---------------------------------------------------------------------------------


def test_a_dry_run_prints_every_row_of_the_plan(capsys):
    assert command.main(["--dry-run"]) == 0

    printed = capsys.readouterr().out
    assert [f"\n{part}: " in printed for part in PARTS] == [True] * len(PARTS)
    assert "    lm b1 d2048 l2048, forward\n" in printed
    assert "sweep" not in printed


def test_the_plan_takes_the_minutes_that_are_given():
    assert sum(command.shares(list(PARTS), 8).values()) == pytest.approx(480)
    assert command.shares(["micro"], 2) == {"micro": 120}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["spede"],
            "'spede' is not one of machine, correct, micro, start, speed, models, sanitize, sweep",
        ),
        (["--emulate", "speed"], "only the part correct can be emulated"),
    ],
)
def test_wrong_arguments_are_named(argv, message, capsys):
    with pytest.raises(SystemExit):
        command.main(argv)
    assert message in capsys.readouterr().err


def test_the_kernels_are_checked_in_the_emulator(tmp_path, capsys):
    from emulator import missing

    if reason := missing():
        pytest.skip(reason)

    status = command.main(["--emulate", "--out", str(tmp_path), "--minutes", "0.2"])

    head, rows = results.read(tmp_path / "result.json")
    assert status == 0
    assert head["command"][0] == "--emulate"
    assert {row.mode for _, row in rows if row.p50 is not None} <= {*correct.OPS, *correct.MAP_OPS}
    assert any(row.p50 is not None and row.p50 < 1 for _, row in rows)
    assert "Kernels against float64" in (tmp_path / "report.md").read_text()
    assert "Kernels against float64" in capsys.readouterr().out


def test_a_part_that_fails_as_a_whole_is_a_row(tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("no such part")

    monkeypatch.setattr(worker, "run_part", broken)

    assert command.main(["micro", "start", "--out", str(tmp_path)]) == 1

    _, rows = results.read(tmp_path / "result.json")
    assert [(part, row.note) for part, row in rows] == [
        (part, "failed: RuntimeError: no such part") for part in ("machine", "micro", "start")
    ]
    assert "- micro, micro: failed: RuntimeError: no such part" in capsys.readouterr().out


def test_nothing_more_is_tried_without_a_gpu(tmp_path, monkeypatch, capsys):
    def absent(module, options, seconds, record, log):
        record(outcomes.without("device", "not available: no GPU"))

    monkeypatch.setattr(worker, "run_part", absent)

    assert command.main(["--out", str(tmp_path)]) == 1

    _, rows = results.read(tmp_path / "result.json")
    assert [part for part, _ in rows] == ["machine"]
    assert "device  not available: no GPU" in capsys.readouterr().out.replace("    ", "  ")


def test_nothing_is_timed_if_the_gate_is_shut(tmp_path, monkeypatch, capsys):
    def wrong(module, options, seconds, record, log):
        record(outcomes.without("device", ""))
        record(outcomes.without("gate", "failed: more than 1e-05 of the CPU's norm"))

    monkeypatch.setattr(worker, "run_part", wrong)

    assert command.main(["--out", str(tmp_path)]) == 1

    _, rows = results.read(tmp_path / "result.json")
    assert {part for part, _ in rows} == {"machine"}
    assert "\ngate: SHUT" in capsys.readouterr().out


def test_results_are_on_disk_after_every_row(tmp_path):
    found = results.Results(tmp_path / "new", ["speed"])
    row = Row("lm", "selscan", "forward", "time", **quantiles([3.0]), unit="us", threads=0)

    for count in range(3):
        _, rows = results.read(tmp_path / "new/result.json")
        assert rows == [("speed", row)] * count
        found.record("speed", row)


def test_results_have_the_form_that_is_documented(tmp_path):
    results.Results(tmp_path, []).record("micro", outcomes.without("copy", ""))

    found = json.loads((tmp_path / "result.json").read_text())
    assert {"format", "command", "machine", "gpus", "clocks", "commit", "date"} <= found.keys()
    assert found["rows"][0].keys() == {"part", *Row.__dataclass_fields__}
