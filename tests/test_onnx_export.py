"""`selscan.onnx.export`: whole models in onnxruntime, dynamic sizes, and what is refused."""

import numpy as np
import pytest
from onnx_files import File
from test_models_export import images, one_layer

torch = pytest.importorskip("torch")

import onnx  # noqa: E402

import selscan  # noqa: E402
from selscan import nn  # noqa: E402
from selscan.__main__ import main  # noqa: E402
from selscan.models import exporting  # noqa: E402
from selscan.onnx import export, translations  # noqa: E402

FAMILIES = (
    *("vim_tiny", "vmamba_tiny_s1l8", "local_vim_tiny_middle_cls_token", "efficientvmamba_tiny"),
    "msvmamba_nano",
)
ATTENTION = "LinearAttention"
A = -torch.rand(6, 4)


class Function(torch.nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


def module(function):
    return Function(function).eval()


def assert_close(found, want):
    want = [want] if isinstance(want, torch.Tensor) else want
    for x, y in zip(found, want, strict=True):
        np.testing.assert_allclose(x, y.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("maps", "opset", "kind"), [(False, 18, "Scan"), (True, 27, ATTENTION)])
def test_a_model_of_each_family_is_right_for_any_batch(name, maps, opset, kind, tmp_path):
    """Scores and feature maps; 36 pixels leave odd sides."""
    size = 32 if name == "vim_tiny" else 36
    model = one_layer(name, img_size=size, features_only=maps)
    path = tmp_path / "model.onnx"

    program = export(model, images(2, size, size), path, dynamic=({0: "batch"},), opset=opset)

    file = File(path)
    for b in (1, 3):
        with torch.no_grad():
            assert_close(file(images(b, size, size)), model(images(b, size, size)))
    onnx.checker.check_model(str(path), full_check=True)
    kinds = [node.op_type for node in program.model.graph]
    assert kind in kinds
    assert "Loop" not in kinds
    assert path.stat().st_size < sum(4 * x.numel() for x in model.parameters()) + 1e5


class Prefill(torch.nn.Module):
    """The states behind a sequence, too."""

    def __init__(self, mixer):
        super().__init__()
        self.mixer = mixer

    def forward(self, x):
        states = self.mixer.allocate_inference_cache(x.shape[0])
        return self.mixer.prefill(x, *states), *states


class Step(Prefill):
    """One token more."""

    def forward(self, x, *states):
        return self.mixer.step(x, *(state.clone() for state in states))


@pytest.mark.filterwarnings("error")
def test_a_language_model_decodes_as_in_torch(tmp_path):
    """32 tokens after a prefill of any length, by Scan and by LinearAttention."""
    torch.manual_seed(0)
    mixer, x = nn.Mamba(8, d_state=4).eval(), torch.randn(2, 9, 8)
    axes, batch = ({0: "batch", 1: "length"},), {0: "batch"}
    for opset in (18, 27):
        export(Prefill(mixer).eval(), x, tmp_path / f"{opset}", dynamic=axes, opset=opset)
    example = x[:, :1], *mixer.allocate_inference_cache(2)
    dynamic = {"x": batch, "states": (batch, batch)}
    export(Step(mixer).eval(), example, tmp_path / "step", dynamic=dynamic)
    prefills, step = [File(tmp_path / name) for name in ("18", "27")], File(tmp_path / "step")

    for prefill, b, length in zip(prefills, (3, 1), (12, 2), strict=True):
        tokens, states = torch.randn(b, length, 8), mixer.allocate_inference_cache(b)
        found = prefill(tokens)
        assert_close(found, [mixer.prefill(tokens, *states), *states])
        for token in torch.randn(32, b, 1, 8):
            found = step(token, *found[1:])
            assert_close(found, mixer.step(token, *states))


@pytest.mark.filterwarnings("ignore:.isinstance.treespec")  # torch's own
def test_the_exporter_of_torch_takes_the_translations(tmp_path):
    model, x = module(lambda u, B: selscan.scan(u, u.abs(), A, B, B)), torch.randn(2, 6, 7)
    example = x, torch.randn(2, 4, 7)
    with torch.no_grad():
        program = torch.export.export(model, example)
    program = torch.onnx.export(
        program, dynamo=True, custom_translation_table=translations(27), verbose=False
    )
    program.model.opset_imports[""] = 27
    program.save(tmp_path / "file")

    assert_close(File(tmp_path / "file")(*example), model(*example))


class Scores(torch.nn.Module):
    """A model that is exported at once."""

    def forward(self, images):
        return images.mean((2, 3))


def test_the_command_writes_a_file_and_tries_it(monkeypatch, capsys, tmp_path):
    asked = {}

    def create(*arguments, **options):
        asked.update(options, arguments=arguments)
        return Scores()

    monkeypatch.setattr(exporting, "create", create)
    path = str(tmp_path / "model.onnx")
    code = main(["export", "vim_tiny", "--size", "16", "32", "--classes", "3", "--to", path])

    assert code == 0
    assert asked == {"arguments": ("vim_tiny", None), "num_classes": 3, "img_size": (16, 32)}
    first, second, last = capsys.readouterr().out.splitlines()
    of = "vim_tiny, random weights (none were given), for images of 16 x 32 and any batch"
    assert first == of
    nodes = len(onnx.load(path).graph.node)
    assert second == f"{path}: 0.0 MB, {nodes} nodes, 0 scans, opset 18"
    assert last.startswith("onnxruntime differs from torch by ")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["vim_tin"], "export: create: name must be one of selscan.models.list(); got 'vim_tin'"),
        (["vim_tiny", "--size", "8", "8", "8"], "export: create: img_size must be one or two"),
        (["vim_tiny", "--opset", "17"], "export: opset must be an integer from 18 to 27; got 17"),
    ],
)
def test_the_command_says_what_is_wrong(options, expected, capsys, tmp_path):
    path = tmp_path / "model.onnx"

    assert main(["export", *options, "--to", str(path)]) == 1
    assert capsys.readouterr().err.startswith(expected)
    assert not path.exists()
