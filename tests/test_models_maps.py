"""Models of maps have what leads to the last of them, and no more."""

import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

from selscan import models  # noqa: E402

ROUTES = (("h", "v_flip"), ("w2", "w7"), ("v", "h"), ("w3", "h_flip"))
SIZE = {"dim": 8, "depths": (1, 1, 1, 1)}
# A variant of each family and form, and what makes it small.
FAMILIES = {
    "vim_tiny": {"dim": 8, "depth": 4},
    "local_vim_tiny": {"dim": 8, "routes": ROUTES},
    "local_vim_tiny_middle_cls_token": {"dim": 8, "routes": ROUTES},
    "vmamba_tiny_s1l8": SIZE,
    "vmamba_v0_tiny": SIZE,
    "local_vssm_tiny": SIZE | {"routes": ROUTES},
    "efficientvmamba_tiny": SIZE,
    "msvmamba_nano": SIZE,
    "msvmambav3_tiny": SIZE,
}
every = pytest.mark.parametrize("name", FAMILIES)
IMAGE = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


def small(name, seed=0, **options):
    """A model whose numbers all differ from those it begins with."""
    torch.manual_seed(seed)
    options = FAMILIES[name] | {"img_size": 32, "num_classes": 3, "drop_path_rate": 0} | options
    model = models.create(name, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return model.eval()


def maps_of(name, *indices, **options):
    return small(name, features_only=True, out_indices=indices or None, **options)


@pytest.fixture
def alone(tmp_path):
    """A group of one process."""
    store = dist.FileStore(str(tmp_path / "meeting"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


# DistributedDataParallel copies gradients of convolutions whose strides are not those of its own.
@every
@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")
@pytest.mark.usefixtures("alone")
def test_data_parallel_training_goes_on_without_the_last_stages(name):
    model = DistributedDataParallel(maps_of(name, 0, 2).train())

    for _ in range(3):  # what has no gradient is noticed at the second one
        sum(x.square().sum() for x in model(IMAGE)).backward()

    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key


@every
@torch.no_grad()
def test_weights_of_a_whole_model_give_the_same_maps(name):
    whole = maps_of(name, 0, 1, 2, 3)
    state = whole.state_dict()
    if name.startswith("local_vim"):  # norms are numbered as the maps are
        state = {k: v for k, v in state.items() if not k.startswith(("outnorm_2", "outnorm_3"))}

    part = models.load(maps_of(name, 0, 1, seed=1), state)

    for found, want in zip(part(IMAGE), whole(IMAGE)[:2], strict=True):
        assert torch.equal(found, want)


@every
@torch.no_grad()
def test_weights_of_a_classifier_give_maps(name):
    state = small(name).state_dict()
    whole, part = (models.load(maps_of(name, *i), state) for i in ((0, 1, 2, 3), (0, 1)))

    norms = {k: v for k, v in part.state_dict().items() if "outnorm" in k}
    whole.load_state_dict(norms, strict=False)
    for found, want in zip(part(IMAGE), whole(IMAGE)[:2], strict=True):
        assert torch.equal(found, want)


@every
def test_a_strict_state_dict_is_what_is_there(name):
    model, other = maps_of(name, 0, 1), maps_of(name, 1, 0, seed=1)
    whole = small(name).state_dict()

    other.load_state_dict(model.state_dict(), strict=True)
    models.load(other, model.state_dict())

    layers = {key.split(".")[1] for key in model.state_dict() if key.startswith("layers.")}
    assert layers == {"0", "1"}
    assert not any(key.startswith("layers.1.downsample") for key in model.state_dict())
    assert len(model.state_dict()) < len(whole)


@every
def test_layers_that_no_model_of_the_family_has_are_left_over(name):
    state = small(name).state_dict()
    behind = {k.replace("layers.3.", "layers.4."): v for k, v in state.items() if "layers.3" in k}

    with pytest.raises(ValueError, match=r"^load: source must be .*: it has besides layers\.4\."):
        models.load(maps_of(name, 0, 1), state | behind)


@every
def test_maps_come_first_to_last_whatever_was_asked(name):
    assert maps_of(name, 2, 0).out_indices == (0, 2)
