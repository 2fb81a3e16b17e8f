"""The scripts in docs/examples, shortened."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs/examples"

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def threads_of_torch():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_of_torch")
def test_the_digits_classifier_learns_within_three_epochs(capsys):
    score = load("digits").main(epochs=3)

    assert score > 0.8
    assert f"test accuracy {score:.1%} on 360 images" in capsys.readouterr().out
