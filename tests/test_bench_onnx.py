"""What was measured of ONNX files: the page has it, and it keeps what the page promises."""

from pathlib import Path

import pytest

from bench import onnx_models

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/onnx.md").read_text(encoding="utf-8")
ROWS = onnx_models.read(ROOT / "bench/results/cpu-onnx.csv")
FOUND = {(row.case, row.mode, row.peer, row.metric): row.p50 for row in ROWS}


def test_the_page_has_the_tables_of_the_rows():
    for table in onnx_models.tables(ROWS):
        mode, cells = table.split("\n\n")
        assert cells in PAGE, mode


@pytest.mark.parametrize("model", onnx_models.MODELS)
@pytest.mark.parametrize("mode", onnx_models.MODES)
def test_files_are_right_and_small(model, mode):
    for node in onnx_models.NODES:
        file = {metric: FOUND.get((model, mode, node, metric)) for metric in onnx_models.UNITS}
        assert file["difference"] < 1e-4
        assert file["file"] < file["weights"] + file["tables"] + 1
        assert file["scans"] > 0
