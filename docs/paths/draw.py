"""Draw the pictures of docs/paths.md again: `python docs/paths/draw.py`.

The page makes a path `cross` in one of its code blocks and shows `paths/cross.svg`.
"""

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "paths.md"


def pictures():
    """The text of each picture by its name, from running the blocks of the page."""
    page, namespace = PAGE.read_text(encoding="utf-8"), {}
    for block in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S):
        exec(block, namespace)
    names = re.findall(r"\(paths/(\w+)\.svg\)", page)
    return {name: namespace[name].draw() for name in names}


if __name__ == "__main__":
    for name, picture in pictures().items():
        (HERE / f"{name}.svg").write_text(picture, encoding="utf-8")
