"""Tables, limits and the small parts of python -m bench.gpu."""

import ctypes
import io
import tarfile
from types import SimpleNamespace

import pytest

from bench.gpu import classes, limits, mamba, outcomes, report, shapes, summary
from bench.gpu.parts import SECONDS, micro, module_of, sanitize, speed, start
from bench.rows import Row, nothing, quantiles
from selscan.cases import Case

# ---- limits --------------------------------------------------------------------------------------

EXPONENTIALS = {"exponentials": 4e12}
SMALL = shapes.Shape(Case("small", 2, 8, 10, 4, 2, ""), True)


def test_the_work_of_a_scan_is_its_arrays_and_its_exponentials():
    arrays = 4 * 2 * 8 * 10  # u, delta, z, y
    coefficients = 2 * 2 * 2 * 4 * 10  # B, C
    weights = 8 * 4 + 8 + 8

    found = limits.work(SMALL, "forward")

    assert found.bytes == 2 * (arrays + coefficients) + 4 * weights
    assert found.exponentials == 2 * 8 * 10 * (4 + 1 + 2)


def test_a_backward_reads_and_computes_it_all_again():
    arrays = 7 * 2 * 8 * 10  # u, delta, z, dy; du, ddelta, dz
    both = limits.work(SMALL, "full")
    forward = limits.work(SMALL, "forward")

    assert both.exponentials == 2 * forward.exponentials
    assert both.bytes - forward.bytes == 2 * (arrays + 2 * 2 * 2 * 2 * 4 * 10) + 2 * 4 * 48


def test_a_step_moves_its_state_both_ways():
    state = 2 * 8 * 4 * 4
    assert limits.work(SMALL, "step").bytes - limits.work(SMALL, "forward").bytes == 2 * state


def test_the_limit_is_the_longer_of_two():
    rates = {"copy": 1e12, "exponentials": 1e12}

    assert limits.limit(limits.Work(5_000_000, 2_000_000), rates) == (5, "memory")
    assert limits.limit(limits.Work(5_000_000, 7_000_000), rates) == (7, "exponentials")
    assert limits.limit(limits.Work(1, 1), {"copy": 1e12}) is None


# ---- tables --------------------------------------------------------------------------------------


def timed(peer, times, metric="time", case="lm b1 d2048 l2048", mode="forward", note=""):
    values = quantiles(times) if times else nothing()
    return Row(case, peer, mode, metric, **values, unit="us", threads=0, note=note)


def micro_rows():
    for name, value in (("copy", 4000.0), ("exponentials", 4000.0)):
        yield Row(name, "device", "-", "rate", **quantiles([value]), unit="G", threads=0)


