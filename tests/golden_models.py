"""What the official implementations of the models give (tests/golden/README.md)."""

import functools
import json
import lzma
from pathlib import Path

import numpy as np
import torch

from selscan.models.efficientvmamba import EfficientVMamba
from selscan.models.msvmamba import VARIANTS as MS_VARIANTS
from selscan.models.msvmamba import MSVMamba
from selscan.models.vmamba import VARIANTS, VMamba

FOLDER = Path(__file__).parent / "golden"


@functools.cache
def checkpoint_keys():
    """Names and shapes of the tensors in the official state dict of each variant."""
    return json.loads(lzma.decompress((FOLDER / "checkpoint_keys.json.xz").read_bytes()))


class Golden:
    """The numbers of one small model."""

    def __init__(self, name):
        with np.load(FOLDER / f"{name}.npz") as file:
            self.arrays = {key: torch.from_numpy(file[key]) for key in file.files}

    def __getitem__(self, key):
        return self.arrays[key]

    def state(self, *folders):
        """The tensors below some folders of the file, as one state dict."""
        return {
            key.removeprefix(f"{folder}/"): value
            for folder in folders
            for key, value in self.arrays.items()
            if key.startswith(f"{folder}/")
        }


golden = functools.cache(Golden)


def logits_and_gradient(model, numbers):
    """The output of a model, and the gradient of the image for the weights of the file."""
    image = numbers["input"].clone().requires_grad_()
    logits = model(image)
    (logits * numbers["logits_weight"]).sum().backward()
    return logits.detach(), image.grad


def assert_near(got, want, tolerance=1e-4):
    """Element by element, to an absolute and relative tolerance."""
    torch.testing.assert_close(got, want, atol=tolerance, rtol=tolerance)


def small(family, variants, name):
    """A variant's model, as small as that of the golden numbers."""
    size = {"dim": (8, 16, 24, 40), "depths": (1, 1, 2, 1), "num_classes": 10}
    return lambda **options: family(**variants[name].options | size | options)


def small_efficient(**options):
    size = {"dim": (8, 16, 24, 40), "depths": (1, 2, 2, 1), "num_classes": 10}
    return EfficientVMamba(**size | options)


MODELS = {
    "vmamba_v0": small(VMamba, VARIANTS, "vmamba_v0_tiny"),
    "vmamba": small(VMamba, VARIANTS, "vmamba_tiny_s1l8"),
    "efficientvmamba": small_efficient,
    "msvmamba": small(MSVMamba, MS_VARIANTS, "msvmamba_nano"),
    "msvmambav3": small(MSVMamba, MS_VARIANTS, "msvmambav3_tiny"),
}
