"""The shapes that are timed: language models and vision models, bfloat16 with A in float32."""

from dataclasses import dataclass, replace

from selscan.cases import Case

ROUTES = 4  # of VMamba, stacked along the channels
MODES = {"forward": "forward", "full": "forward + backward"}


@dataclass(frozen=True)
class Shape:
    """A scan, or a step of a decoder if `length` is 1."""

    case: Case
    z: bool = False
    layout: str = "bdl"

    @property
    def name(self):
        return self.case.name


def language(batch, dim, length, layout="bdl"):
    """A layer of a language model: 16 states, a gate."""
    name = f"lm b{batch} d{dim} l{length}{' bld' if layout == 'bld' else ''}"
    return Shape(Case(name, batch, dim, length, 16, 1, "language model"), True, layout)


def vmamba(stage, d_state, batch=128):
    """A stage of VMamba at 224 pixels: four routes."""
    width, side = 96 << stage, 56 >> stage
    name = f"vmamba s{stage + 1} n{d_state}"
    case = Case(name, batch, ROUTES * width, side**2, d_state, ROUTES, f"{side} x {side}")
    return Shape(case)


SHAPES = {
    shape.name: shape
    for shape in (
        language(1, 2048, 2048),
        language(8, 2048, 2048),
        Shape(Case("vim small", 128, 768, 197, 16, 1, "14 x 14 and one"), True),
        vmamba(0, 1),
        vmamba(0, 16),
        language(8, 5120, 2048),
        language(4, 2048, 8192),
        vmamba(1, 1),
        vmamba(1, 16),
        vmamba(2, 1),
        vmamba(2, 16),
        vmamba(3, 1),
        vmamba(3, 16),
        language(1, 2048, 65536),
        language(8, 2048, 2048, "bld"),
        Shape(Case("vim small bld", 128, 768, 197, 16, 1, "14 x 14 and one"), True, "bld"),
        Shape(Case("vim tiny", 128, 384, 197, 16, 1, "14 x 14 and one"), True),
        Shape(Case("efficientvmamba s1", 64, 384, 784, 16, ROUTES, "28 x 28")),
        Shape(Case("vim 1248 px", 1, 384, 6084, 16, 1, "78 x 78"), True),
        Shape(Case("vmamba 1248 px", 1, ROUTES * 96, 97344, 1, ROUTES, "312 x 312")),
        language(1, 5120, 65536),
    )
}
STEPS = {
    shape.name: shape
    for shape in (
        Shape(Case(f"step b{batch} d5120", batch, 5120, 1, 16, 1, "decoding"), True)
        for batch in (1, 8, 64, 256)
    )
}


def at_most(shape, length):
    """The same scan with fewer steps."""
    return replace(shape, case=replace(shape.case, length=min(length, shape.case.length)))
