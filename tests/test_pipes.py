"""Commands and examples whose reader stops, and their --help: no traceback."""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs/examples").glob("*.py"))
COMMAND = (sys.executable, "-m", "selscan")
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; "


def run(command, read_a_line=False, **options):
    """(exit code, what came on standard error) of a command of which a line is read, or nothing."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    ) as worker:
        if read_a_line:
            assert worker.stdout.readline()
        worker.stdout.close()
        errors = worker.stderr.read().decode()
    return worker.returncode, errors


@pytest.mark.parametrize(
    "arguments",
    [("models",), ("bench", "--case", "vim", "--seconds", "0.001"), ("check",)],
    ids=" ".join,
)
def test_a_command_ends_in_silence_when_its_reader_does(arguments):
    if arguments == ("models",):
        pytest.importorskip("torch")

    code, errors = run([*COMMAND, *arguments], read_a_line=True)

    assert (code, errors) == (141, "")


@pytest.mark.parametrize("arguments", [("--help",), ("info",), ("bench", "--list")], ids=" ".join)
def test_a_short_command_ends_in_silence_when_nobody_reads(arguments):
    code, errors = run([*COMMAND, *arguments])

    assert (code, errors) == (141, "")


def test_an_example_ends_in_silence_when_nobody_reads():
    pytest.importorskip("sklearn")

    code, errors = run([sys.executable, str(ROOT / "docs/examples/digits.py"), "--help"])

    assert (code, errors) == (-signal.SIGPIPE, "")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_what_it_is_and_ends_with_a_broken_pipe(example, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(sys, "argv", [str(example), "--help"])
    monkeypatch.syspath_prepend(str(example.parent))
    handlers = {}  # not those of the process of all tests
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(example), run_name="__main__")

    assert ended.value.code == 0
    assert f"usage: {example.name}" in capsys.readouterr().out
    assert handlers == {signal.SIGPIPE: signal.SIG_DFL}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import selscan.models",
            "selscan.models needs torch. Install it: pip install 'selscan[models]'",
        ),
        ("from selscan import models", "pip install 'selscan[models]'"),
        ("import selscan.nn", "selscan.nn needs torch. Install it: pip install 'selscan[torch]'"),
        ("import selscan; selscan.nn.Mamba", "pip install 'selscan[torch]'"),
    ],
)
def test_a_part_without_torch_says_what_to_install(code, message):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")
    assert message in done.stderr.splitlines()[-1]


def test_another_module_that_is_missing_is_named():
    code = "import sys; sys.modules['selscan.nn.mixer2d'] = None; import selscan.nn"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert "selscan.nn.mixer2d" in done.stderr.splitlines()[-1]
    assert "pip" not in done.stderr
