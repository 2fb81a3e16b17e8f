"""NVRTC itself, without a GPU: machine code, names, targets, errors."""

import os
import re

import pytest
from cuda_parts import FILE, INSTANCES, NAME, SOURCES, Gpu, in_threads, make_loader
from processes import run_python

import selscan
from bench.gpu import prebuild
from selscan.backends.cupy import instances, paste
from selscan.backends.cupy.compiler import OPTIONS
from selscan.backends.cupy.nvrtc import Loader
from selscan.backends.cupy.store import Store

ELF = b"\x7fELF"


@pytest.fixture
def text():
    return paste.paste(FILE, SOURCES)


def error_of(nvrtc, folder, file="a.cu", name="a"):
    with pytest.raises(RuntimeError) as caught:
        nvrtc.compile(paste.paste(file, folder), file, (name,), "sm_90")
    return str(caught.value), caught.value.__notes__


@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
def test_instances_become_machine_code_with_their_names(nvrtc, text, target):
    names = INSTANCES[FILE]

    compiled = nvrtc.compile(text, FILE, names, target)

    assert compiled.image.startswith(ELF)
    assert set(compiled.lowered) == set(names)
    assert compiled.lowered["block_sum<8>"] == "_Z9block_sumILi8EEv9Arguments"
    assert all(lowered.encode() in compiled.image for lowered in compiled.lowered.values())


def test_the_log_has_the_registers_of_every_kernel(nvrtc, text):
    compiled = nvrtc.compile(text, FILE, INSTANCES[FILE], "sm_90")

    for lowered in compiled.lowered.values():
        assert re.search(rf"for {lowered}\n.*\n.*Used \d+ registers", compiled.log)


def test_line_info_names_the_files_and_no_folder_of_this_machine(nvrtc, text):
    image = nvrtc.compile(text, FILE, (NAME,), "sm_90").image

    assert b"pieces.cu\0" in image
    assert str(SOURCES).encode() not in image


def test_a_loader_compiles_loads_and_keeps_it(nvrtc, tmp_path, monkeypatch):
    gpu = Gpu((90, 90))
    make_loader(tmp_path, nvrtc, gpu).kernel(FILE, NAME, 0)

    monkeypatch.setattr(type(nvrtc), "compile", None)  # from here on it is read from disk
    make_loader(tmp_path, nvrtc, gpu).kernel(FILE, NAME, 1)

    (first, *_), (second, name, device) = gpu.loaded
    assert first == second
    assert first.startswith(ELF)
    assert (name, device) == ("_Z11exponentialIfLi4EEv9Arguments", 1)


def test_machine_code_compiled_beforehand_is_found(nvrtc, tmp_path, monkeypatch, capsys):
    wanted = {instances.SUMS: (instances.sums_name("float32"),)}
    assert prebuild.prebuild(tmp_path, "sm_90", wanted) == 1

    monkeypatch.setattr(type(nvrtc), "compile", None)
    loader = Loader(wanted, paste.SOURCES, Gpu(), Store(lambda: tmp_path / "selscan"))
    loader.kernel(instances.SUMS, wanted[instances.SUMS][0], 0)

    assert "1 of 1, by NVRTC" in capsys.readouterr().err


