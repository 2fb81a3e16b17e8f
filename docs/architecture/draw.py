"""Draw the picture of docs/architecture.md again: `python docs/architecture/draw.py`.

Boxes and arrows are read from the imports of selscan; nothing but the standard library is needed.
"""

import ast
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from picture import COLD, PALE, WARM, Picture  # noqa: E402 - beside this folder

PACKAGE = HERE.parents[1] / "selscan"
# Files that are one thing: name of the box -> files below selscan/. A package is a box of its own.
TOGETHER = {
    "command line": ("__main__", "bench", "cases", "check", "machine"),
    "public functions": ("__init__", "api", "api_paths", "deferred"),
    "messages": ("errors", "messages"),
}
BACKENDS = ("backends/cpu", "backends/cupy", "backends/numba_cuda")
NEEDS = {
    "torch": COLD,
    "distributed": COLD,
    "nn": COLD,
    "models": COLD,
    "compat": COLD,
} | dict.fromkeys(BACKENDS, WARM)
WIDE, HIGH, GAP, STEP = 132, 32, 22, 58


def box_of(parts):
    """The box that a file belongs to, by its path below selscan/ without a suffix."""
    for box, files in TOGETHER.items():
        if len(parts) == 1 and parts[0] in files:
            return box
    if parts[0] == "backends" and len(parts) > 1 and (PACKAGE / "backends" / parts[1]).is_dir():
        return f"backends/{parts[1]}"
    return parts[0]


def imports(path):
    """The paths below selscan/ of what a file imports from there, also inside functions."""
    package = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = package[: len(package) - node.level + 1]
        elif node.module.startswith("selscan"):
            base = ()
        else:
            continue
        base += tuple((node.module or "").removeprefix("selscan").strip(".").split("."))
        base = tuple(part for part in base if part)
        yield from (base or (alias.name,) for alias in node.names)


def graph():
    """{box: the boxes that it imports, directly and by no way over another one}."""
    found = {box: {"backends"} for box in BACKENDS if (PACKAGE / box).is_dir()}  # which loads them
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
        below = {box_of(target) for target in imports(path) if exists(target)}
        found.setdefault(box_of(parts), set()).update(below - {box_of(parts)})
    deep = {box: {y for x in found[box] for y in reachable(found, x)} for box in found}
    return {box: found[box] - deep[box] for box in found}


def exists(parts):
    """Whether a path below selscan/ is a module, or a name of the package itself."""
    file = PACKAGE / parts[0]
    return file.is_dir() or file.with_suffix(".py").exists()


def reachable(boxes, start):
    seen, waiting = set(), [start]
    while waiting:
        new = boxes.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen


def rows(boxes):
    """Lists of boxes from the bottom up; each imports from rows below its own alone."""
    height = {}

    def level(box):
        if box not in height:
            height[box] = 1 + max((level(x) for x in boxes[box]), default=-1)
        return height[box]

    for box in sorted(boxes):
        level(box)
    return [
        sorted(b for b, at in height.items() if at == i) for i in range(max(height.values()) + 1)
    ]


def layers():
    """What imports what: all arrows point down."""
    boxes = graph()
    stack = rows(boxes)
    width = max(len(row) for row in stack) * (WIDE + GAP) + 2 * GAP
    picture = Picture("What imports what in selscan", width, len(stack) * STEP + GAP)
    places = {}
    for i, row in enumerate(reversed(stack)):
        left = (width - len(row) * (WIDE + GAP) + GAP) / 2
        for j, box in enumerate(row):
            places[box] = left + j * (WIDE + GAP), GAP + i * STEP
    for box, below in sorted(boxes.items()):
        x, y = places[box]
        for target in sorted(below):
            to_x, to_y = places[target]
            picture.arrow(x + WIDE / 2, y + HIGH, to_x + WIDE / 2, to_y)
    for box, (x, y) in sorted(places.items()):
        picture.box(x, y, WIDE, HIGH, NEEDS.get(box, PALE))
        picture.text(x + WIDE / 2, y + 22, box, "middle")
    return picture


PICTURES = {"layers": layers}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (HERE / f"{name}.svg").write_text(str(draw()), encoding="utf-8")
