"""How a row without a number says why: the beginnings of its note."""

from bench.rows import Row, nothing

FAILED, ABSENT, UNTRIED = "failed: ", "not available: ", "not run: "


class NotAvailable(RuntimeError):
    """What a row needs is not on this machine."""


def without(name, note):
    """The row of a name that has no number."""
    return Row(name, "-", "-", "-", **nothing(), unit="", threads=0, note=note)
