"""Sources as they are written: forms of __shared__, includes, and places in messages."""

import numpy as np
import pytest

from . import CompileError, KernelError, Module, pointers

KERNEL = r"""
struct Pair { float a, b; };
template <class T, int N> struct Box { T values[N]; };
namespace outer { constexpr int SIZE = 1'0 + 2; }  // isn't a character

template <class T, int N>
__global__ void k(float* out) {
  /* __shared__ float none[; */
  const char* text = "__shared__ int none;", quote = '"', other = '\'';
#pragma unroll
  __shared__ float scalar;
  static __shared__ T row[N];
  __shared__ __align__(16) float
      table[outer::SIZE][2 * N];
  __shared__ alignas(8) Box<Pair, N> box;
  alignas(32) __shared__ unsigned char bytes [ 3 ] ; extern __shared__ __align__(16) float4 all[];
  __shared__ typename Box<T, 2 * N>::Inner inner;
  for (int i = 0; i < 2; ++i) { volatile __shared__ int inside; inside = i; }
  out[0] = sizeof(scalar);
  out[1] = sizeof(row) / sizeof(row[0]);
  out[2] = sizeof(table) / sizeof(float);
  out[3] = sizeof(box);
  out[4] = sizeof(bytes);
  out[5] = sizeof(*all);
  out[6] = sizeof(inner);
  out[7] = __LINE__;
}
"""


def run(code, size, name="k", **options):
    """What a kernel writes, and its file as messages name it."""
    out = np.full(size, np.nan, np.float32)
    Module(code, [name], **options).get_function(name)((1,), (1,), pointers(out), shared_mem=64)
    return out.tolist()


def test_every_form_of_a_shared_declaration_is_understood():
    code = KERNEL.replace("T values[N]; };", "T values[N]; struct Inner { T x[N]; }; };")
    line = code.split("__LINE__")[0].count("\n") + 1

    assert run(code, 8, "k<float, 5>") == [4, 5, 12 * 10, 40, 3, 16, 40, line]


@pytest.mark.parametrize(
    "declaration",
    [
        "__shared__ float a[2], b[2];",
        "__shared__ float a[2] = {};",
        "__shared__ float a = 1.0f;",
        "extern __shared__ float a[], b[];",
        "__shared__ float (*a)[2];",
        "__shared__ float\n#ifdef X\na[2]\n#else\na[3]\n#endif\n;",
    ],
)
def test_other_forms_are_refused_with_their_line(declaration):
    code = f'// one\nextern "C" __global__ void k(float*) {{\n  {declaration}\n}}\n'

    with pytest.raises(ValueError, match=r"^form\.cu:3: a __shared__ declaration must be of one "):
        Module(code, ["k"], file="form.cu")


def test_shared_memory_of_a_file_is_refused():
    code = 'extern __shared__ float s[];\nextern "C" __global__ void k(float* x) { x[0] = s[0]; }\n'

    with pytest.raises(CompileError, match=r"^kernel\.cu:1: statement-expressions are not allowed"):
        Module(code, ["k"])


@pytest.fixture
def folder(tmp_path):
    """A folder of headers, of which the first includes the others."""
    (tmp_path / "first.cuh").write_text(
        '#pragma once\n#include "second.cuh"\n  #  include "third.cuh" // again below\n'
        "__device__ float first() { return second() + third(); }\n"
    )
    (tmp_path / "second.cuh").write_text("__device__ float second() { return 2.0f; }\n")
    (tmp_path / "third.cuh").write_text(
        "__device__ float third() {\n  __shared__ float s;\n  s = THIRD;\n  return s;\n}\n"
    )
    return tmp_path


INCLUDING = """/* #include "absent.cuh"
*/
#include "first.cuh"
#include "third.cuh"
// #include "absent.cuh"
extern "C" __global__ void k(float* x) {
  x[0] = first();
  x[1] = __LINE__;
}
"""


def test_quoted_includes_are_searched_in_folders(folder):
    options = (f"-I{folder}", "-DTHIRD=3", "--ftz=true", "-lineinfo", "--std=c++17")

    assert run(INCLUDING, 2, options=options) == [5, 8]


def test_a_change_of_an_included_file_is_seen(folder):
    options = (f"-I{folder}", "-DTHIRD=3")
    before = run(INCLUDING, 2, options=options)
    (folder / "second.cuh").write_text("__device__ float second() { return 20.0f; }\n")

    assert before == [5, 8]
    assert run(INCLUDING, 2, options=options) == [23, 8]


def test_sources_may_have_been_pasted_before():
    pasted = (
        '#line 1 "main.cu"\n\n#line 1 "part.cuh"\n__device__ float part() {\n  return oops;\n}\n'
        '#line 3 "main.cu"\nextern "C" __global__ void k(float* x) {\n  x[0] = part();\n}\n'
    )

    with pytest.raises(CompileError, match=r"^part\.cuh:2: 'oops' was not declared"):
        Module(pasted, ["k"])
    assert run(pasted.replace("oops", "__LINE__"), 1) == [2]


def test_an_absent_file_is_named_with_its_line(folder):
    code = '\n#include "nowhere.cuh"\n'

    with pytest.raises(ValueError, match=r"^top\.cu:2: there is no 'nowhere\.cuh' in /"):
        Module(code, ["k"], options=(f"-I{folder}",), file="top.cu")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x[0] = undeclared;", r"^broken\.cu:4: 'undeclared' was not declared in this scope\n"),
        ("x[0] = 1.0f", r"^broken\.cu:4: expected ';' before '}' token\n"),
        ("__shfl_down(x[0], 1);", r"^broken\.cu:4: '__shfl_down' was not declared"),
        ("x[0] = __shfl_sync(~0u, Pair{1, 2}, 0).a;", "a warp function takes 32- and 64-bit numb"),
        ("threadIdx.x = 1;", r"^broken\.cu:4: assignment of member 'uint3::x' in read-only object"),
        ("throw 1;", r"^broken\.cu:4: exception handling disabled"),
    ],
)
def test_a_compile_error_has_the_file_and_line(body, message):
    code = f'struct Pair {{ int a, b; }};\n\nextern "C" __global__ void k(float* x) {{\n{body} }}\n'

    with pytest.raises(CompileError, match=message) as error:
        Module(code, ["k"], file="broken.cu")

    assert "broken.cu" in error.value.__notes__[0]


def test_a_name_that_is_no_kernel_is_a_compile_error():
    with pytest.raises(CompileError, match=r"^names of kernels:1: '.?nope' was not declared"):
        Module("template <int N> __global__ void k(float*) {}\n", ["nope<3>"])


def test_an_error_of_an_included_file_at_run_time_names_it(folder):
    code = '#include "trap.cuh"\nextern "C" __global__ void k(float*) { stop(); }\n'
    (folder / "trap.cuh").write_text("\n\n__device__ void stop() {\n  __trap(); }\n")

    with pytest.raises(KernelError, match=r"^k: trap\.cuh:4: block .* thread .*: __trap\(\)$"):
        run(code, 1, options=(f"-I{folder}",))


@pytest.mark.parametrize("option", ["-O3", "--no-such-option", "x", "-shared"])
def test_other_options_are_refused(option):
    with pytest.raises(ValueError, match="Module: options must be ones of NVRTC; got"):
        Module("", [], options=(option,))
