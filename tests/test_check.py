"""python -m selscan check: what it prints, and when it fails."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import reference
import selscan
from selscan import __main__, check, machine
from selscan.cases import Case, make_inputs

ROOT = Path(__file__).parents[1]


def run():
    """(exit code, standard output) of a check in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = __main__.main(["check"])
    return code, out.getvalue()


@pytest.fixture(scope="module")
def checked():
    return run()


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


def test_check_in_another_directory_without_torch_or_a_terminal(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from selscan.__main__ import main; exit(main())"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

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
    code, text = run()

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
    code, text = run()

    assert code == 1
    assert "WRONG" in text


@pytest.mark.usefixtures("no_speed")
def test_check_fails_when_a_backend_raises(monkeypatch):
    def broken(*args, **keywords):
        raise RuntimeError("the kernel does not compile")

    monkeypatch.setattr(selscan, "scan", broken)
    code, text = run()

    assert code == 1
    assert "cpu failed: RuntimeError: the kernel does not compile" in text


def test_check_fails_when_no_backend_is_usable_and_says_why(monkeypatch):
    info = selscan.list_backends()[0]._replace(usable=False, reason="pip install 'what-helps'")
    monkeypatch.setattr(selscan, "list_backends", lambda: [info])
    code, text = run()

    assert code == 1
    assert "cpu         not usable: pip install 'what-helps'\n" in text
    assert "NOT WELL: no backend is usable." in text


@pytest.mark.usefixtures("no_speed")
@pytest.mark.parametrize(("load", "warned"), [(0.9, False), (1.1, True)])
def test_check_warns_when_the_machine_is_busy(monkeypatch, load, warned):
    monkeypatch.setattr(machine, "processors", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0), raising=False)
    _, text = run()

    assert ("\nBusy before this began (load 1.1, 2 processors)" in text) == warned


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
    arrays = make_inputs(Case("one group", 2, 5, 9, 3, 1, ""), "float64")
    tensors = {name: torch.from_numpy(x) for name, x in arrays.items()}
    tensors |= {name: tensors[name][:, 0] for name in ("B", "C")}

    found = check.torch_loop(**tensors).numpy()

    assert check.error(found, check.loop(**arrays)[0]) < 1e-13
