"""python -m selscan: what it prints, and the exit code."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import run_python

import selscan
from selscan import __main__, bench, check, machine, warmup
from selscan.backends.cpu import cache
from selscan.backends.folders import Folder
from selscan.cases import CASES

ROOT = Path(__file__).parents[1]
QUICK = ("bench", "--case", "vim", "--seconds", "0.001")


def run(*argv):
    """(exit code, standard output) of a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = __main__.main(list(argv))
    return code, out.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_check_is_the_default(monkeypatch):
    monkeypatch.setattr(check, "check_speed", lambda backend: None)
    _, text = run()

    assert "\nNumbers: cpu" in text


def test_warmup_leaves_all_kernels_on_disk_and_says_where():
    code, text = run("warmup")

    assert code == 0
    *lines, last = text.splitlines()
    assert [line.split()[0] for line in lines] == ["scan", "scan_backward", "scan_step"]
    assert last.endswith(f" kernels are in {cache.folder.open()}")


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["scan", "--dtype", "float32", "complex64"], ["scan float32", "scan complex64"]),
        (["gather", "scatter"], ["gather float32", "scatter float32"]),
        (["scan2d", "--constant", "none", "both"], ["scan2d float32"]),
        (["jax", "--dtype", "float32", "float64"], ["jax float32"]),
        (
            ["scan_step", "scan", "--constant", "none", "B", "both"],
            [
                f"{name} float32{form}"
                for name in ("scan_step", "scan")
                for form in ("", ", B constant in time", ", B and C constant in time")
            ],
        ),
    ],
)
def test_warmup_compiles_what_is_named(monkeypatch, argv, lines):
    done = []
    functions = {name: lambda *form, name=name: done.append(name) for name in warmup.FUNCTIONS}
    monkeypatch.setattr(warmup, "FUNCTIONS", functions)
    _, text = run("warmup", *argv)

    assert [line[:44].rstrip() for line in text.splitlines()[:-1]] == lines
    assert done == [line.split()[0] for line in lines]


def test_warmup_fails_where_kernels_are_not_kept(monkeypatch, capsys):
    def nowhere():
        raise OSError("no disk")

    monkeypatch.setattr(cache, "folder", Folder(nowhere, ".nbc"))
    code, _ = run("warmup", "scan")

    assert code == 1
    assert "kernels could not be kept on disk" in capsys.readouterr().err


def test_warmup_refuses_what_it_does_not_know(capsys):
    with pytest.raises(SystemExit) as stop:
        __main__.main(["warmup", "scam"])

    assert stop.value.code == 2
    assert "'scam'" in capsys.readouterr().err


def test_a_process_after_warmup_compiles_nothing():
    """Of all forms that the command calls, but for those that take long to compile."""
    code = """
from selscan.backends.cpu import run
from selscan.warmup import FUNCTIONS
for name in ("scan", "scan_backward", "scan_step", "scan2d", "gather", "scatter"):
    FUNCTIONS[name]("float32", "none")
stats = [entry.stats for entry in run._addresses]
print(min(sum(x.cache_hits.values()) for x in stats), any(x.cache_misses for x in stats))
"""
    assert (
        run("warmup", "scan", "scan_backward", "scan_step", "scan2d", "gather", "scatter")[0] == 0
    )

    done = run_python(code)

    assert (done.stdout, done.stderr) == ("1 False\n", "")


def test_bench_list_names_every_case():
    code, text = run("bench", "--list")

    assert code == 0
    assert [line.split()[0] for line in text.splitlines()[1:]] == list(CASES)
    assert max(map(len, text.splitlines())) <= 80


def test_bench_prints_a_line_for_each_operation():
    code, text = run(*QUICK)

    assert code == 0
    assert "\nvim: u (8, 384, 197), n = 16" in text
    for operation in ("forward", "backward", "forward+backward"):
        assert f"\n  cpu          {operation:16s} " in text


def test_bench_json_is_all_that_comes_out(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "selscan", *QUICK, "--json", "--layout", "bld"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"]["selscan"] == selscan.__version__
    assert (found["dtype"], found["layout"]) == ("float32", "bld")
    assert {row["case"]["name"] for row in found["results"]} == {"vim"}
    rows = [row for row in found["results"] if row["backend"] == "cpu"]
    assert [row["operation"] for row in rows] == ["forward", "backward", "forward+backward"]
    assert all(0 < row["p20_ms"] <= row["p50_ms"] <= row["p80_ms"] for row in rows)


def test_bench_refuses_an_unknown_case_and_lists_the_names(capsys):
    with pytest.raises(SystemExit) as stop:
        __main__.main(["bench", "--case", "vimm"])

    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert "'vimm'" in message
    assert all(name in message for name in CASES)


def test_bench_refuses_more_threads_than_there_are(capsys):
    with pytest.raises(SystemExit) as stop:
        __main__.main([*QUICK, "--threads", "100000"])

    assert stop.value.code == 2
    assert "--threads must be 1 .. " in capsys.readouterr().err


def test_bench_sets_the_threads_of_numba():
    numba = pytest.importorskip("numba")
    before = numba.get_num_threads()
    try:
        run(*QUICK, "--threads", "1")
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(before)


def test_bench_without_a_usable_backend_fails(monkeypatch, capsys):
    monkeypatch.setattr(selscan, "list_backends", list)
    code, text = run(*QUICK)

    assert (code, text) == (1, "")
    assert "no backend is usable" in capsys.readouterr().err


@pytest.mark.parametrize(("stream", "drawn"), [(io.StringIO(), False), (Terminal(), True)])
def test_bench_draws_progress_on_a_terminal_only(monkeypatch, stream, drawn):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", stream)
    run(*QUICK)

    assert ("vim, cpu, forward: " in stream.getvalue()) == drawn
    assert bool(stream.getvalue()) == drawn


def test_bench_needs_no_bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    code, text = run(*QUICK)

    assert code == 0
    assert "\n  cpu          backward         " in text


def test_measure_leaves_the_first_call_out():
    calls = []

    durations = bench.measure(lambda: calls.append(0), 0.001)

    assert len(durations) == len(calls) - 1
    assert sum(durations) >= 1


def test_measure_calls_a_slow_function_three_times_more():
    assert len(bench.measure(lambda: None, 0)) == 3


def test_info_is_a_block_with_versions_backends_and_a_first_scan():
    code, text = run("info")

    assert code == 0
    assert text.startswith("```text\nselscan     ")
    assert text.endswith("\n```\n")
    assert f"numpy {np.__version__}" in text
    assert "\ncpu         usable" in text
    assert "\nfirst scan  " in text
    assert "\ncache       " in text


def test_info_shows_no_home_directory_and_no_user_name(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/scratch/ada/cache:/home/ada/cache")
    monkeypatch.setattr(machine, "first_scan", list)
    _, text = run("info")

    assert "NUMBA_CACHE_DIR=/scratch/USER/cache:~/cache" in text


def test_info_tells_of_a_scan_that_fails(monkeypatch):
    def broken(**keywords):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(selscan, "scan", broken)
    code, text = run("info")

    assert code == 0
    assert "\nfirst scan  RuntimeError: no such instruction\n" in text
