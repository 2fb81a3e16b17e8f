"""What cannot be exported is refused with a sentence before there is a file."""

import pytest
from test_models_export import images, one_layer

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import selscan  # noqa: E402
from selscan import paths  # noqa: E402
from selscan.onnx import export, translations  # noqa: E402

A = -torch.ones(6, 4)
U, B = torch.ones(2, 6, 7), torch.ones(2, 4, 7)
MAP = torch.ones(2, 6, 3, 5)
PATH = paths.cross(3, 5)


class Function(torch.nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


def module(function):
    return Function(function).eval()


def scan(u, B, A=A):
    return selscan.scan(u, u, A, B, B)


def step(state, u, B):
    return selscan.scan_step(state, u, u, A, B, B)[0]


SCAN = module(scan)
VMAMBA = one_layer("vmamba_tiny_s1l8")
PARTS = torch.nn.Sequential(VMAMBA, torch.nn.Dropout()).eval()
PARTS[1].train()
NAMED = "({0: 'batch'},)"
CASES = {
    "model": (print, U, {}, "model must be a torch.nn.Module; got a builtin_function_or_method."),
    "training": (
        Function(scan),
        (U, B),
        {},
        "model must be in eval mode; got one in training. Call model.eval().",
    ),
    "example": (
        SCAN,
        3,
        {},
        "example must be a tensor or a tuple of the model's arguments; got 3 (int).",
    ),
    "part in training": (
        PARTS,
        U,
        {},
        "model must be in eval mode; got 1 in training. Call model.eval().",
    ),
    "arguments": (
        VMAMBA,
        (images(2), U),
        {},
        "example must be the arguments of model.forward; got others: too many positional "
        "arguments.",
    ),
    "NumPy": (
        SCAN,
        (U.numpy(), B),
        {},
        "example must have tensors; got a numpy.ndarray. Pass torch.from_numpy(x).",
    ),
    "path": (SCAN, (U, B), {"path": None}, "path must be a path; got None."),
    "no folder": (
        SCAN,
        (U, B),
        {"path": "nowhere/file"},
        "path must be a file in a folder that is there; got 'nowhere/file' (str).",
    ),
    "opset": (
        SCAN,
        (U, B),
        {"opset": 17},
        "opset must be an integer from 18 to 27; got 17 (int).",
    ),
    "opset of another kind": (
        SCAN,
        (U, B),
        {"opset": "18"},
        "opset must be an integer from 18 to 27; got '18' (str).",
    ),
    "complex": (
        module(lambda u, B: scan(u, B, A.to(torch.complex64))),
        (U, B),
        {},
        "A must be real; got complex64. ONNX has no nodes for complex numbers.",
    ),
    "complex map": (
        module(lambda x: selscan.gather(x.to(torch.complex64), PATH)),
        MAP,
        {},
        "x must be real; got complex64. ONNX has no nodes for complex numbers.",
    ),
    "orders per sample": (
        module(lambda x: selscan.gather(x, torch.zeros(len(x), 1, 1, dtype=torch.int64))),
        MAP,
        {},
        "path must be one for all samples; got orders per sample. In a file a path is a constant.",
    ),
    "packed": (
        module(
            lambda u, B: selscan.scan(u, u, A, B, B, seq_idx=torch.zeros(2, 7, dtype=torch.int32))
        ),
        (U, B),
        {},
        "seq_idx must be None; got a tensor. ONNX has no node with packed sequences: pad them, or "
        "scan each by itself.",
    ),
    "float64": (
        module(lambda u, B: scan(u, B, A.double())),
        (U, B),
        {"opset": 27},
        "A must be in at most 32 bits with opset=27; got float64. Pass opset=18.",
    ),
    "states": (
        module(lambda u, B: selscan.scan(u, u, A, B, B, return_states_at=[2])),
        (U, B),
        {},
        "return_states_at must be None; got positions. Scan the pieces between them one after the "
        "other.",
    ),
    "gradient": (
        module(lambda u, B: selscan.scan_backward(u, u, u, A, B, B).u),
        (U, B),
        {},
        "model must be one whose calls have nodes in ONNX; got one with selscan::scan_backward.",
    ),
    "step": (
        module(step),
        (torch.ones(2, 6, 4), U[..., 0], B[..., 0]),
        {},
        "model must be one that writes to none of its inputs and buffers; got one that writes to "
        "tensors_0. Write to a clone and return it.",
    ),
    "step of a part": (
        module(lambda states, u, B: step(states.clone()[1], u, B)),
        (torch.ones(3, 2, 6, 4), U[..., 0], B[..., 0]),
        {},
        "state must be a tensor of its own; got a part of another one. Pass state.clone().",
    ),
    "nothing": (
        module(lambda u, B: None),
        (U, B),
        {},
        "model must be one that returns tensors; got one that returns none.",
    ),
    "dynamic batch of one": (
        VMAMBA,
        images(1),
        {"dynamic": ({0: "batch"},)},
        "example must be longer than 1 along dynamic axes; got one of (1, 3, 32, 32) for the axis "
        "0.",
    ),
    "dynamic axis": (
        VMAMBA,
        images(2),
        {"dynamic": ({4: "batch"},)},
        f"dynamic must be the axes of the example by number with names for them, as in {NAMED}, "
        "from 0 to 3 here; got 4 (int).",
    ),
    "dynamic axis of one of several": (
        SCAN,
        (U, B),
        {"dynamic": {"tensors": (None, {-1: "length"})}},
        f"dynamic must be the axes of the example by number with names for them, as in {NAMED}, "
        "from 0 to 2 here; got -1 (int).",
    ),
    "dynamic name alone": (
        SCAN,
        (U, B),
        {"dynamic": "batch"},
        f"dynamic must be the axes of the example by number with names for them, as in {NAMED}; "
        "got 'batch' (str).",
    ),
    "dynamic name of two words": (
        VMAMBA,
        images(2),
        {"dynamic": ({0: "the batch"},)},
        "dynamic must be axes with names as Python has them; got 'the batch' (str).",
    ),
    "dynamic hint": (
        VMAMBA,
        images(2),
        {"dynamic": ({0: torch.export.Dim.AUTO},)},
        f"dynamic must be the axes of the example by number with names for them, as in {NAMED}; "
        "got a torch._DimHint.",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_wrong_call_is_refused(case, tmp_path):
    model, example, options, expected = case
    options = {"path": tmp_path / "file"} | options

    with pytest.raises((ValueError, TypeError)) as caught:
        export(model, example, **options)

    assert str(caught.value) == f"export: {expected}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "example", "dynamic"),
    [
        (VMAMBA, images(2), ({2: "height", 3: "width"},)),
        (module(lambda x: selscan.gather(x, PATH)), MAP, (({2: "height"},),)),
        (module(lambda x: selscan.gather(x, "cross")), MAP, (({2: "height"},),)),
        (SCAN, (U, B), ((None, {1: torch.export.Dim("n", max=4096)}),)),
    ],
    ids=["VMamba", "a path", "a path by name", "states"],
)
def test_an_axis_that_is_a_number_to_the_model_is_refused(model, example, dynamic, tmp_path):
    with pytest.raises(ValueError, match=r"^export: dynamic must be axes that the model takes at"):
        export(model, example, tmp_path / "file", dynamic=dynamic)


def test_axes_of_fewer_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^export: dynamic must be the axes of .*; got others: D"):
        export(SCAN, (U, B), tmp_path / "file", dynamic=(({0: "batch"},),))


def test_dynamic_channels_are_refused(tmp_path):
    model = module(lambda x: selscan.gather(x, PATH))

    with pytest.raises(ValueError, match=r"^export: x must be of known sizes but for the batch; g"):
        export(model, MAP, tmp_path / "file", dynamic=(({1: "channels"},),))


def test_translations_refuse_an_opset():
    with pytest.raises(ValueError, match=r"^translations: opset must be an integer from 18 to 27;"):
        translations(28)
