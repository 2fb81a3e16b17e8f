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


@pytest.mark.usefixtures("threads_of_torch")
def test_a_small_model_of_each_family_learns_digits_in_one_epoch(capsys):
    families = ("vim", "vmamba", "localvmamba", "efficientvmamba", "msvmamba")
    scores = load("classify_digits").main(families, epochs=1)

    printed = capsys.readouterr().out
    for name, score in scores.items():
        assert f"test {score:6.1%}" in printed
        assert score > 0.5, name  # by chance it would be 0.1
    assert tuple(scores) == families


def test_feature_maps_of_a_photograph_are_drawn(tmp_path):
    images = pytest.importorskip("PIL.Image")

    shapes = load("features").main(file=tmp_path / "maps.png", sizes=[(224, 224), (107, 160)])

    assert [x[2:] for x in shapes[:4]] == [(56, 56), (28, 28), (14, 14), (7, 7)]
    assert [x[2:] for x in shapes[4:]] == [(27, 40), (14, 20), (7, 10), (4, 5)]
    with images.open(tmp_path / "maps.png") as image:
        assert image.height == 2 * (200 + 8)
        assert len(image.getcolors(2**24)) > 1000
