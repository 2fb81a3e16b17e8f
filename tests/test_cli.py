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

import reference
import selscan
from selscan import __main__, bench, check, machine
from selscan.cases import CASES

ROOT = Path(__file__).parents[1]
QUICK = ("bench", "--case", "vim", "--seconds", "0.001")


def run(*argv):
    """(exit code, standard output) of a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = __main__.main(list(argv))
    return code, out.getvalue()


def run_python(directory, *argv):
    """A Python process in another directory that finds this selscan."""
    return subprocess.run(
        [sys.executable, *argv],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def checked():
    return run("check")


@pytest.fixture
def no_speed(monkeypatch):
    """The check without its timings."""
    monkeypatch.setattr(check, "check_speed", lambda backend: None)


def test_check_finds_this_installation_well(checked):
    code, text = checked

    assert code == 0
    assert text.endswith("All is well.\n")
    assert "WRONG" not in text


def test_check_names_versions_devices_and_every_backend(checked):
    _, text = checked

    assert f"numpy {np.__version__}" in text
    assert "CPU  " in text
    assert "GPU  " in text
    for info in selscan.list_backends():
        assert f"\n{info.name:11s} {'usable' if info.usable else 'not usable: '}" in text


def test_check_prints_an_error_for_each_shape_and_a_time_for_each_loop(checked):
    _, text = checked

    assert text.count("  ok\n") >= len(check.SHAPES)
    assert "\n  selscan on NumPy arrays " in text
    assert "\n  NumPy loop " in text


def test_check_compares_with_the_plain_torch_loop(checked):
    pytest.importorskip("torch")
    _, text = checked

    assert "\n  selscan on torch tensors " in text
    assert "\n  plain torch loop " in text


def test_check_fits_80_columns(checked):
    _, text = checked

    assert max(map(len, text.splitlines())) <= 80


def test_check_is_the_default(no_speed):
    _, text = run()

    assert "\nNumbers: cpu" in text


def test_check_in_another_directory_without_torch_or_a_terminal(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from selscan.__main__ import main; exit(main())"
    )

    done = run_python(tmp_path, "-c", code)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n  plain torch loop: not timed, " in done.stdout
    assert done.stdout.endswith("All is well.\n")


@pytest.mark.usefixtures("no_speed")
@pytest.mark.parametrize("wrong", [1.001, np.nan])
def test_check_fails_when_the_forward_is_wrong(monkeypatch, wrong):
    scan = selscan.scan

    def almost(*args, **keywords):
        y, last_state = scan(*args, **keywords)
        return y * np.float32(wrong), last_state

    monkeypatch.setattr(selscan, "scan", almost)
    code, text = run("check")

    assert code == 1
    assert text.count("WRONG") == len(check.SHAPES)
    assert "\nNOT WELL: cpu. Please report this output.\n" in text


@pytest.mark.usefixtures("no_speed")
@pytest.mark.parametrize("name", ["u", "delta", "A", "B", "C", "D", "delta_bias"])
def test_check_fails_when_one_gradient_is_wrong(monkeypatch, name):
    scan_backward = selscan.scan_backward

    def almost(*args, **keywords):
        grads = scan_backward(*args, **keywords)
        return grads._replace(**{name: getattr(grads, name) * np.float32(1.001)})

    monkeypatch.setattr(selscan, "scan_backward", almost)
    code, text = run("check")

    assert code == 1
    assert "WRONG" in text


@pytest.mark.usefixtures("no_speed")
def test_check_fails_when_a_backend_raises(monkeypatch):
    def broken(*args, **keywords):
        raise RuntimeError("the kernel does not compile")

    monkeypatch.setattr(selscan, "scan", broken)
    code, text = run("check")

    assert code == 1
    assert "cpu failed: RuntimeError: the kernel does not compile" in text


def test_check_fails_when_no_backend_is_usable_and_says_why(monkeypatch):
    info = selscan.list_backends()[0]._replace(usable=False, reason="pip install 'what-helps'")
    monkeypatch.setattr(selscan, "list_backends", lambda: [info])
    code, text = run("check")

    assert code == 1
    assert "cpu         not usable: pip install 'what-helps'\n" in text
    assert "NOT WELL: no backend is usable." in text


@pytest.mark.parametrize(("case", "options"), check.SHAPES)
def test_the_loop_of_check_is_the_reference(case, options):
    arrays = check.problem(case, options)
    found = check.expected(arrays, options)
    dy, dlast_state = arrays.pop("dy"), arrays.pop("dlast_state")
    keywords = {"delta_softplus": True, "reverse": "reverse" in options}

    y, last_state = reference.scan(**arrays, return_last_state=True, **keywords)
    grads = reference.scan_backward(dy, **arrays, dlast_state=dlast_state, **keywords)._asdict()

    right = {"y": y, "last_state": last_state}
    right |= {f"d{name}": x for name, x in grads.items() if x is not None}
    assert found.keys() == right.keys()
    assert max(check.error(found[name], right[name]) for name in right) < 1e-13


def test_the_torch_loop_of_check_is_its_numpy_loop():
    torch = pytest.importorskip("torch")
    arrays = check.make_inputs(check.Case("one group", 2, 5, 9, 3, 1, ""), "float64")
    tensors = {name: torch.from_numpy(x) for name, x in arrays.items()}
    tensors |= {name: tensors[name][:, 0] for name in ("B", "C")}

    found = check.torch_loop(**tensors).numpy()

    assert check.error(found, check.loop(**arrays)[0]) < 1e-13


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
    done = run_python(tmp_path, "-m", "selscan", *QUICK, "--json", "--layout", "bld")

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
    monkeypatch.setattr(sys, "stderr", stream)
    run(*QUICK)

    assert (
        f"1/{3 * sum(x.usable for x in selscan.list_backends())} vim" in stream.getvalue()
    ) == drawn
    assert bool(stream.getvalue()) == drawn


def test_measure_calls_a_slow_function_once_and_drops_a_quick_ones_first_call():
    calls = []

    assert len(bench.measure(lambda: calls.append(0), 1e-9)) == len(calls) == 1

    calls.clear()
    durations = bench.measure(lambda: calls.append(0), 0.01)
    assert len(durations) == len(calls) - 1 > 1


def test_info_is_a_block_with_versions_backends_and_a_first_scan():
    code, text = run("info")

    assert code == 0
    assert text.startswith("```text\nselscan     ")
    assert text.endswith("\n```\n")
    assert f"numpy {np.__version__}" in text
    assert "\ncpu         usable" in text
    assert "\nfirst scan  " in text


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
