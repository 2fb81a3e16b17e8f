"""docs/model-cards.md, from the tables of the models: `python docs/models/cards.py`."""

from pathlib import Path
from typing import NamedTuple

from selscan.models import FAMILIES
from selscan.models.table import row

PAGE = Path(__file__).parents[1] / "model-cards.md"
TOP = """\
# Model cards

One row for each model of [`selscan.models`](models.md). A button in the head of a column sorts by
it, and sorts the other way round when it is pressed again.

Parameters and GFLOPs are counted here, for an image of 224 x 224 pixels; top-1 is the published
accuracy in per cent on ImageNet-1k, - where none was published. The licence is what the repository
of the authors' code says; unknown where no word of it was found. For weights ask their authors:
none come with selscan. The picture is of the model's path, in small. The models of LocalMamba take
other routes than windows, too, layer by layer; EfficientVMamba scans in its first two stages only.

% Written by docs/models/cards.py; edit the tables of selscan/models instead.
"""
HEAD = """\
| model | path | parameters | GFLOPs | top-1 | paper | licence |
|---|---|--:|--:|--:|---|---|"""


class Family(NamedTuple):
    """What all models of a file of selscan.models share."""

    path: str  # its picture in docs/paths, and its heading in docs/paths.md
    heading: str
    paper: str
    arxiv: str
    licence: str = "unknown"


CARDS = {
    "vim": Family("bidirectional", "bidirectional", "Vim", "2401.09417"),
    "vmamba": Family("cross", "cross", "VMamba", "2401.10166", "MIT"),
    "localvim": Family("window", "windows", "LocalMamba", "2403.09338", "Apache-2.0"),
    "localvmamba": Family("window", "windows", "LocalMamba", "2403.09338", "Apache-2.0"),
    "efficientvmamba": Family("atrous", "atrous", "EfficientVMamba", "2403.09977", "Apache-2.0"),
    "msvmamba": Family("joined", "joined-routes", "MSVMamba", "2405.14174"),
}


def page(cells):
    """The page, from the cells that `python -m selscan models` prints, by the name of the model."""
    lines = [HEAD]
    for module in FAMILIES:
        family = CARDS[module.__name__.rpartition(".")[2]]
        picture = f"[![{family.path}](paths/{family.path}.svg)](paths.md#{family.heading})"
        paper = f"[{family.paper}](https://arxiv.org/abs/{family.arxiv})"
        for name in module.VARIANTS:
            found = cells[name]
            numbers = " | ".join((found[1], found[-3], found[-1]))
            lines.append(f"| `{name}` | {picture} | {numbers} | {paper} | {family.licence} |")
    return TOP + "\n```{table}\n:class: sortable\n\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    PAGE.write_text(
        page({name: row(name, x) for family in FAMILIES for name, x in family.VARIANTS.items()}),
        encoding="utf-8",
    )
