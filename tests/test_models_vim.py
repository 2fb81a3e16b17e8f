"""Vim: its numbers, class tokens, positions of other sizes, and what it says of wrong arguments."""

import pytest

torch = pytest.importorskip("torch")

from golden_models import assert_near, golden, logits_and_gradient  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from selscan import models  # noqa: E402
from selscan.models import tokens  # noqa: E402
from selscan.models.checkpoints import load  # noqa: E402
from selscan.models.vim import Vim  # noqa: E402

SMALL = {"dim": 16, "depth": 2, "d_state": 4, "patch": 8, "img_size": 32, "num_classes": 5}


def small(**options):
    """A model whose parameters all differ from those it begins with."""
    torch.manual_seed(0)
    model = Vim(**SMALL | options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return model


def official():
    """The model of the golden numbers, and these."""
    numbers = golden("vim")
    model = Vim(32, 3, img_size=(40, 56), patch=8, d_state=8, num_classes=10)
    return load(model, numbers.state("state")).eval(), numbers


def test_scores_and_gradient_are_the_official_ones():
    model, numbers = official()

    logits, gradient = logits_and_gradient(model, numbers)

    assert_near(logits, numbers["logits"])
    assert_near(gradient, numbers["grad_input"])


@torch.no_grad()
def test_what_is_classified_is_the_official_feature():
    model, numbers = official()
    model.head = torch.nn.Identity()

    assert_near(model(numbers["input"]), numbers["features"])


@pytest.mark.parametrize(
    ("form", "rows"), [(None, ()), ("first", (0,)), ("middle", (8,)), ("both", (0, 17))]
)
@torch.no_grad()
def test_class_tokens_stand_in_their_places_and_are_what_is_classified(form, rows):
    model, image = small(class_token=form), torch.randn(2, 3, 32, 32)
    x, grid = model.embed(image)
    x = x - model.pos_embed

    assert grid == (4, 4)
    assert x.shape == (2, 16 + len(rows), 16)
    patches = model.patch_embed(image).flatten(2).transpose(1, 2)
    torch.testing.assert_close(x[:, [i for i in range(x.shape[1]) if i not in rows]], patches)
    for row, name in zip(rows, tokens.CLASS_TOKENS[form], strict=True):
        torch.testing.assert_close(x[:, row], getattr(model, name)[0].expand(2, -1))
    want = x[:, list(rows) or slice(None)].mean(1)
    torch.testing.assert_close(model.pooled(x), want)
    assert model(image).shape == (2, 5)


@torch.no_grad()
def test_without_a_class_token_the_head_sees_the_mean_of_the_last_map():
    model, image = small(class_token=None), torch.randn(2, 3, 32, 32)
    options = {"class_token": None, "features_only": True}
    trunk = load(Vim(**SMALL | options, out_indices=(0, 1)), model.state_dict()).eval()

    maps = trunk(image)

    assert [tuple(x.shape) for x in maps] == [(2, 16, 4, 4)] * 2
    torch.testing.assert_close(model.head(maps[1].mean((2, 3))), model(image))


@pytest.mark.parametrize("form", [None, "first", "middle", "both"])
@torch.no_grad()
def test_positions_are_resized_on_loading_as_in_a_call(form):
    model, image = small(class_token=form), torch.randn(1, 3, 40, 56)
    sized = Vim(**SMALL | {"class_token": form, "img_size": (40, 56)})

    loaded = load(sized, model.state_dict()).eval()

    assert loaded.pos_embed.shape[1] == 35 + len(tokens.CLASS_TOKENS[form])
    torch.testing.assert_close(loaded(image), model(image))


def test_the_position_of_a_class_token_in_the_middle_stays_its_own():
    table = torch.randn(1, 17, 2)
    patches = torch.cat([table[:, :8], table[:, 9:]], dim=1).mT.reshape(1, 2, 4, 4)
    want = F.interpolate(patches, size=(5, 7), mode="bicubic").flatten(2).mT

    found = tokens.resized(table, "middle", (4, 4), (5, 7))

    torch.testing.assert_close(found[:, 17], table[:, 8])
    torch.testing.assert_close(torch.cat([found[:, :17], found[:, 18:]], dim=1), want)


@torch.no_grad()
def test_a_rotation_turns_pairs_of_channels_by_row_and_column():
    rope, x = tokens.Rope(8, 3), torch.randn(1, 10, 8, dtype=torch.float64)
    cos, sin = rope.tables("first", (3, 3))
    found = tokens.rotate(x, cos.double(), sin.double())

    want = x.clone()
    for place in range(9):
        for channel in range(0, 8, 2):
            position = (place // 3 if channel < 4 else place % 3) / 3 * 14
            angle = torch.tensor(position * 10000 ** (-(channel % 4) / 4))
            a, b = x[0, place + 1, channel : channel + 2].tolist()
            want[0, place + 1, channel] = a * angle.cos() - b * angle.sin()
            want[0, place + 1, channel + 1] = b * angle.cos() + a * angle.sin()
    # Angles up to 9.3 in float32.
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)


def test_the_models_of_january_2024_rotate_their_tokens():
    options = {"version": "v1", "halved": False, "rope": True, "class_token": "first"}
    model = small(**options)
    want = model(torch.ones(1, 3, 32, 32))
    model.rope.freqs_cos.fill_(1)
    model.rope.freqs_sin.fill_(0)

    assert not torch.allclose(model(torch.ones(1, 3, 32, 32)), want)


def test_a_layer_leaves_out_what_the_layer_before_it_gave():
    model = small(depth=3, drop_path_rate=0.4)
    rates = [layer.drop_path.rate for layer in model.layers]

    assert [*rates, model.drop_path.rate] == pytest.approx([0, 0, 0.2, 0.4])


def test_parameters_begin_as_the_official_ones():
    torch.manual_seed(0)
    model = Vim(64, 4, patch=8, img_size=32)
    mixer, D = model.layers[1].mixer, 128

    assert model.patch_embed.proj.weight.std().item() == pytest.approx((3 * 64) ** -0.5, 0.02)
    assert model.head.weight.std().item() == pytest.approx(0.02, 0.02)
    assert model.cls_token.std().item() == pytest.approx(0.02, 0.3)
    assert mixer.out_proj.weight.abs().max().item() == pytest.approx(D**-0.5 / 2, 0.02)
    assert mixer.dt_proj_b.weight.abs().max().item() == pytest.approx(4**-0.5, 0.02)
    delta = F.softplus(mixer.dt_proj.bias)
    assert 1e-3 <= delta.min() < 2e-3 < 5e-2 < delta.max() <= 0.1
    for zero in (model.patch_embed.proj.bias, model.head.bias, mixer.dt_proj_b.bias):
        assert (zero == 0).all()
    for A_log in (mixer.A_log, mixer.A_b_log):
        torch.testing.assert_close(A_log.exp(), torch.arange(1.0, 17).expand(D, 16))


def test_a_compiled_model_gives_the_official_numbers():
    model, numbers = official()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")

    logits, gradient = logits_and_gradient(compiled, numbers)

    assert_near(logits, numbers["logits"])
    assert_near(gradient, numbers["grad_input"])


@pytest.mark.parametrize("how", ["autocast", "bfloat16"])
@torch.no_grad()
def test_the_stream_stays_in_float32_where_mixers_are_in_bfloat16(how):
    model, numbers = official()
    image, seen = numbers["input"], []
    if how == "bfloat16":
        model, image = model.bfloat16(), image.bfloat16()
    model.layers[2].register_forward_hook(lambda _, x, y: seen.extend(y))

    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        logits = model(image)

    assert [x.dtype for x in seen] == [torch.bfloat16, torch.float32]
    scale = numbers["logits"].abs().max()
    assert (logits - numbers["logits"]).abs().max() < 0.05 * scale


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: small(class_token="last"),
            "create: class_token must be None, 'first', 'middle' or 'both'; got 'last' (str).",
        ),
        (
            lambda: small(version="v3"),
            "create: version must be 'v1' or 'v2'; got 'v3' (str).",
        ),
        (
            lambda: small(img_size=(32, 36)),
            "create: img_size must be one or two integers, of 8 or a multiple of 8 more; "
            "got (32, 36).",
        ),
        (
            lambda: small(img_size="large"),
            "create: img_size must be one or two integers, of 8 or a multiple of 8 more; got 'larg",
        ),
        (
            lambda: small(img_size=(32, 40), rope=True),
            "create: img_size must be a square, since tokens are rotated; got (32, 40). "
            "Others can be given to a model that is made for a square.",
        ),
        (
            lambda: small()(torch.zeros(1, 3, 32, 30)),
            "forward: images must be (b, 3, h, w) with h and w of 8 or a multiple of 8 more; "
            "got (1, 3, 32, 30).",
        ),
        (lambda: small()(torch.zeros(3, 32, 32)), "forward: images must be (b, 3, h, w) with h"),
        (lambda: small()(torch.zeros(1, 3, 0, 32)), "more; got (1, 3, 0, 32)."),
        (lambda: small()(torch.zeros(1, 4, 32, 32)), "more; got (1, 4, 32, 32)."),
        (
            lambda: load(small(), small(stride=4).state_dict()),
            "load: pos_embed must be that of 4 x 4 patches; got 7 x 7 patches. "
            "Are the weights for half the stride?",
        ),
        (
            lambda: load(small(), small(img_size=(32, 40)).state_dict()),
            "load: pos_embed must be that of a square of patches; got one of 20 patches.",
        ),
    ],
)
def test_what_does_not_fit_is_said(call, message):
    with pytest.raises(ValueError, match=r"^\w+: \w+ must be .*; got ") as caught:
        call()

    assert message in str(caught.value)


def test_create_takes_the_size_of_images():
    with torch.device("meta"):
        model = models.create("vim_tiny", img_size=(224, 320), num_classes=3, features_only=True)

    maps = model(torch.zeros(1, 3, 224, 320, device="meta"))

    assert model.pos_embed.shape == (1, 14 * 20 + 1, 192)
    assert [tuple(x.shape) for x in maps] == [(1, 192, 14, 20)] * 4
    assert model.out_indices == (5, 11, 17, 23)