def test_the_table_of_times_has_ratios_and_the_part_of_the_limit():
    rows = [
        timed("selscan", [30.0, 40.0, 50.0], note="in a graph; scan_forward<x>"),
        timed("selscan", [60.0], "eager"),
        timed("mamba_ssm", [80.0]),
        timed("loop", None, note="not available: left out"),
    ]

    table, reasons = speed.tables(rows, limits.rates_of(micro_rows()))

    # 16 states, softplus, silu: 19 exponentials for each of 2048 * 2048 at 4e12 a second
    [line] = [line for line in table.splitlines() if line.startswith("| lm")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    spread = "34.0-46.0"
    assert cells[1:7] == ["40.0", spread, "60.0", "-", "19.9 exponentials", "50 %"]
    assert cells[7:] == ["-", "80.0 (2.00x)", "-", "-"]
    assert "- lm b1 d2048 l2048, forward: in a graph; scan_forward<x>" in reasons
    assert "- loop, lm b1 d2048 l2048 forward: not available: left out" in reasons


def test_without_rates_there_is_no_limit():
    table, _ = speed.tables([timed("selscan", [40.0])], {})
    assert "exponentials" not in table


def test_a_report_counts_rows_and_lists_failures():
    head = {"gpus": ["H"], "machine": "m", "python": "3", "versions": "v", "cuda_versions": ""}
    head |= {"commit": "c", "source": "s", "date": "d", "clocks": {"micro": ["1980 MHz"]}}
    rows = [("micro", row) for row in micro_rows()]
    rows.append(("speed", timed("selscan", None, note="failed: wrong")))
    rows.append(("speed", timed("loop", None, note="not available: x")))

    text = report.report(head, rows)

    assert "Rows: 2 measured, 1 failed, 1 not available, 0 not run" in text
    assert "## Failures\n\n- speed, lm b1 d2048 l2048: failed: wrong" in text
    assert "- after micro: 1980 MHz" in text


def test_every_part_makes_tables_of_rows_without_numbers():
    for part in SECONDS:
        tables = __import__(module_of(part), fromlist=["tables"]).tables
        list(tables([outcomes.without("000 scan x", "not run: too late")], {}))


# ---- the summary ---------------------------------------------------------------------------------


def speed_row(case, peer, us):
    return "speed", Row(case, peer, "forward", "time", **quantiles([us]), unit="us", threads=0)


def rate(name, value):
    return "micro", Row(name, "device", "-", "rate", **quantiles([value]), unit="", threads=0)


def test_the_summary_has_the_ratio_to_each_peer_and_the_part_of_the_limit():
    case = "lm b1 d2048 l2048"
    limit = limits.limit(
        limits.work(shapes.SHAPES[case], "forward"), {"copy": 4e12, **EXPONENTIALS}
    )
    rows = [rate("copy", 4e3), rate("exponentials", 4e3)]
    rows += [speed_row(case, "selscan", 2 * limit.us)]
    rows += [speed_row(case, "mamba_ssm", 5 * limit.us)]

    [*_, line] = summary.summary(rows).splitlines()

    assert line.startswith(f"{case}, forward ")
    assert line.endswith("50 %  mamba_ssm 2.50x")


def test_the_summary_has_40_lines_at_most_and_names_failures():
    rows = [speed_row(f"case {i}", "selscan", 1.0) for i in range(60)]
    rows += [("speed", outcomes.without(f"bad {i}", "failed: x" * 99)) for i in range(9)]

    lines = summary.summary(rows).splitlines()

    assert len(lines) == summary.LINES
    assert max(map(len, lines)) <= summary.WIDTH
    assert lines[-1] == "and 3 failures more, see report.md"
    assert lines[-2].startswith("speed, bad 5: failed: x")
    assert lines[-8].startswith("and ")


def test_each_kind_of_kernel_is_timed_once_before_any_is_twice():
    cells = [(shape, mode) for shape in shapes.SHAPES.values() for mode in shapes.MODES]

    found = classes.telling_first(cells)
    kinds = [classes.class_of(*cell) for cell in found]

    assert sorted(map(cells.index, found)) == list(range(len(cells)))
    assert len(set(kinds[: len(set(kinds))])) == len(set(kinds))
    forwards = [kind[2:] for kind in kinds if kind[0] == "forward"]
    assert {lanes for lanes, *_ in forwards} == {1, 2, 8, 32}
    assert {in_segments for *_, in_segments in forwards} == {False, True}


# ---- compute-sanitizer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status", "count", "note"),
    [
        ("x\n========= ERROR SUMMARY: 0 errors\n", 0, 0, ""),
        ("========= ERROR SUMMARY: 3 errors\n", 9, 3, "failed: 3 errors, see log.txt"),
        ("========= RACECHECK SUMMARY: 1 hazard displayed (1 error)\n", 9, 1, "failed: 1 errors"),
        ("========= Error: No attachable process\n", 1, None, "failed: status 1: Error: No att"),
        ("Boom\n========= ERROR SUMMARY: 0 errors\n", 1, None, "failed: status 1: ERROR SUMMARY"),
        ("", 127, None, "failed: status 127: no output"),
    ],
)
def test_what_compute_sanitizer_says_is_read(text, status, count, note):
    found, said = sanitize.outcome(text, status)

    assert found == count
    assert said.startswith(note)
    assert bool(said) == bool(note)


