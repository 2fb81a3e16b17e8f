"""docs/errors.md, made from the table of bad inputs: `python tests/errors_page.py`."""

from pathlib import Path

from bad_inputs import SECTIONS, keywords

PAGE = Path(__file__).parents[1] / "docs/errors.md"
TOP = """\
# Errors

A call is checked in full before any work begins. What is wrong with it is said in one form,

```text
<function>: <name> must be <contract>; got <what came>.
```

with a hint where the cause is common. The type of the error says what it is about:

| error | about |
|---|---|
| `ValueError` | shapes, devices, memory, values of options |
| `TypeError` | dtypes, types of options, what is not an array, arrays of two libraries |
| `selscan.BackendUnavailable`, a `RuntimeError` | no backend works on these arrays here |

Not checked are the values inside arrays, but for the pixel numbers of a path: NaN and infinity go
where the arithmetic takes them. Where there is no memory for the results, NumPy's `MemoryError` or
torch's `RuntimeError` comes through.

The tables below are the list that the tests read: each row is a call that was made, and its whole
message. In what is given, the name of an argument stands for a right value of it, where b, d, l, n
= 2, 4, 5, 3 (with maps and sequences along a path: b, d, h, w, k, l = 2, 6, 3, 5, 4, 15), the path
of scan2d is `paths.bidirectional(5, 6)`, and `ones(shape)` is an array of ones. Rows of one
function stand for the others that have the argument.

% Written by tests/errors_page.py; edit the lists in tests/bad_*.py instead.
"""
HEAD = "| argument | given | error | message |\n|---|---|---|---|\n"


def row(case):
    """One line of a table."""
    given = keywords(case.given)
    arguments = ", ".join(f"`{name}`" for name, _ in given)
    notes = [case.framework] if case.framework == "torch" else []
    notes += [f"layout {case.layout}"] if case.layout else []
    arguments += f" ({', '.join(notes)})" if notes else ""
    values = ", ".join(f"`{value}`" for _, value in given)
    cells = arguments, values, f"`{case.error.__name__}`", f"`{case.message}`"
    assert not any("|" in cell for cell in cells)
    return f"| {' | '.join(cells)} |\n"


def section(title, groups):
    """A heading and its table."""
    rows = [row(case) for group in groups for case in group.examples()]
    return f"\n## {title}\n\n{HEAD}{''.join(rows)}"


def page():
    """The whole text."""
    return TOP + "".join(section(title, groups) for title, groups in SECTIONS.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
