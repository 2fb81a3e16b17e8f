"""The structs of kernels' arguments, in C++ and in Python."""

import numpy as np
import pytest

from selscan.backends.cupy import arguments, arguments2d, plan2d, plan_moves
from selscan.backends.cupy.paste import SOURCES

from . import Module, pointers

STRUCTS = {
    "ForwardArguments": arguments.FORWARD,
    "BackwardArguments": arguments.BACKWARD,
    "StepArguments": arguments.STEP,
    "Operand": arguments.OPERAND,
    "Sum": arguments.SUM,
    "SumArguments": arguments.SUM_PARTS,
    "MapOperand": arguments2d.MAP_OPERAND,
    "Scan2dArguments": arguments2d.FORWARD,
    "Backward2dArguments": arguments2d.BACKWARD,
    "CrossArguments": arguments2d.CROSS_FORWARD,
    "CrossBackwardArguments": arguments2d.CROSS_BACKWARD,
    "MoveArguments": arguments2d.MOVE,
    "OrdersArguments": arguments2d.ORDERS,
}


def offsets(struct, dtype):
    """The size of a struct, and the offset of each field, as the compiler has them."""
    fields = "".join(
        f"*out++ = (const char*)&p.{name} - (const char*)&p;\n" for name in dtype.names
    )
    code = f"""
#include "arguments.cuh"
extern "C" __global__ void offsets(long long* out) {{
  {struct} p;
  *out++ = sizeof p;
  {fields}
}}
"""
    found = np.full(1 + len(dtype.names), -1)
    kernel = Module(code, ["offsets"], options=(f"-I{SOURCES}",)).get_function("offsets")
    kernel((1,), (1,), pointers(found))
    return found.tolist()


@pytest.mark.parametrize("struct", STRUCTS)
def test_structs_have_the_same_fields_at_the_same_places(struct):
    dtype = STRUCTS[struct]

    assert offsets(struct, dtype) == [dtype.itemsize, *(dtype.fields[x][1] for x in dtype.names)]


def test_codes_of_dtypes_and_accesses_are_those_of_the_kernels():
    names = ", ".join(name.upper() for name in arguments.DTYPES)
    code = f"""
#include "arguments.cuh"
#include "elements.cuh"
extern "C" __global__ void codes(int* out) {{
  for (const int code : {{{names}}}) *out++ = code;
  *out++ = ELEMENTS_ALONG_CHANNELS;
  *out++ = VECTORS_ALONG_CHANNELS;
  *out++ = ELEMENTS_ALONG_TIME;
  *out++ = VECTORS_ALONG_TIME;
}}
"""
    found = np.full(len(arguments.DTYPES) + 4, -1, np.int32)
    Module(code, ["codes"], options=(f"-I{SOURCES}",)).get_function("codes")(
        (1,), (1,), pointers(found)
    )

    accesses = (
        arguments.CHANNELS, arguments.CHANNEL_VECTORS, arguments.TIME, arguments.TIME_VECTORS,
    )  # fmt: skip
    assert found.tolist() == [*range(len(arguments.DTYPES)), *accesses]


def test_codes_of_sums_and_of_pixels_are_those_of_the_kernels():
    code = """
#include "arguments.cuh"
extern "C" __global__ void codes(int* out) {
  for (const int code : {int(APART), int(IN_PLACE), int(SCRATCH), int(RESIDENT), int(PAST)})
    *out++ = code;
}
"""
    found = np.full(5, -1, np.int32)
    Module(code, ["codes"], options=(f"-I{SOURCES}",)).get_function("codes")(
        (1,), (1,), pointers(found)
    )

    sums = plan2d.APART, plan2d.IN_PLACE, plan2d.SCRATCH, plan2d.RESIDENT
    assert found.tolist() == [*sums, plan_moves.PAST]
