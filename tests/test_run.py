"""python -m selscan run: scripts and modules run as Python's own, and find selscan."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]
SCRIPT = """
    import sys, __main__
    from pathlib import Path
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    import neighbour

    if __name__ == "__main__":
        print(sys.argv, Path(sys.path[0]).resolve() == Path(__file__).resolve().parent)
        print(__main__.selective_scan_fn is selective_scan_fn, __spec__ is None)
        if "fail" in sys.argv:
            raise RuntimeError("of the script")
        sys.exit(7 if "exit" in sys.argv else None)
"""


@pytest.fixture
def folder(tmp_path):
    """With a script, a module beside it, and a package."""
    for name, code in {
        "here/script.py": SCRIPT,
        "here/neighbour.py": "",
        "package/__init__.py": "",
        "package/__main__.py": "import sys, mamba_ssm; print(__name__, __package__, sys.argv[1:])",
        "package/part.py": "import sys, mamba_ssm; print(__spec__.name, Path(sys.argv[0]).name)",
        "children.py": CHILDREN,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        code = textwrap.dedent(code).replace(
            "import sys, mamba", "import sys; from pathlib import Path; import mamba"
        )
        path.write_text(code)
    return tmp_path


def python(folder, *arguments, **variables):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def run(folder, *arguments, **variables):
    return python(folder, "-m", "selscan", "run", *arguments, **variables)


CHILDREN = """
    import multiprocessing
    import subprocess
    import sys

    import mamba_ssm  # also in the child, which imports this file once more


    def work(queue):
        import selective_scan_cuda

        queue.put(selective_scan_cuda.fwd.__module__)


    if __name__ == "__main__":
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(target=work, args=(queue,))
        process.start()
        print(queue.get())
        process.join()
        code = "import causal_conv1d; print(causal_conv1d.causal_conv1d_fn.__module__)"
        subprocess.run([sys.executable, "-c", code], check=True)
"""


def test_a_script_has_its_arguments_its_folder_and_its_main_module(folder):
    done = run(folder, "here/script.py", "-m", "--flag", "x")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['here/script.py', '-m', '--flag', 'x'] True",
        "True True",
    ]


def test_exit_codes_are_those_of_python(folder):
    assert run(folder, "here/script.py", "exit").returncode == 7
    failed = run(folder, "here/script.py", "fail")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == "RuntimeError: of the script"
    assert "here/script.py" in failed.stderr


def test_what_is_not_there_is_refused_as_python_does(folder):
    for arguments in (["nothing.py"], ["-m", "nothing"]):
        ours, own = run(folder, *arguments), python(folder, *arguments)

        assert ours.returncode == own.returncode
        assert "nothing" in ours.stderr


def test_modules_and_packages_run_with_m(folder):
    done = run(folder, "-m", "package", "--flag")
    assert done.stdout.split(maxsplit=2) == ["__main__", "package", "['--flag']\n"], done.stderr

    done = run(folder, "-m", "package.part")
    assert done.stdout.split() == ["package.part", "part.py"], done.stderr


def test_processes_that_a_script_starts_find_selscan_as_well(folder):
    (folder / "site").mkdir()
    (folder / "site/sitecustomize.py").write_text("import os; os.write(1, b'other\\n')")
    path = os.pathsep.join((str(ROOT), str(folder / "site")))

    done = run(folder, "children.py", PYTHONPATH=path)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert [x for x in lines if x != "other"] == [
        "selscan.compat.extensions.selective_scan_cuda",
        "selscan.compat.causal_conv1d.causal_conv1d_interface",
    ]
    assert lines.count("other") >= 3