def test_a_refused_backward_is_no_fault_of_the_tool():
    text = "selscan.errors.BackendUnavailable: selscan: no gradients.\nERROR SUMMARY: 0 errors"
    with pytest.raises(outcomes.NotAvailable, match=r"^no gradients\.$"):
        sanitize.outcome(text, 1)


def test_that_the_tool_does_not_work_on_a_device_is_said_once(monkeypatch):
    said = "========= Error: Device not supported. Please refer to the documentation.\n"
    tool = SimpleNamespace(stdout=said, returncode=255)
    monkeypatch.setattr(sanitize, "_told", [])
    monkeypatch.setattr(sanitize, "find_tool", lambda: "compute-sanitizer")
    monkeypatch.setattr(sanitize.subprocess, "run", lambda *_, **__: tool)
    first, *others = sanitize.names({})

    with pytest.raises(outcomes.NotAvailable, match=r"^compute-sanitizer: Device not supported\."):
        next(sanitize.run(first, {}))
    assert [row for name in others for row in sanitize.run(name, {})] == []


def test_the_tool_is_looked_for_in_cudas_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(outcomes.NotAvailable, match="neither on PATH nor in CUDA_HOME"):
        sanitize.find_tool({"CUDA_HOME": str(tmp_path)})

    tool = tmp_path / "bin/compute-sanitizer"
    tool.parent.mkdir()
    tool.touch()
    assert sanitize.find_tool({"CUDA_HOME": str(tmp_path)}) == str(tool)


# ---- mamba_ssm -----------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path):
    """A .tar.gz with the folders of mamba_ssm's source package."""
    path = tmp_path / "mamba_ssm-9.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in mamba.SOURCES:
            found = tarfile.TarInfo(f"mamba_ssm-9/{mamba.FOLDER}/{name}")
            archive.addfile(found, io.BytesIO(b""))
    return path


def test_a_source_package_is_unpacked_or_taken_as_it_is(package, tmp_path):
    folder = mamba.unpacked(package, tmp_path / "into")

    assert folder == tmp_path / "into/mamba_ssm-9"
    assert {path.name for path in (folder / mamba.FOLDER).iterdir()} == set(mamba.SOURCES)
    assert mamba.unpacked(folder, None) == folder
    with pytest.raises(outcomes.NotAvailable, match="not the source package of mamba_ssm"):
        mamba.unpacked(tmp_path, None)


def test_a_build_that_fails_is_a_reason(package, tmp_path, monkeypatch):
    def compile_in(folder, package):
        raise RuntimeError("nvcc: no\nmore")

    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "built"))
    monkeypatch.setattr(mamba, "compile_in", compile_in)
    with pytest.raises(outcomes.NotAvailable, match="failed: was not finished"):
        mamba.library(package)
    with pytest.raises(RuntimeError, match="nvcc"):
        mamba.build(package)

    with pytest.raises(outcomes.NotAvailable, match=r"failed: RuntimeError: nvcc: no$"):
        mamba.library(package)
    with pytest.raises(outcomes.NotAvailable, match="mamba_ssm is not installed"):
        mamba.library(None)


# ---- the rest ------------------------------------------------------------------------------------


def test_first_calls_are_told_apart_and_a_refused_backward_is_said():
    run = {"import selscan": 0.1, "first forward": 1.0, "note": "no gradients"}

    rows = list(start.stages("cold", [run, run | {"first forward": 3.0}]))

    assert [(row.mode, row.p50) for row in rows] == [
        ("import selscan", 0.1),
        ("first forward", 2.0),
        ("first forward + backward", None),
    ]
    assert "2.00" in next(start.tables(rows, {}))


def test_a_launch_of_each_rate_has_arguments_for_its_kernel():
    sizes = []

    def allocate(size):
        sizes.append(size)
        return ctypes.c_void_p(0)

    for name, rate in micro.RATES.items():
        arguments, units = micro.arguments(name, rate, 4, allocate)
        assert len(arguments) in (2, 3, 4)
        assert units > 0
    assert max(sizes) == micro.COPIED


def test_every_shape_is_a_scan():
    assert all(x.case.dim % x.case.groups == 0 for x in shapes.SHAPES.values())
