"""Pictures of paths: one panel for each route, as SVG, without any library.

A panel shows the map, of one with a depth its frames side by side, an arrow for each move from a
visited pixel to the next, and a bar: the sequence that is scanned, one cell a step. Colours go from
light to dark along the sequence; where it is padding, the bar is empty and the arrow across it is
dashed. All lengths are in SVG units.
"""

import itertools
import math

CELL = 24  # a pixel of the map
GAP = 16  # around panels
TITLE, BAR = 20, 8  # heights above and below the map
NARROWEST = 108  # a panel, so that its title fits
IN_A_ROW = {2: 4, 3: 2}  # panels, by the axes of a map
INSET, BARB = 5, 4  # how far arrows keep from the middle of a pixel, and the size of their heads

# In 12 steps: a shade has all its arrows in one group.
SHADES = 12
FIRST, LAST = (253, 150, 45), (45, 25, 110)
PAPER, GRID, TEXT = "#ffffff", "#d8dce3", "#444a55"


def draw(table, size, joined):
    """The text of an SVG file that shows the routes of a path over maps of a size."""
    k, l = table.shape
    *depth, height, width = size
    frames, in_a_row = math.prod(depth), IN_A_ROW[len(size)]
    rows = -(-k // in_a_row)
    wide = max(frames * (CELL * width + GAP) - GAP, NARROWEST)
    across = wide + GAP
    down = TITLE + CELL * height + GAP + BAR + GAP
    w, h = GAP + across * min(k, in_a_row), GAP + down * rows
    text = f"A path of {k} x {l} steps over {' x '.join(map(str, size))} pixels"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}"',
        f' role="img" font-family="sans-serif" font-size="11" fill="none">\n<title>{text}</title>',
        f'\n<rect width="{w}" height="{h}" rx="6" fill="{PAPER}"/>\n',
    ]
    for route, pixels in enumerate(table.tolist()):
        x, y = GAP + across * (route % in_a_row), GAP + down * (route // in_a_row)
        # The shades of joined routes go on from one panel to the next.
        shades = shades_of(k * l, route * l, l) if joined else shades_of(l, 0, l)
        parts += [
            f'<g class="route" transform="translate({x} {y})">\n',
            *title(route, joined),
            f'<g transform="translate(0 {TITLE})">\n',
            *grid(frames, height, width),
            *arrows(pixels, height, width, shades),
            "</g>\n",
            *bar(pixels, shades, wide, TITLE + CELL * height + GAP),
            "</g>\n",
        ]
    return "".join([*parts, "</svg>\n"])


def shades_of(total, start, count):
    """The shade of each of `count` steps from `start` on, in a sequence of `total` steps."""
    return [(start + step) * SHADES // total for step in range(count)]


def colour(shade):
    """A shade as SVG has it."""
    mixed = (a + (b - a) * shade / (SHADES - 1) for a, b in zip(FIRST, LAST, strict=True))
    return "#" + "".join(f"{round(x):02x}" for x in mixed)


def title(route, joined):
    """The number of a route."""
    text = f"route {route}" + (f", after {route - 1}" if joined and route else "")
    yield f'<text y="10" fill="{TEXT}">{text}</text>\n'


def grid(frames, height, width):
    """The pixels of the map."""
    bottom, lines = CELL * height, []
    for left in range(0, frames * (CELL * width + GAP), CELL * width + GAP):
        right = left + CELL * width
        lines += [f"M{left} {y}H{right}" for y in range(0, bottom + 1, CELL)]
        lines += [f"M{x} 0V{bottom}" for x in range(left, right + 1, CELL)]
    yield f'<path class="grid" stroke="{GRID}" d="{"".join(lines)}"/>\n'


def arrows(pixels, height, width, shades):
    """A dot on the first pixel, and an arrow from each visited pixel to the next one."""
    visits = [
        (step, centre(pixel, height, width)) for step, pixel in enumerate(pixels) if pixel >= 0
    ]
    for step, (x, y) in visits[:1]:
        yield f'<circle class="start" cx="{x}" cy="{y}" r="4" fill="{colour(shades[step])}"/>\n'
    moves = list(itertools.pairwise(visits))
    lengths = sorted(math.dist(start, end) for (_, start), (_, end) in moves)
    usual = lengths[len(lengths) // 2] if moves else 0
    for shade, group in itertools.groupby(moves, key=lambda move: shades[move[0][0]]):
        yield f'<g stroke="{colour(shade)}" stroke-width="1.6" stroke-linecap="round">\n'
        for (step, start), (after, end) in group:
            style = ' stroke-dasharray="3 3"' if after > step + 1 else ""
            # Long moves, to the next row or window, step back behind the usual ones.
            style += ' stroke-width="0.8"' if math.dist(start, end) > 1.5 * usual else ""
            yield f'<path class="arrow"{style} d="{arrow(*start, *end)}"/>\n'
        yield "</g>\n"


def centre(pixel, height, width):
    """The middle of a pixel."""
    row, column = divmod(pixel, width)
    frame, row = divmod(row, height)
    left = frame * (CELL * width + GAP)
    return left + CELL * column + CELL // 2, CELL * row + CELL // 2


def arrow(x0, y0, x1, y1):
    """A line between two points, a little shorter than that, and the two barbs at its end."""
    length = math.dist((x0, y0), (x1, y1))
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    start, tip = (x0 + INSET * dx, y0 + INSET * dy), (x1 - INSET * dx, y1 - INSET * dy)
    back = tip[0] - BARB * dx, tip[1] - BARB * dy
    side = BARB / 2 * -dy, BARB / 2 * dx
    left, right = (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1])
    # The barbs start at the tip: dashes do so too.
    return f"M{point(start)}L{point(tip)}M{point(tip)}L{point(left)}M{point(tip)}L{point(right)}"


def point(p):
    """Coordinates to a tenth of a unit; 0.0 has no sign."""
    return " ".join(f"{round(10 * x) / 10:g}" for x in p)


def bar(pixels, shades, length, y):
    """The sequence, from left to right: a stretch of each shade, with gaps for padding."""
    scale = length / len(pixels)
    yield f'<rect class="bar" y="{y}" width="{length}" height="{BAR}" stroke="{GRID}"/>\n'
    for shade in dict.fromkeys(shades):
        cells = [
            f"M{point((scale * step, y))}h{scale:.4g}v{BAR}h{-scale:.4g}z"
            for step, pixel in enumerate(pixels)
            if pixel >= 0 and shades[step] == shade
        ]
        if cells:
            yield f'<path class="visited" fill="{colour(shade)}" d="{"".join(cells)}"/>\n'
