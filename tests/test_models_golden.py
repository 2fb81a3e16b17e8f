"""The numbers of the official implementations: scores, feature maps, the image's gradient."""

import pytest

torch = pytest.importorskip("torch")

from golden_models import MODELS, assert_near, golden, logits_and_gradient  # noqa: E402

from selscan.models.checkpoints import load  # noqa: E402
from selscan.nn import set_fused  # noqa: E402

WITH_FEATURES = [name for name in MODELS if name != "msvmambav3"]


@pytest.mark.parametrize("fused", [True, False], ids=["scan2d", "gather, scan, scatter"])
@pytest.mark.parametrize("name", MODELS)
def test_scores_and_gradients_are_the_official_ones(name, fused):
    numbers = golden(name)
    model = load(set_fused(MODELS[name](), fused), numbers.state("state")).eval()

    logits, gradient = logits_and_gradient(model, numbers)

    assert_near(logits, numbers["logits"])
    assert_near(gradient, numbers["grad_input"])


@torch.no_grad()
@pytest.mark.parametrize("name", WITH_FEATURES)
def test_feature_maps_are_the_official_ones(name):
    numbers = golden(name)
    model = load(MODELS[name](features_only=True), numbers.state("state", "backbone_state")).eval()

    maps = model(numbers["input"])

    assert len(maps) == 4
    for i, found in enumerate(maps):
        assert_near(found, numbers[f"features_{i}"])
