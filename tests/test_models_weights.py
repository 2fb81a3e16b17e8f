"""Weights whose numbers cannot be a model's: integers, sparse, without data, of other ranks."""

import warnings

import pytest

torch = pytest.importorskip("torch")

from selscan import models  # noqa: E402

SIZES = {
    "vim_tiny": {"dim": 16, "depth": 1},
    "local_vim_tiny": {"dim": 16, "routes": (("h", "v"),)},
    "efficientvmamba_tiny": {"dim": 8, "depths": (1,)},
    "vmamba_v0_tiny": {"dim": 8, "depths": (1,)},
}


def new_model(name="efficientvmamba_tiny", img_size=32):
    return models.create(name, num_classes=3, img_size=img_size, **SIZES[name])


def quantized(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch will move its quantized tensors elsewhere
        return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)


CHANGES = {
    "int8": (lambda x: x.to(torch.int8), " int8 for float32"),
    "uint8": (lambda x: x.to(torch.uint8), " uint8 for float32"),
    "bool": (lambda x: x > 0, " bool for float32"),
    "int64": (lambda x: x.to(torch.int64), " int64 for float32"),
    "complex": (lambda x: x.to(torch.complex64), " complex64 for float32"),
    "quantized": (quantized, " quantized. Call .dequantize() first."),
    "sparse": (lambda x: x.to_sparse(), " of layout torch.sparse_coo. Call .to_dense() first."),
    "meta": (lambda x: x.to("meta"), "must be weights with data; got "),
    "of one axis": (lambda x: x.flatten()[1:], "it has of another shape "),
    "a number": (lambda x: x.sum(), "it has of another shape "),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", SIZES)
def test_weights_of_another_kind_are_refused(name, change):
    change, message = CHANGES[change]
    model = new_model(name)
    state = model.state_dict()

    # All of them, and each that has its own code: the first, the second and the last ones.
    for changed in (list(state), *([key] for key in list(state)[:2] + list(state)[-2:])):
        floats = [key for key in changed if state[key].dim() > 1]
        if not floats:
            continue
        source = state | {key: change(state[key]) for key in floats}
        with pytest.raises(ValueError, match=r"^load: (source|pos_embed) must be ") as caught:
            models.load(model, source)
        assert message in str(caught.value)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", SIZES)
def test_floats_of_other_widths_are_rounded(name, dtype, size):
    state = {k: v.to(dtype) for k, v in new_model(name, size).state_dict().items()}

    model = models.load(new_model(name), state)

    for key, value in model.state_dict().items():
        assert torch.isfinite(value).all()
        resized = value.shape != state[key].shape
        assert resized or torch.equal(value, state[key].to(value.dtype))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["vim_tiny", "local_vim_tiny"])
def test_positions_of_another_kind_and_size_are_refused(name, change):
    model, (change, _) = new_model(name), CHANGES[change]
    table = torch.randn(1, 16 + (name == "vim_tiny"), 16)

    for other in (change(table), change(table[:, :0]), change(table[..., :0]), change(table[0])):
        with pytest.raises(ValueError, match=r"^load: (source|pos_embed) must be "):
            models.load(model, model.state_dict() | {"pos_embed": other})


def test_a_count_of_batches_may_have_been_averaged():
    state = new_model().state_dict()
    counts = {k: torch.tensor(7.0) for k in state if k.endswith("num_batches_tracked")}

    model = models.load(new_model(), state | counts)

    assert counts
    assert all(model.state_dict()[name] == 7 for name in counts)


def test_a_model_without_memory_is_refused():
    state = new_model().state_dict()
    with torch.device("meta"):
        model = new_model()

    with pytest.raises(ValueError, match=r"^load: model must be one with memory for its weights"):
        models.load(model, state)
    models.load(model.to_empty(device="cpu"), state)
    assert all(torch.equal(x, state[name]) for name, x in model.state_dict().items())
