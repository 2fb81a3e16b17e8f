"""The notebooks of docs/notebooks run, and what they keep is what they print."""

import importlib.util
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).parents[1] / "docs/notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run


@pytest.fixture
def torch_as_before():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small calls, and threads that wait take time as well
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["image", "scan"]


@pytest.mark.usefixtures("torch_as_before")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_keeps(run, path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]

    kept = [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]
    assert run(cells, path.name) == kept
    assert any(kept)
