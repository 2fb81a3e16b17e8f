"""Registers, spills, memory and instructions of every compiled kernel, against what is kept."""

import json

import kernel_costs
import pytest
from cuda_parts import FILE, NAME, SOURCES

from bench.machine_code import disassembled
from selscan.backends.cupy import instances, paste
from selscan.backends.cupy.toolkit import disassembler

WRITES_OTHER = "python tests/kernel_costs.py, with NVRTC 13.0, writes the file: see its docstring"
WRITES = "python tests/kernel_costs.py writes the file; look at what changes"
KEPT = json.loads(kernel_costs.SNAPSHOT.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def pinned(nvrtc):
    """The compiler that the costs were taken with, and its disassembler."""
    if str(nvrtc) != KEPT["compiler"]:
        pytest.skip(f"the costs are those of {KEPT['compiler']}; this is {nvrtc}")
    if disassembler() is None:
        pytest.skip("nvdisasm is not installed: pip install -e '.[nvrtc]'")
    return nvrtc


@pytest.mark.parametrize("target", kernel_costs.TARGETS)
def test_kernels_cost_what_is_kept(pinned, target):
    files = list(kernel_costs.wanted(pinned, KEPT, target))
    found = kernel_costs.costs_of(pinned, target, files)
    found = {f"{name} {target}": cost for name, cost in found.items()}
    names = {f"{file} {name} {target}" for file, instances, _ in files for name in instances}
    kept = {key: cost for key, cost in KEPT.items() if key in names}

    assert found == kept, WRITES
    assert bool(found) or target != kernel_costs.ALWAYS


def test_loops_have_the_slots_that_are_kept(pinned):
    found = kernel_costs.slots_of(pinned, KEPT)

    assert found
    assert found == {line: KEPT.get(line) for line in found}, WRITES


def test_what_changed_is_compiled_for_all_targets(pinned):
    lines = {
        target: list(kernel_costs.wanted(pinned, KEPT, target)) for target in ("sm_80", "sm_90")
    }
    new = KEPT | {"source scan_step.cu": "0"}

    again = [one for one in kernel_costs.files() if one[0] == instances.STEP]
    for target, before in lines.items():
        after = list(kernel_costs.wanted(pinned, new, target))
        assert [one for one in after if one[0] == instances.STEP] == again
        assert {one[0] for one in after} == {one[0] for one in before} | {instances.STEP}


def test_spills_of_the_compiler_that_torch_pins_are_kept(nvrtc):
    kept = json.loads(kernel_costs.OTHER.read_text(encoding="utf-8"))
    names = {
        f"{file} {name} sm_90" for file, found in kernel_costs.PINNED.items() for name in found
    }

    sources = kernel_costs.sources_of_pinned()

    assert {line: kept.get(line) for line in sources} == sources, WRITES_OTHER
    assert set(kept) == names | set(sources) | {"compiler"}
    assert names <= set(KEPT)
    if str(nvrtc) == kept["compiler"]:
        assert kernel_costs.snapshot_of_pinned(nvrtc) == kept


def test_what_code_depends_on_changes_its_hash(pinned, monkeypatch):
    file, names, folder = kernel_costs.files()[0]
    hashes = {kernel_costs.made_from(pinned.identity, file, names, folder)}
    hashes.add(kernel_costs.made_from(pinned.identity, file, names[1:], folder))
    text = paste.paste(file, folder)
    for place, name, value in (
        (kernel_costs, "OPTIONS", ("--std=c++17",)),
        (paste, "paste", lambda *_: f"{text}\n"),
        (pinned, "identity", (13, 5)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            hashes.add(kernel_costs.made_from(pinned.identity, file, names, folder))

    assert len(hashes) == 5


def test_costs_are_kept_for_every_instance_and_target():
    assert set(KEPT) == kernel_costs.expected()


def test_a_kernel_alone_costs_what_it_costs_among_others(pinned):
    text = paste.paste(FILE, SOURCES)
    for name in (NAME, "spill<64>"):
        compiled = pinned.compile(text, FILE, (name,), "sm_90")
        [used] = kernel_costs.resources(compiled.log).values()
        [instructions] = kernel_costs.counts(disassembled(compiled)).values()

        assert used | instructions == KEPT[f"{FILE} {name} sm_90"]


@pytest.mark.parametrize("target", kernel_costs.TARGETS)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exponential<float, 4>", {"MUFU": 4, "LDG": 4, "STG": 4, "STL": 0, "LDL": 0, "BAR": 0}),
        ("block_sum<8>", {"SHFL": 5, "BAR": 1, "LDG": 1, "STG": 1, "shared": 8 * 4, "MUFU": 0}),
        ("local_array<16>", {"stack": 16 * 4, "spills": 0, "LDG": 17, "STG": 1}),
        ("spill<64>", {"registers": 32, "LDG": 64, "STG": 64}),
    ],
)
def test_the_counts_are_those_that_the_source_shows(name, target, expected):
    cost = KEPT[f"{FILE} {name} {target}"]

    assert {what: cost[what] for what in expected} == expected
    assert bool(cost["spills"]) == (name == "spill<64>")
    assert bool(cost["STL"] and cost["LDL"]) == bool(cost["stack"])


def test_the_log_of_ptxas_is_read():
    log = (
        "ptxas info    : 304 bytes gmem\n"
        "ptxas info    : Compiling entry function '_Z1a' for 'sm_90'\n"
        "ptxas info    : Function properties for _Z1a\n"
        "ptxas         .     376 bytes stack frame, 440 bytes spill stores, 44 bytes spill loads\n"
        "ptxas info    : Used 32 registers, used 1 barriers, 376 bytes cumulative stack size\n"
        "ptxas info    : Compile time = 12.065 ms\n"
        "ptxas info    : Function properties for _Z1b\n"
        "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 10 registers, 128 bytes smem, 400 bytes cmem[0]\n"
    )

    assert kernel_costs.resources(log) == {
        "_Z1a": {"registers": 32, "stack": 376, "spills": 484, "shared": 0},
        "_Z1b": {"registers": 10, "stack": 0, "spills": 0, "shared": 128},
    }


def test_instructions_are_counted_with_and_without_predicates_and_without_padding():
    text = (
        ".text._Z1a:\n"
        "        /*0000*/                   LDG.E.128 R4, desc[UR4][R2.64] ;\n"
        '        /*0010*/              @!P0 STL [R1+0x4], R5        (*"SpillRefill"*);\n'
        "        /*0020*/             @!UP1 MUFU.EX2 R6, R6 ;\n"
        ".L_x_0:\n"
        "        /*0030*/               @P1 EXIT ;\n"
        "        /*0040*/                   NOP;\n"
        ".text._Z1b:\n"
        "        /*0000*/                   SHFL.BFLY PT, R1, R0, 0x10, 0x1f ;\n"
    )

    counts = kernel_costs.counts(text)

    nothing = dict.fromkeys(kernel_costs.COUNTED, 0)
    assert counts == {
        "_Z1a": {"instructions": 4} | nothing | {"LDG": 1, "STL": 1, "MUFU": 1},
        "_Z1b": {"instructions": 1} | nothing | {"SHFL": 1},
    }


def test_the_file_is_written_with_a_line_for_each_kernel(tmp_path, monkeypatch):
    kept = kernel_costs.SNAPSHOT.read_text(encoding="utf-8")
    monkeypatch.setattr(kernel_costs, "SNAPSHOT", tmp_path / "costs.json")
    kernel_costs.write(KEPT)

    assert (tmp_path / "costs.json").read_text(encoding="utf-8") == kept
    assert len(kept.splitlines()) == len(KEPT) + 2