def test_threads_compile_all_instances(nvrtc, tmp_path):
    gpu, names = Gpu((80, 90)), INSTANCES[FILE]
    loader = make_loader(tmp_path, nvrtc, gpu)

    in_threads(14, lambda i: loader.kernel(FILE, names[i // 2], i % 2))

    assert len(gpu.loaded) == len({image for image, *_ in gpu.loaded}) == 14
    assert len(list(tmp_path.iterdir())) == 14


def test_a_gpu_newer_than_the_compiler_gets_ptx_of_the_newest_it_knows(nvrtc, tmp_path):
    gpu, newest = Gpu((130,)), nvrtc.architectures[-1]
    assert newest < 130

    make_loader(tmp_path, nvrtc, gpu).kernel(FILE, NAME, 0)

    [(image, name, _)] = gpu.loaded
    assert f"\n.target sm_{newest}\n".encode() in image
    assert f".entry {name}(".encode() in image
    assert image.endswith(b"\0")  # the driver takes PTX as a C string


def test_a_gpu_between_two_known_ones_gets_ptx_of_the_older(nvrtc):
    assert 90 in nvrtc.architectures
    assert 91 not in nvrtc.architectures

    assert nvrtc.target(90) == "sm_90"
    assert nvrtc.target(91) == "compute_90"


def test_a_gpu_older_than_the_compiler_says_what_would_help(nvrtc):
    with pytest.raises(
        selscan.BackendUnavailable,
        match=r"^selscan: NVRTC 1\d\.\d+ compiles for compute capability \d\.\d and newer; this "
        r"GPU has 3\.5\. An older release may do: pip install 'selscan\[cuda12\]'\.$",
    ):
        nvrtc.target(35)


def test_an_error_names_the_true_file_and_line_first_and_keeps_the_log(nvrtc, tmp_path):
    (tmp_path / "a.cu").write_text('// one\n#include "b.cuh"\n__global__ void a() { f(); }\n')
    (tmp_path / "b.cuh").write_text("// one\n// two\n__device__ int f() { return nothing; }\n")

    message, [log] = error_of(nvrtc, tmp_path)

    assert message == (
        f'selscan: b.cuh:3: identifier "nothing" is undefined [a in a.cu, sm_90, {nvrtc}]'
    )
    assert 'b.cuh(3): error: identifier "nothing" is undefined' in log
    assert '1 error detected in the compilation of "a.cu".' in log


def test_an_error_behind_an_include_names_its_line_in_the_including_file(nvrtc, tmp_path):
    (tmp_path / "a.cu").write_text('#include "b.cuh"\n\n__global__ void a() { g(); }\n')
    (tmp_path / "b.cuh").write_text("\n" * 50)

    message, _ = error_of(nvrtc, tmp_path)

    assert message.startswith('selscan: a.cu:3: identifier "g" is undefined [')


def test_an_instance_that_the_template_refuses_names_its_line(nvrtc, tmp_path):
    (tmp_path / "a.cu").write_text(
        'template <int N>\n__global__ void a() {\n  static_assert(N > 0, "N is positive");\n}\n'
    )

    message, [log] = error_of(nvrtc, tmp_path, name="a<0>")

    assert re.match(r"selscan: a\.cu:3: static assertion failed with .N is positive", message)
    assert "[with N=0]" in log


def test_an_error_of_ptxas_which_knows_no_lines_is_told_too(nvrtc, tmp_path):
    (tmp_path / "a.cu").write_text(
        "__global__ void a(int *y) {\n  __shared__ int x[99999];\n  x[threadIdx.x] = y[1];\n"
        "  __syncthreads();\n  y[0] = x[y[2]];\n}\n"
    )

    message, [log] = error_of(nvrtc, tmp_path)

    assert "\0" not in log
    assert "Entry function '_Z1aPi' uses too much shared data" in message


def test_a_name_that_is_not_in_the_file_is_an_error(nvrtc, text):
    with pytest.raises(RuntimeError, match=r"\"nothing\" is undefined \[nothing<1> in pieces\.cu"):
        nvrtc.compile(text, FILE, ("nothing<1>",), "sm_90")


def test_the_current_directory_is_not_searched(nvrtc, text, tmp_path, monkeypatch):
    for header in ("a.cuh", *paste.HEADERS, "vector_types.h", "cuda_fp16.hpp"):
        (tmp_path / header).write_text("#error from the current directory\n")
    monkeypatch.chdir(tmp_path)

    assert nvrtc.compile(text, FILE, (NAME,), "sm_90").image
    # As if paste had left one: the option alone keeps the compiler out of the directory.
    with pytest.raises(RuntimeError, match=r"a\.cu:1: cannot open source file \"a\.cuh\""):
        nvrtc.compile('#include "a.cuh"\n', "a.cu", ("a",), "sm_90")


def test_the_headers_may_lie_in_a_folder_of_any_name(nvrtc, text, tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"a b \xe9 \xc3\xa9")
    folder.symlink_to(nvrtc.include)
    monkeypatch.setattr(nvrtc, "include", folder)

    assert nvrtc.compile(text, FILE, (NAME,), "sm_90").image.startswith(ELF)


def test_denormals_are_flushed_and_the_standard_is_2017(nvrtc, tmp_path):
    (tmp_path / "a.cu").write_text(
        "static_assert(__cplusplus == 201703L);\n"
        "int f() { return 1; }\n"  # without __device__: the default execution space
        "__global__ void a(float *x) { x[0] = x[1] * x[2] + f(); }\n"
    )

    ptx = nvrtc.compile(paste.paste("a.cu", tmp_path), "a.cu", ("a",), "compute_90").image

    assert b"fma.rn.ftz.f32" in ptx
    assert "--ftz=true" in OPTIONS


def test_the_identity_has_the_release_and_a_hash_of_both_headers(nvrtc, tmp_path, monkeypatch):
    before = nvrtc.identity
    assert tuple(before[:2]) == nvrtc.version
    identities = {tuple(before)}
    for file in ("cuda_bf16.h", "cuda_bf16.hpp", "cuda_fp16.h", "cuda_fp16.hpp"):
        copy = tmp_path / file / "include"
        copy.mkdir(parents=True)
        for path in nvrtc.include.glob("cuda_*16.h*"):
            (copy / path.name).write_bytes(path.read_bytes() + b"//" * (path.name == file))
        monkeypatch.setattr(nvrtc, "include", copy)
        monkeypatch.delitem(vars(nvrtc), "identity")
        identities.add(tuple(nvrtc.identity))
    vars(nvrtc)["identity"] = before

    assert len(identities) == 5


LOADED = """
from pathlib import Path
from selscan.backends.cupy.compiler import find_nvrtc

find_nvrtc()
print("libnvrtc-builtins" in Path("/proc/self/maps").read_text())
"""


def test_the_part_that_release_13_0_looks_for_elsewhere_is_loaded_from_beside_it(nvrtc):
    done = run_python(LOADED)

    assert done.stdout == "True\n", done.stderr
