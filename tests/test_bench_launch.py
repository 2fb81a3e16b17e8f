"""The part `launch` of bench.compare, without CuPy; tests/driver has the rest."""

import pytest

pytest.importorskip("torch")

from bench.parts import launch
from bench.rows import Row
from selscan import backends
from selscan.ops import scan as ops


def test_calls_and_their_pieces_are_timed_without_a_gpu(monkeypatch):
    monkeypatch.setattr(launch, "driver", lambda: (None, "a reason"))
    backends.forget()
    ops.prepare_forward.cache_clear()
    try:
        rows = [Row(**row) for row in launch.child({"kind": "tensors", "calls": 20})]
        absent = [Row(**row) for row in launch.child({"kind": "CuPy arrays", "calls": 20})]
    finally:
        backends.forget()
        ops.prepare_forward.cache_clear()

    assert {row.mode for row in rows if row.metric == launch.WHOLE} == {
        "scan", "scan, with the last state", "scan_step",
    }  # fmt: skip
    assert all(row.p50 > 0 for row in rows)
    assert [row.note for row in absent] == ["a reason"]
    whole, of_pieces, notes = launch.tables(rows + absent)
    assert "| scan_step " in whole
    assert "| the struct of the kernel " in of_pieces
    assert "- tensors: without CuPy's part: a reason" in notes
