"""Draw the pictures of docs/kernels.md again: `python docs/kernels/draw.py`.

Sizes come from the planning of the kernels, so that a picture is not older than the code. Nothing
but the standard library is needed.
"""

import sys
from pathlib import Path

from selscan.backends.cupy.instances import LANES
from selscan.backends.cupy.plan import WARPS, Shape

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from picture import COLD, DARK, LINE, PALE, PAPER, TEXT, WARM, Picture  # noqa: E402 - beside this folder

OTHERS = ("#dfe7f2", "#e9e2f1", "#e4eee3", "#f4ebdd")  # warps, or groups of lanes


def block():
    """A block of eight lanes along time: its warps, a warp's tile, a thread."""
    lanes = 8
    shape = Shape.of("float32", lanes)
    cell, row, left, top = 44, 11, 150, 92
    width, high = lanes * cell, shape.rows * row
    picture = Picture("A block walks along time", 730, top + WARPS * (high + 10) + 46)
    picture.text(left, 22, f"time: a tile of {lanes} x {shape.steps} = {shape.length} steps, then")
    picture.arrow(left + width + 8, 18, left + width + 120, 18)
    picture.box(left, 36, width, 34, WARM)
    picture.text(left + width / 2, 57, "B and C of the tile, in shared memory", "middle")
    picture.text(left + width + 12, 57, "read by all warps")
    for warp in range(WARPS):
        y = top + warp * (high + 10)
        picture.text(left - 44, y + high / 2 + 4, f"warp {warp}", "end")
        picture.box(left - 34, y, 26, high, COLD)
        for group in range(shape.rows // shape.channels):
            for lane in range(lanes):
                at = left + lane * cell, y + group * row * shape.channels
                picture.box(*at, cell, row * shape.channels, OTHERS[group % 4])
        picture.box(left, y, width, high, "none", TEXT, 1.5)
    x, y = left + 5 * cell, top + 2 * row * shape.channels
    picture.box(x, y, cell, row * shape.channels, DARK, TEXT, 1.5)
    picture.arrow(left + width + 56, y + 10, x + cell + 3, y + 10)
    picture.text(left + width + 62, y + 6, f"a thread: {shape.steps} steps of")
    picture.text(left + width + 62, y + 21, f"{shape.channels} channels, in registers")
    bottom = top + WARPS * (high + 10)
    picture.arrow(left - 21, bottom + 12, left - 21, bottom - 6)
    picture.text(left - 34, bottom + 27, "A and the states, in shared memory")
    words = f"a warp: {shape.rows} channels"
    picture.text(left + width + 12, top + high + 10 + high / 2, words)
    return picture


def tiles():
    """The tiles of a warp for each number of lanes along time, to scale."""
    across, down, left = 1.1, 2.2, 20
    shapes = [Shape.of("float32", lanes) for lanes in LANES]
    high = 10 + sum(shape.rows * down + 38 for shape in shapes)
    picture = Picture("Tiles of a warp", left * 2 + shapes[-1].length * across, high)
    y = 24
    for lanes, shape in zip(LANES, shapes, strict=True):
        words = f"{lanes} lane{'s' if lanes > 1 else ''} along time: {shape.rows} channels x "
        picture.text(left, y, f"{words}{shape.length} steps")
        y += 8
        high = shape.rows * down
        for lane in range(lanes):
            for group in range(32 // lanes):
                fill = OTHERS[(group + lane) % 4]
                picture.box(
                    left + lane * shape.steps * across,
                    y + group * shape.channels * down,
                    shape.steps * across,
                    shape.channels * down,
                    fill,
                    LINE,
                    0.4,
                )
        picture.box(left, y, shape.length * across, high, "none", TEXT, 1.2)
        y += high + 30
    return picture


def maps():
    """How eight lanes come to know the state that enters their stretch."""
    lanes, cell, left, row = 8, 68, 126, 62
    rounds = (1, 2, 4)
    picture = Picture("Affine maps of eight lanes", left + lanes * cell + 20, 46 + 5 * row)
    for lane in range(lanes):
        x = left + lane * cell
        picture.text(x + cell / 2 - 4, 20, f"lane {lane}", "middle")
    labels = ["own stretch", "by 1", "by 2", "by 4", "states that enter"]
    for step, label in enumerate(labels):
        y = 32 + step * row
        picture.text(left - 10, y + 18, label, "end")
        for lane in range(lanes):
            x = left + lane * cell
            first = max(0, lane + 1 - 2**step)
            entering = step == len(labels) - 1
            known = first == 0 or entering
            fill = DARK if entering else WARM if known else PALE
            colour = PAPER if entering else TEXT
            picture.box(x, y, cell - 8, 28, fill)
            name = "h[-1]" if lane == 0 else span(0, lane - 1)
            name = name if entering else span(first, lane)
            picture.text(x + cell / 2 - 4, y + 18, name, "middle", 12, colour)
            if step < len(rounds) and lane >= rounds[step]:
                source = left + (lane - rounds[step]) * cell + cell / 2 - 4
                picture.arrow(source, y + 28, x + cell / 2 - 10, y + row - 3, LINE, 1)
            if step == len(rounds) and lane:
                picture.arrow(x - cell / 2 - 4, y + 28, x + cell / 2 - 10, y + row - 3, LINE, 1)
    picture.text(
        left, 16 + 5 * row, "1..4: the map of the stretches of lanes 1 to 4; filled: it is known"
    )
    picture.text(left, 32 + 5 * row, "to the end, as lane 0 began at the state before the tile")
    return picture


def span(first, last):
    """Lanes, by number."""
    return str(last) if first == last else f"{first}..{last}"


def places():
    """Where the steps of a tile stand in shared memory."""
    lanes = 4
    steps, cell, left = 16, 18, 20
    picture = Picture("The order of steps in shared memory", 640, 236)
    picture.text(left, 22, f"steps in the order of time; {lanes} lanes with {steps} steps each")
    picture.text(left, 118, "the same in shared memory: the lanes' first four steps, then the next")
    size = cell / 2
    for l in range(lanes * steps):
        lane, t = divmod(l, steps)
        place = t // 4 * (4 * lanes) + lane * 4 + t % 4
        chosen = t // 4 == 1
        for y, at in ((32, l), (128, place)):
            picture.box(left + at * size, y, size, 40, COLD if chosen else OTHERS[lane], LINE, 0.6)
    for lane in range(lanes):
        x = left + lane * steps * size
        picture.box(x, 32, steps * size, 40, "none", TEXT, 1.2)
        picture.text(x + steps * size / 2, 88, f"lane {lane}", "middle")
        start = left + (4 * lanes + lane * 4) * size
        picture.box(start, 128, 4 * size, 40, "none", TEXT, 1.2)
    begin = left + 4 * lanes * size
    words = "steps 4..7 of all lanes: one 16-byte read of each, side by side, no bank twice"
    picture.arrow(begin + 2 * lanes * size, 196, begin + 2 * lanes * size, 172)
    picture.text(left, 214, words)
    return picture


def directions():
    """What goes which way in the backward."""
    count, cell, left, high = 4, 120, 92, 40
    picture = Picture("Forward and backward over the tiles of a sequence", 690, 236)
    picture.text(left, 22, "forward, once: the states before each tile are kept")
    picture.text(left, 132, "backward, from the last tile to the first: each is run again from")
    picture.text(left, 148, "its state, then k goes back over it")
    for tile in range(count):
        x = left + tile * cell
        picture.box(x, 40, cell - 20, high)
        picture.text(x + cell / 2 - 10, 64, f"tile {tile}", "middle")
        picture.box(x - 16, 46, 12, 28, COLD)
        if tile + 1 < count:
            picture.arrow(x + cell - 20, 60, x + cell - 18, 60)
        picture.box(x, 164, cell - 20, high)
        picture.box(x - 16, 170, 12, 28, COLD)
        picture.arrow(x - 2, 176, x + cell - 34, 176, LINE)
        picture.text(x + cell / 2 - 10, 173, "h", "middle", 11)
        picture.arrow(x + cell - 22, 194, x + 6, 194, DARK, 2)
        picture.text(x + cell / 2 - 10, 190, "k", "middle", 11)
        picture.text(x + cell / 2 - 10, 222, f"{count - tile}.", "middle")
    end = left + count * cell - 18
    picture.box(end, 170, 12, 28, WARM)
    picture.text(end + 16, 189, "from last_state")
    picture.text(left - 22, 64, "initial_state", "end", 11)
    return picture


PICTURES = {draw.__name__: draw for draw in (block, tiles, maps, places, directions)}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (HERE / f"{name}.svg").write_text(str(draw()), encoding="utf-8")
