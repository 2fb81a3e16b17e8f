"""bench.compare: peers that are not there or have a forward alone, and children."""

import math

import pytest

torch = pytest.importorskip("torch")

from bench import compare  # noqa: E402, because it imports torch
from bench.child import call, one_line  # noqa: E402
from bench.parts import numerics  # noqa: E402
from bench.parts.time import unusable  # noqa: E402
from bench.peers import PEERS, check  # noqa: E402
from selscan.cases import CASES, Case  # noqa: E402

SMALL = Case("small", 1, 16, 8, 4, 1, "")


@pytest.mark.parametrize("name", ["onnx_scan", "onnx_attention"])
def test_a_peer_without_gradients_is_checked_for_its_forward(name):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    assert check(PEERS[name], SMALL) < 1e-5
    assert PEERS[name].lacks("full") == "it has no backward"
    assert PEERS[name].lacks("forward") is None


def test_a_library_that_the_user_has_not_built_is_a_reason(monkeypatch, tmp_path):
    monkeypatch.delenv("SELSCAN_BENCH_GGML", raising=False)
    assert unusable(PEERS["ggml"], SMALL) == "SELSCAN_BENCH_GGML does not name a build of ggml"

    monkeypatch.setenv("SELSCAN_BENCH_GGML", str(tmp_path))
    assert unusable(PEERS["ggml"], SMALL) == f"{tmp_path / 'libggml-base.so'} does not exist"


def test_transformers_takes_one_group():
    assert PEERS["transformers"].refuses(CASES["vmamba"]) == "it has no groups"
    assert PEERS["transformers"].refuses(CASES["lm"]) is None


def test_a_quick_run_leaves_out_what_compiles_for_minutes():
    quick, full = compare.arguments(["--quick"]), compare.arguments([])

    assert set(full.peers) - set(quick.peers) == {"associative_compiled"}
    assert set(quick.parts) < set(full.parts)
    assert "associative_compiled" in compare.arguments(["--peers", "associative_compiled"]).peers


def test_a_child_returns_what_the_function_does_or_its_error():
    assert call(one_line, "text") == "str: text"
    with pytest.raises(RuntimeError, match=r"^TypeError: "):
        call(math.sqrt, "text")


def test_16_bits_of_selscan_err_by_their_rounding_and_a_state_in_16_bits_by_more():
    base = Case("numerics", 1, 4, 256, 4, 1, "")

    rows = numerics.place(base, "delta", 0.01, "bfloat16", ["selscan", "loop_step"])

    errors = {(row.peer, row.mode): row.p50 for row in rows}
    assert errors["selscan", "y"] < 2**-8
    assert errors["loop_step", "y"] > 2 * errors["selscan", "y"]
