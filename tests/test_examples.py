"""The scripts in docs/examples, shortened."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs/examples"

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
images = pytest.importorskip("PIL.Image")

from selscan import models  # noqa: E402, because it imports torch

pytestmark = pytest.mark.usefixtures("folder_of_examples")


@pytest.fixture
def folder_of_examples(monkeypatch):
    """First among the places of modules, as where a script of it runs: one imports another."""
    monkeypatch.syspath_prepend(EXAMPLES)


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


@pytest.mark.usefixtures("threads_of_torch")
def test_a_draft_that_is_rejected_leaves_no_trace(capsys):
    kept = load("rejected_draft").main(count=12)

    assert 0 in kept  # one was rejected whole
    assert max(kept) > 1
    assert f"12 tokens in {len(kept)} calls" in capsys.readouterr().out


@pytest.mark.usefixtures("threads_of_torch")
def test_training_through_segments_has_the_gradient_of_the_whole(capsys):
    example = load("million_tokens")
    torch.manual_seed(0)
    mixer = example.nn.Mamba(example.D_MODEL)

    loss = example.backward(mixer, 300, 128)
    got = [x.grad.clone() for x in mixer.parameters()]
    whole, _ = example.loss_of(mixer, 0, 300, 300, None)
    want = torch.autograd.grad(whole, list(mixer.parameters()))

    assert loss == pytest.approx(whole.item(), rel=1e-5)
    for x, y in zip(got, want, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5 * float(y.abs().max()))
    losses = example.main(length=300, segment=128, steps=2)
    assert losses[1] < losses[0]
    assert "300 tokens" in capsys.readouterr().out


def test_feature_maps_of_a_photograph_are_drawn(tmp_path):
    shapes = load("features").main(file=tmp_path / "maps.png", sizes=[(224, 224), (107, 160)])

    assert [x[2:] for x in shapes[:4]] == [(56, 56), (28, 28), (14, 14), (7, 7)]
    assert [x[2:] for x in shapes[4:]] == [(27, 40), (14, 20), (7, 10), (4, 5)]
    with images.open(tmp_path / "maps.png") as image:
        assert image.height == 2 * (200 + 8)
        assert len(image.getcolors(2**24)) > 1000


def test_an_image_is_prepared_as_in_the_paper():
    example, config = load("classify"), models.create("msvmamba_nano").default_cfg
    ramp = torch.arange(640).repeat(512, 1) * 255 / 640
    image = images.fromarray(ramp.byte().numpy()).convert("RGB")

    seen = example.cropped(image, config)
    x = example.prepared(seen, config)

    assert seen.size == (224, 224)
    assert x.shape == (1, 3, 224, 224)
    mean, std = (torch.tensor(config[key]) for key in ("mean", "std"))
    pixels = x[0].permute(1, 2, 0) * std + mean  # (h, w, 3)
    # 512 rows become 256 and 640 columns 320, of which the middle 224 are seen: 48 to 272.
    want = (torch.arange(224) + 48.5) / 320
    assert (pixels - want[None, :, None]).abs().max() < 1.5 / 255


def test_the_five_best_classes_of_an_image_are_named_and_drawn(tmp_path, capsys):
    small = {"depths": (1, 1), "dim": 8, "num_classes": 12}
    model = models.create("vmamba_v0_tiny", **small).eval()
    with torch.no_grad():
        model.classifier.head.weight *= 100
    torch.save({"model": model.state_dict()}, tmp_path / "weights.pth")
    names = [f"name {i}" for i in range(12)]
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    files = {"weights": tmp_path / "weights.pth", "names": tmp_path / "names.txt"}
    example = load("classify")
    images.new("RGB", (300, 260), "#c04020").save(tmp_path / "image.png")

    options = files | {"model": "vmamba_v0_tiny", "out": tmp_path / "out.png"}
    classes = example.main(tmp_path / "image.png", **options, **small)

    with torch.no_grad():
        colour = images.new("RGB", (224, 224), "#c04020")
        shares = model(example.prepared(colour, model.default_cfg))[0].softmax(0)
    order = shares.argsort(descending=True)[:5].tolist()
    assert [name for name, _ in classes] == [names[i] for i in order]
    assert [share for _, share in classes] == pytest.approx(shares[order].tolist(), abs=1e-4)
    assert names[order[0]] in capsys.readouterr().out
    with images.open(tmp_path / "out.png") as picture:
        assert picture.getpixel((100, 100)) == (0xC0, 0x40, 0x20)
    (tmp_path / "names.txt").write_text("\n".join(names[1:]), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"^12 names are needed, one a line; got 11$"):
        example.main(tmp_path / "image.png", **options, **small)


@pytest.mark.usefixtures("threads_of_torch")
def test_a_head_on_four_maps_learns_to_find_shapes(tmp_path, capsys):
    example = load("segment")

    before, after = example.main(steps=80, out=tmp_path / "masks.png", test=24)

    assert before < 0.2  # about what one class for all pixels has
    assert after > before + 0.06
    assert f"{after:.1%} after 80 steps" in capsys.readouterr().out
    with images.open(tmp_path / "masks.png") as picture:
        side = example.SIDE + example.GAP
        assert picture.size == (example.SHOWN * side + example.GAP, 3 * side + example.GAP)
        masks = picture.crop((0, side, picture.width, 2 * side)).getcolors(9)
        assert {colour for _, colour in masks} > {tuple(x) for x in example.COLOURS.tolist()}


@pytest.mark.usefixtures("threads_of_torch")
def test_a_model_of_volumes_learns_which_way_squares_move(tmp_path, capsys):
    example = load("video")

    score = example.main(steps=40, out=tmp_path / "video.png")

    assert score > 0.3  # 0.25 by chance, if it knew where the squares are
    assert f"{score:.1%} of the squares' pixels" in capsys.readouterr().out
    with images.open(tmp_path / "video.png") as picture:
        side = example.SIDE * example.ZOOM + example.GAP
        assert picture.size == (example.FRAMES * side, 3 * example.SHOWN * side)
        truth = picture.crop((0, 2 * side, picture.width, 3 * side)).getcolors(9)
        assert {x for _, x in truth} <= {(255,) * 3, *map(tuple, example.COLOURS.tolist())}


@pytest.mark.usefixtures("threads_of_torch")
def test_a_model_is_fine_tuned_for_another_size_and_other_classes(tmp_path, capsys):
    example = load("fine_tune")

    tuned, fresh = example.main(epochs=3, first_epochs=2, out=tmp_path / "curves.png")

    assert tuned > fresh + 0.1
    assert f"{tuned:.1%} fine-tuned, {fresh:.1%} from nothing" in capsys.readouterr().out
    with images.open(tmp_path / "curves.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**16)}
        assert {(0x5B, 0x4B, 0x8A), (0xFD, 0xB8, 0x63), (0x9E, 0xCA, 0xE9)} < colours


def test_learning_rates_fall_from_the_head_to_the_patches():
    example = load("fine_tune")
    model = example.new_model(img_size=32, num_classes=4)

    depths = example.depths(model)
    groups = example.groups(model, lr=1.0, decay=0.5)

    assert {depths[x] for x in ("pos_embed", "patch_embed.proj.weight")} == {0}
    assert [depths[f"layers.{i}.mixer.A_log"] for i in range(4)] == [1, 2, 3, 4]
    assert (depths["norm_f.weight"], depths["head.weight"]) == (4, 5)
    of = {id(p): group for group in groups for p in group["params"]}
    assert len(of) == sum(len(group["params"]) for group in groups) == len(depths)
    for name, parameter in model.named_parameters():
        group = of[id(parameter)]
        assert group["lr"] == 0.5 ** (5 - depths[name])
        vector = parameter.dim() == 1 or name.endswith(("A_log", "A_b_log", "pos_embed"))
        assert (group["weight_decay"] == 0) == vector


@pytest.mark.usefixtures("threads_of_torch")
def test_directions_are_searched_drawn_and_trained(tmp_path, capsys):
    example = load("search_directions")

    routes, scores = example.main(epochs=1, images=480, out=tmp_path / "table.png")

    assert [len(set(layer)) for layer in routes] == [4] * 4
    assert set(scores) == {"search", "found", "fixed"}
    assert min(scores.values()) > 0.2  # by chance it would be 0.1
    printed = capsys.readouterr().out
    assert f"layer 1: {', '.join(routes[0])}" in printed
    assert f"found {scores['found']:.1%}" in printed
    with images.open(tmp_path / "table.png") as picture:
        frames = [
            [
                picture.getpixel((example.LEFT + layer * example.CELL + 4, y)) == (0x5B, 0x4B, 0x8A)
                for y in range(example.TOP + 20, picture.height - 16, example.CELL)
            ]
            for layer in range(4)
        ]
    assert frames == [[name in layer for name in example.CANDIDATES] for layer in routes]
