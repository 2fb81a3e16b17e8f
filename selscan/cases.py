"""The shapes that the papers' models scan, by name, and realistic inputs for them.

`python -m selscan bench`, the benchmarks in bench/ and the tests all take their shapes from here.
A model with k scan routes stacks them along the channels: dim = k * d_inner, groups = k.

>>> CASES["vmamba"].dim, CASES["vmamba"].groups
(768, 4)

"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LAYOUTS = ("bdl", "bld")


@dataclass(frozen=True)
class Case:
    """One scan: u is (batch, dim, length), A is (dim, d_state), B and C have `groups` groups."""

    name: str
    batch: int
    dim: int
    length: int
    d_state: int
    groups: int
    note: str


def stages(model, *, widths, d_state, lengths=(3136, 784, 196, 49)):
    """One case for each stage of a pyramid at 224 px: four routes over maps of side 56, 28, ..."""
    for i, (width, length) in enumerate(zip(widths, lengths, strict=True)):
        note = f"{56 >> i} x {56 >> i} map, 4 x {width} channels"
        yield Case(f"{model}_stage{i}", 4, 4 * width, length, d_state, 4, note)


def multi_scale(model, *, widths):
    """Two scans a stage: the full map's rows, and three routes over the halved map as one."""
    for i, width in enumerate(widths):
        full, half = 56 >> i, -(-(56 >> i) // 2)
        note = f"{full} x {full} map, rows"
        yield Case(f"{model}_stage{i}_full", 4, width, full**2, 1, 1, note)
        note = f"{half} x {half} map, 3 joined routes"
        yield Case(f"{model}_stage{i}_half", 4, width, 3 * half**2, 1, 1, note)


def by_name(*groups):
    """All cases in order, keyed by name."""
    return {case.name: case for group in groups for case in group}


# d_inner, the channels of one route, in the stages of the pyramids 96 wide with expansion 2.
WIDTHS = (192, 384, 768, 1536)

CASES = by_name(
    [
        Case("vim", 8, 384, 197, 16, 1, "Vim-Ti, one direction"),
        Case("short", 1, 5120, 128, 16, 1, "Mamba-2.8B, a short prompt"),
        Case("lm", 1, 1536, 1024, 16, 1, "Mamba-130M, a page of text"),
        Case("vmamba", 4, 768, 3136, 1, 4, "VMamba-T[s2l5], first stage"),
        Case("vim_tiny", 8, 384, 197, 16, 1, "196 patches and a class token"),
        Case("vim_small", 8, 768, 197, 16, 1, "196 patches and a class token"),
        Case("vim_small_plus", 8, 768, 730, 16, 1, "729 patches and a class token"),
        Case("local_vim_tiny", 8, 1536, 196, 16, 4, "14 x 14 map, 4 x 384 channels"),
    ],
    stages("vmamba_tiny_s1l8", widths=(96, 192, 384, 768), d_state=1),
    stages("vmamba_tiny_s2l5", widths=WIDTHS, d_state=1),
    stages("vmamba_tiny_v0", widths=WIDTHS, d_state=16),
    # 2 x 2 windows pad the 7 x 7 map to 8 x 8; the other maps are multiples of both window sizes.
    stages("local_vmamba_tiny", widths=WIDTHS, d_state=16, lengths=(3136, 784, 196, 64)),
    # Only the first two stages scan, and each route visits a quarter of the map.
    stages("efficientvmamba_tiny", widths=(96, 192), d_state=16, lengths=(784, 196)),
    multi_scale("msvmamba_tiny", widths=WIDTHS),
)


def make_inputs(
    case: Case, dtype: str = "float32", seed: int = 0, layout: str = "bdl"
) -> dict[str, np.ndarray]:
    """Inputs as a trained model has them, to be scanned with `delta_softplus=True`.

    Both layouts hold the same values.

    Parameters
    ----------
    case : Case
    dtype : "float32" | "float64" | "float16"; A, D and delta_bias are never narrower than float32
    layout : "bdl" (u (b, d, l), B (b, g, n, l)) or "bld" (u (b, l, d), B (b, l, g, n)); contiguous

    Returns
    -------
    dict of u, delta, A, B, C, D, delta_bias

    Raises
    ------
    ValueError : unknown layout.

    Examples
    --------
    >>> make_inputs(CASES["vim"])["B"].shape
    (8, 1, 16, 197)

    """
    import numpy as np

    if layout not in LAYOUTS:
        raise ValueError(f'make_inputs: layout must be "bdl" or "bld"; got {layout!r}.')
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    wide = np.promote_types(dtype, np.float32)
    b, d, n, g = case.batch, case.dim, case.d_state, case.groups

    def normal(*shape):
        return rng.standard_normal(shape, dtype=wide)

    # softplus(delta_bias) is log-uniform in 1e-3 .. 1e-1, as mamba initialises it.
    step = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), d))
    inputs = {
        "u": normal(b, d, case.length).astype(dtype),
        "delta": (0.5 * normal(b, d, case.length)).astype(dtype),
        "A": (-np.arange(1, n + 1) * np.exp(0.1 * normal(d, n))).astype(wide),
        "B": normal(b, g, n, case.length).astype(dtype),
        "C": normal(b, g, n, case.length).astype(dtype),
        "D": normal(d),
        "delta_bias": (step + np.log(-np.expm1(-step))).astype(wide),
    }
    if layout == "bld":
        order = {"u": (0, 2, 1), "delta": (0, 2, 1), "B": (0, 3, 1, 2), "C": (0, 3, 1, 2)}
        for name, axes in order.items():
            inputs[name] = np.ascontiguousarray(inputs[name].transpose(axes))
    return inputs
