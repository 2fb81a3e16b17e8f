"""Models by name: their tensors, parameters and operations, and what `create` refuses."""

import contextlib
import importlib.util
import io
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from golden_models import checkpoint_keys  # noqa: E402, because it imports torch
from model_costs import COSTS  # noqa: E402

from selscan import __main__, models  # noqa: E402
from selscan.models import FAMILIES  # noqa: E402

NAMES = models.list()


@pytest.fixture(scope="module")
def lines():
    """What `python -m selscan models` prints, split into cells, by the name of the model."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert __main__.main(["models"]) == 0
    rows = [line.split() for line in out.getvalue().splitlines()]
    return {row[0]: row for row in rows if row and row[0] in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_state_dict_has_the_names_and_shapes_of_the_official_one(name):
    with torch.device("meta"):
        model = models.create(name)

    found = {key: list(value.shape) for key, value in model.state_dict().items()}

    assert found == checkpoint_keys()[name]


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_operations_are_those_of_the_official_model(name, lines):
    parameters, gflops = COSTS[name]

    assert lines[name][1] == f"{parameters:,}"
    assert float(lines[name][-3]) == pytest.approx(gflops, 0.01)


def test_the_page_of_models_has_the_table(lines):
    page = (Path(__file__).parents[1] / "docs/models.md").read_text(encoding="utf-8")
    rows = [line.split() for line in page.splitlines()]

    assert [row for row in rows if row and row[0] in NAMES] == list(lines.values())


def test_the_page_of_cards_is_that_of_the_tables(lines):
    docs = Path(__file__).parents[1] / "docs"
    spec = importlib.util.spec_from_file_location("cards", docs / "models/cards.py")
    cards = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cards)

    assert (docs / "model-cards.md").read_text(encoding="utf-8") == cards.page(lines)


def test_the_list_has_each_name_once():
    assert len(set(NAMES)) == len(NAMES)
    assert [name for family in FAMILIES for name in family.VARIANTS] == NAMES


def test_the_table_of_models_says_what_it_needs(monkeypatch, capsys):
    for name in [x for x in sys.modules if x.startswith("selscan.models")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)

    assert __main__.main(["models"]) == 1
    expected = "selscan.models needs torch. Install it: pip install 'selscan[models]'"
    assert capsys.readouterr().out == f"models: {expected}\n"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"name": "vmamba_tinny_s1l8"},
            ValueError,
            "create: name must be one of selscan.models.list(); got 'vmamba_tinny_s1l8' (str). "
            "Is it vmamba_tiny_s1l8",
        ),
        ({"name": 3}, TypeError, "create: name must be a string; got 3 (int)."),
        ({"num_classes": -1}, ValueError, "create: num_classes must be an integer of at least 0;"),
        ({"in_chans": 1.5}, TypeError, "create: in_chans must be an integer of at least 1; got 1"),
        (
            {"features_only": 1},
            TypeError,
            "create: features_only must be True or False; got 1 (int).",
        ),
        (
            {"drop_path_rate": 1},
            ValueError,
            "create: drop_path_rate must be a number from 0 to below 1; got 1 (int).",
        ),
        (
            {"features_only": True, "out_indices": (1, 4)},
            ValueError,
            "create: out_indices must be different numbers of stages, from -4 to 3; got (1, 4).",
        ),
        (
            {"features_only": True, "out_indices": (-1, 3)},
            ValueError,
            "create: out_indices must be different numbers of stages, from -4 to 3; got (-1, 3).",
        ),
        (
            {"features_only": True, "out_indices": 2},
            TypeError,
            "create: out_indices must be a sequence of integers; got 2 (int).",
        ),
        (
            {"out_indices": (0, 1)},
            ValueError,
            "create: out_indices must be None without features_only=True; got (0, 1).",
        ),
    ],
)
def test_what_create_refuses(options, error, message):
    with pytest.raises(error) as caught, torch.device("meta"):
        models.create(**{"name": "vmamba_tiny_s1l8"} | options)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("vmamba_tiny_s1l8", (2, 1, 32, 32), "(b, 3, h, w) with h and w of at least 1; got (2, 1,"),
        ("vmamba_v0_tiny", (2, 3, 32, 3), "of at least 4; got (2, 3, 32, 3)."),
        ("msvmamba_nano", (3, 32, 32), "of at least 4; got (3, 32, 32)."),
        ("efficientvmamba_tiny", (2, 32, 32, 3), "of at least 4; got (2, 32, 32, 3)."),
    ],
)
def test_images_of_another_shape_are_refused(name, shape, message):
    with torch.device("meta"):
        model = models.create(name, depths=(1, 1), dim=8)

    with pytest.raises(ValueError, match=r"^forward: images must be \(b, 3, h, w\)") as caught:
        model(torch.zeros(shape, device="meta"))

    assert message in str(caught.value)


def test_options_reach_the_model():
    options = {"num_classes": 7, "in_chans": 4, "drop_path_rate": 0.5}
    with torch.device("meta"):
        model = models.create("efficientvmamba_tiny", **options)

    rates = [m.rate for m in model.modules() if type(m).__name__ == "DropPath"]
    assert model(torch.zeros(2, 4, 64, 32, device="meta")).shape == (2, 7)
    assert (rates[0], rates[-1]) == (0, 0.5)


def test_the_same_model_has_maps_of_chosen_stages():
    with torch.device("meta"):
        model = models.create("msvmamba_nano", features_only=True, out_indices=(1, 3))

    maps = model(torch.zeros(1, 3, 70, 33, device="meta"))

    assert [tuple(x.shape) for x in maps] == [(1, 96, 9, 4), (1, 384, 3, 1)]
    assert {x.split(".")[0] for x in model.state_dict() if "outnorm" in x} == {
        "outnorm1",
        "outnorm3",
    }
