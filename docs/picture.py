"""SVG files in the making, for the scripts that draw the pictures of these pages."""

PAPER, LINE, TEXT = "#ffffff", "#8a93a3", "#30363f"
PALE, COLD, WARM, DARK = "#f1f3f7", "#9ecae9", "#fdb863", "#5b4b8a"


class Picture:
    """An SVG file in the making; all lengths are in SVG units, y goes down."""

    def __init__(self, title, width, height):
        self._title, self._size, self._parts = title, (width, height), []

    def box(self, x, y, width, height, fill=PALE, line=LINE, thick=1):
        """A rectangle."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
            f'fill="{fill}" stroke="{line}" stroke-width="{thick:g}"/>'
        )

    def text(self, x, y, words, anchor="start", size=12, colour=TEXT):
        """A line of text; y is its base line."""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{colour}">{words}</text>'
        )

    def arrow(self, x, y, to_x, to_y, colour=TEXT, thick=1.5):
        """A line with a head."""
        self._parts.append(
            f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="{colour}" '
            f'stroke-width="{thick:g}" marker-end="url(#head)"/>'
        )

    def __str__(self):
        width, height = self._size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" font-family="sans-serif">',
            f"<title>{self._title}</title>",
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" '
            f'markerHeight="6" orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" '
            f'fill="{TEXT}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="6" fill="{PAPER}"/>',
        )
        return "\n".join([*head, *self._parts, "</svg>\n"])
