"""LocalVim and LocalVMamba: their numbers, padded routes, the search, and what they refuse."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_models import assert_near, golden, logits_and_gradient  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from reference import paths as reference  # noqa: E402
from selscan import models, nn  # noqa: E402
from selscan.models.checkpoints import load  # noqa: E402
from selscan.models.localvim import SEARCHED, UNSEARCHED, LocalVim, searched_routes  # noqa: E402
from selscan.models.localvmamba import SMALL, TINY, LocalVMamba  # noqa: E402
from selscan.nn.branch import Branch, run_branch  # noqa: E402
from selscan.nn.routes import CANDIDATES, RouteSum  # noqa: E402

# Those of the golden numbers.
PLAIN = (
    ("h", "v_flip", "w7", "w7_flip"),
    ("h_flip", "v", "w2", "w2_flip"),
    ("h", "h_flip", "v", "v_flip"),
    ("w2_flip", "w7", "h_flip", "w7_flip"),
)
PYRAMID = (
    ("h", "v_flip", "w7", "w7_flip"),
    ("h_flip", "v", "w2", "w2_flip"),
    ("w2_flip", "w7", "h_flip", "v"),
    ("h", "v", "w2", "w7"),
    ("w7_flip", "w2", "v_flip", "h_flip"),
    ("h", "h_flip", "w2", "v"),
)
SIZE = {"img_size": 36, "patch": 4, "d_state": 8, "num_classes": 10}


def plain(**options):
    return LocalVim(**SIZE | {"dim": 32, "routes": PLAIN} | options)


def pyramid(fused=True, **options):
    size = {"depths": (2, 1, 2, 1), "dim": (16, 24, 40, 48), "d_state": 8, "num_classes": 10}
    return nn.set_fused(LocalVMamba(**size | {"routes": PYRAMID} | options), fused)


MODELS = {
    "local_vim": lambda: plain(class_token="middle"),
    "local_vim_rope": lambda: plain(rope=True),
    "local_vim_search": lambda: plain(dim=24, routes=None, depth=2, rope=True),
    "local_vmamba": pyramid,
    "local_vmamba in sequences": lambda: pyramid(fused=False),
}


def official(name):
    """A model with the official weights, and the golden numbers."""
    numbers = golden(name.split()[0])
    return load(MODELS[name](), numbers.state("state")).eval(), numbers


@pytest.mark.parametrize("name", MODELS)
def test_scores_and_gradients_are_the_official_ones(name):
    model, numbers = official(name)

    logits, gradient = logits_and_gradient(model, numbers)

    assert_near(logits, numbers["logits"])
    assert_near(gradient, numbers["grad_input"])


@torch.no_grad()
@pytest.mark.parametrize("name", list(MODELS)[:4])
def test_what_is_classified_is_the_official_feature(name):
    model, numbers = official(name)
    owner = model if isinstance(model, LocalVim) else model.classifier
    owner.head = torch.nn.Identity()

    assert_near(model(numbers["input"]), numbers["features"])


@torch.no_grad()
@pytest.mark.parametrize("fused", [True, False])
def test_maps_that_are_no_squares_give_the_official_scores(fused):
    model, numbers = official("local_vmamba")
    nn.set_fused(model, fused)

    assert_near(model(numbers["input_nonsquare"]), numbers["logits_nonsquare"])


@pytest.mark.parametrize("name", MODELS)
def test_each_route_keeps_the_weights_that_it_is_given(name):
    model, numbers = official(name)

    for key, value in model.state_dict().items():
        assert torch.equal(value, numbers[f"state/{key}"]), key
    storages = [p.untyped_storage().data_ptr() for p in model.parameters()]
    assert len(set(storages)) == len(storages)


def local_mixer_by_hand(mixer, x, height, width):
    """LocalMamba token by token: sequences with zeros at padding, and what comes back of them."""
    x, z = mixer.in_proj(x).chunk(2, dim=-1)
    place, total = height * width // 2, 0
    for i, name in enumerate(mixer.routes):
        order = reference.of(height, width, name).table[0].tolist()
        if mixer.class_token:
            order = [pixel + (pixel >= place) for pixel in order]
            order.insert(place, place)
        zero = torch.zeros_like(x[:, 0])
        branch = Branch(*(getattr(mixer, f"{field}_{i}") for field in Branch._fields))
        u, gate = (
            torch.stack([zero if t < 0 else source[:, t] for t in order], dim=2)
            for source in (x, z)
        )
        y = run_branch(branch, u, gate)
        back = torch.stack([y[:, :, order.index(t)] for t in range(x.shape[1])], dim=1)
        total = total + mixer.attn(back)
    return mixer.out_proj(total)


@pytest.mark.parametrize("class_token", [False, True], ids=["patches", "class token"])
@pytest.mark.parametrize(("height", "width"), [(5, 7), (6, 10), (1, 1)])
@torch.no_grad()
def test_padding_and_class_token_stand_in_the_sequences(height, width, class_token):
    torch.manual_seed(0)
    routes = ("h", "v_flip", "w2_flip", "w7")
    mixer = nn.LocalMamba(8, routes, class_token, d_state=3).double()
    x = torch.randn(2, height * width + class_token, 8, dtype=torch.float64)

    want = local_mixer_by_hand(mixer, x, height, width)

    torch.testing.assert_close(mixer(x, (height, width)), want)


@torch.no_grad()
def test_a_search_weighs_the_norms_of_all_routes():
    torch.manual_seed(0)
    total, y = RouteSum(16, search=True), torch.randn(2, 8, 3, 5, 16)
    total.weights.mul_(1e3)

    shares = torch.exp(total.weights) / torch.exp(total.weights).sum()
    normed = [F.layer_norm(total.attn(y[:, k]), (16,)) for k in range(8)]

    torch.testing.assert_close(total(y), (shares * torch.stack(normed, 1)).sum(1))


@pytest.mark.parametrize("of", [plain, pyramid])
def test_what_a_search_finds_makes_a_model(of):
    depth, best = (2, (0, 3, 5, 6)) if of is plain else (6, (1, 2, 4, 7))
    search = of(routes=None, depth=2) if of is plain else of(routes=None)
    weights = {k: v for k, v in search.named_parameters() if k.endswith("multi_scan.weights")}
    for parameter in weights.values():
        parameter.data[list(best), 0, 0, 0] += torch.rand(4) + 1

    routes = searched_routes(search)

    assert len(weights) == depth
    assert routes == (tuple(CANDIDATES[i] for i in best),) * depth
    model = of(routes=routes)
    assert sum(x.endswith(("A_log_3", ".Ds")) for x in model.state_dict()) == depth
    assert not any("weights" in name for name in model.state_dict())


def test_the_weights_of_a_search_are_trained_with_the_others():
    torch.manual_seed(0)
    model = pyramid(routes=None, depths=(1,), dim=(8,))
    model(torch.randn(1, 3, 9, 14)).square().sum().backward()

    [gradient] = [p.grad for k, p in model.named_parameters() if k.endswith("multi_scan.weights")]
    assert (gradient != 0).all()
    assert gradient.sum().abs() < 1e-5 * gradient.abs().max() + 1e-9


@pytest.mark.parametrize("options", [{"class_token": "middle"}, {"rope": True}], ids=str)
@torch.no_grad()
def test_positions_and_rotations_are_resized_on_loading_as_in_a_call(options):
    torch.manual_seed(0)
    model, image = plain(**options).eval(), torch.randn(1, 3, 45, 47)

    loaded = load(plain(**options | {"img_size": 46}), model.state_dict()).eval()

    assert loaded.grid == (12, 12)
    torch.testing.assert_close(loaded(image), model(image))


@torch.no_grad()
def test_an_image_is_padded_to_full_patches():
    model, image = plain().eval(), torch.randn(1, 3, 34, 33)

    torch.testing.assert_close(model(F.pad(image, (0, 3, 0, 2))), model(image))


@torch.no_grad()
def test_feature_maps_are_norms_of_what_mixers_give():
    model = plain(class_token="middle").eval()
    trunk = plain(class_token="middle", features_only=True, out_indices=(1, 3))
    load(trunk, model.state_dict()).eval()
    image, hidden = torch.randn(2, 3, 30, 41), []
    model.layers[3].register_forward_hook(lambda _, x, y: hidden.append(y[0]))
    model(image)

    maps = trunk(image)

    left = {k.split(".")[0] for k in trunk.state_dict()} - {"layers", "patch_embed"}
    assert left == {"cls_token", "pos_embed", "outnorm_0", "outnorm_1"}
    assert [tuple(x.shape) for x in maps] == [(2, 32, 8, 11)] * 2
    patches = torch.cat([hidden[0][:, :44], hidden[0][:, 45:]], dim=1)
    torch.testing.assert_close(maps[1].flatten(2).mT, F.layer_norm(patches, (32,)))


def test_parameters_begin_as_the_official_ones():
    torch.manual_seed(0)
    model = LocalVim(64, PLAIN, patch=4, img_size=36, class_token="middle")
    mixer = model.layers[2].mixer

    assert (model.cls_token == 0).all()
    assert (mixer.dt_proj_3.bias == 0).all()
    for linear in (mixer.dt_proj_0, mixer.in_proj, mixer.x_proj_2, mixer.attn.global_reduce):
        assert linear.weight.std().item() == pytest.approx(0.02, 0.1)
    assert mixer.out_proj.weight.abs().max().item() == pytest.approx(128**-0.5 / 2, 0.02)


@torch.no_grad()
def test_a_model_compiled_for_any_size_takes_an_image_of_another_one():
    model = plain(dim=8, class_token="middle", routes=(("v_flip", "w2"),)).eval()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    image = torch.randn(2, 3, 20, 27)

    assert_near(compiled(image), model(image))


def test_the_small_model_has_either_table_of_routes():
    with torch.device("meta"):
        found = {
            name: [
                layer.mixer.routes for layer in models.create("local_vim_small", **options).layers
            ]
            for name, options in (("neither", {}), ("searched", {"routes": "searched"}))
        }

    assert found == {"neither": list(UNSEARCHED), "searched": list(SEARCHED)}


def test_each_layer_has_four_of_the_candidates_in_their_order():
    for table, layers in ((SEARCHED, 20), (TINY, 15), (SMALL, 33)):
        numbers = np.array([[CANDIDATES.index(name) for name in layer] for layer in table])
        assert numbers.shape == (layers, 4)
        assert (np.diff(numbers) > 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: plain(class_token="first"),
            "create: class_token must be None or 'middle'; got 'first' (str).",
        ),
        (lambda: plain(routes=(("h", "w0"),)), "Path.of: "),
        (
            lambda: pyramid(routes=PYRAMID[:5]),
            "create: routes must be those of 6 blocks; got 5.",
        ),
        (
            lambda: searched_routes(plain()),
            "searched_routes: model must be one of a search; got one whose routes were given.",
        ),
        (
            lambda: models.create("local_vim_small", routes="found"),
            "create: routes must be 'searched', 'unsearched' or a table; got 'found' (str).",
        ),
        (
            lambda: plain()(torch.zeros(1, 3, 0, 8)),
            "forward: images must be (b, 3, h, w) with h and w of at least 1; got (1, 3, 0, 8).",
        ),
    ],
)
def test_what_does_not_fit_is_said(call, message):
    with pytest.raises(ValueError, match=r"^[\w.]+: \w+ must be .*; got ") as caught:
        call()

    assert message in str(caught.value)
