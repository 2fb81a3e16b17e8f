"""Options of models and mixers that are refused, each with its message."""

import pytest

torch = pytest.importorskip("torch")

from selscan import models, nn, paths  # noqa: E402
from selscan.paths import Path  # noqa: E402

VMAMBA = "vmamba_tiny_s1l8"
CASES = {
    "an option of another family": (
        lambda: models.create("vim_tiny", depths=(1,)),
        r"create: options of vim_tiny must be among class_token, .*, version; got depths",
    ),
    "an option that the family sets": (
        lambda: models.create("vim_tiny", mixer=len),
        r"create: options of vim_tiny must be among .*; got mixer",
    ),
    "depths that are no sequence": (
        lambda: models.create(VMAMBA, depths=3),
        r"create: depths must be a sequence of integers of at least 1; got 3 \(int\)",
    ),
    "a stage without blocks": (
        lambda: models.create(VMAMBA, depths=(1, 0)),
        r"create: depths must be a sequence of integers of at least 1; got \(1, 0\)",
    ),
    "no channels": (
        lambda: models.create("vmamba_v0_tiny", dim=0),
        r"create: dim must be an integer of at least 1; got 0 \(int\)",
    ),
    "channels of too few stages": (
        lambda: models.create("vmamba_v0_tiny", dim=(96, 192)),
        r"create: dim must be an integer of at least 1, or 4 of them; got \(96, 192\)",
    ),
    "an unknown stem": (
        lambda: models.create(VMAMBA, stem="convolution"),
        r"create: stem must be 'patches' or 'conv'; got 'convolution' \(str\)",
    ),
    "an unknown version": (
        lambda: models.create("msvmamba_nano", version=2),
        r"create: version must be 1 or 3; got 2 \(int\)",
    ),
    "a depth that is not that of the routes": (
        lambda: models.create("local_vim_tiny", depth=5),
        r"create: depth must be 20, as many as there are routes; got 5 \(int\)",
    ),
    "no layers": (
        lambda: models.create("vim_tiny", depth=0),
        r"create: depth must be an integer of at least 1; got 0 \(int\)",
    ),
    "the beginning of a name": (
        lambda: models.create("VMamba_tiny"),
        r"one of selscan.models.list\(\); got .* Is it vmamba_tiny_s2l5 or vmamba_tiny_s1l8\?",
    ),
    "a switch for weights": (
        lambda: models.create("vim_tiny", pretrained=True),
        r"create: pretrained must be a path or a state dict; got True \(bool\). No weights come",
    ),
    "no path": (
        lambda: nn.Mixer2d(16, None),
        r"Mixer2d: path must be a selscan.paths.Path, the name of one, .*; got None",
    ),
    "a path over maps of another size": (
        lambda: nn.Mixer2d(16, paths.cross(8, 8))(torch.zeros(1, 4, 4, 16)),
        r"scan2d: path must be one over 4 x 4 pixels like u; got one over 8 x 8",
    ),
    "a maker of something else": (
        lambda: nn.Mixer2d(16, max),
        r"Mixer2d: path must be a selscan.paths.Path, the name of one, .*; got 8 \(int\)",
    ),
    "channels first": (
        lambda: nn.Mixer2d(16)(torch.zeros(1, 16, 8, 8)),
        r"forward: x must be \(b, h, w, 16\); got \(1, 16, 8, 8\). Are the channels first\?",
    ),
    "a word for a switch": (
        lambda: nn.set_fused(nn.Mixer2d(16), "no"),
        r"set_fused: fused must be True or False; got 'no' \(str\)",
    ),
    "a name for a model": (
        lambda: models.load("vim_tiny", {}),
        r"load: model must be a torch.nn.Module; got 'vim_tiny' \(str\)",
    ),
    "a name for a model of a search": (
        lambda: models.localvim.searched_routes("local_vim_tiny"),
        r"searched_routes: model must be a torch.nn.Module; got 'local_vim_tiny' \(str\)",
    ),
    "names that are numbers": (
        lambda: models.load(torch.nn.Linear(2, 2), {1: torch.zeros(2)}),
        r"load: source must be a state dict, or have one as .*; got one with 1",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_option_is_named(case):
    call, message = CASES[case]

    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize(
    ("name", "content"), [("a.pth", b""), ("a.pth", b"text"), ("a.safetensors", b"x")]
)
def test_a_file_that_is_not_whole_is_named(name, content, tmp_path):
    file = tmp_path / name
    file.write_bytes(content)

    with pytest.raises(ValueError, match=rf"^load: source must be a .* file of .*; got .*{name}"):
        models.load(torch.nn.Linear(2, 2), file)


def test_a_head_of_another_width_is_refused():
    model = torch.nn.Linear(2, 2)
    small = models.create("msvmamba_nano", depths=(1,), dim=8, num_classes=3)
    state = small.state_dict() | {"classifier.head.weight": torch.zeros(3)}

    with pytest.raises(ValueError, match=r"it has of another shape classifier.head.weight \(3,\)"):
        models.load(small, state)
    assert models.load(model, {f"_orig_mod.{k}": v for k, v in model.state_dict().items()}) is model


def test_partial_routes_may_be_joined():
    def joined(height, width):
        return Path(paths.atrous(height, width).table, height, width, joined=True)

    torch.manual_seed(0)
    mixer, x = nn.Mixer2d(8, joined, d_state=2), torch.randn(1, 6, 8, 8)

    fused = mixer(x)
    torch.testing.assert_close(nn.set_fused(mixer, False)(x), fused)


def test_foreign_modules_keep_their_switches():
    layer = torch.nn.Linear(2, 2)
    layer.fused = "qkv"

    nn.set_fused(torch.nn.Sequential(layer, nn.Mixer2d(8)), False)

    assert layer.fused == "qkv"
