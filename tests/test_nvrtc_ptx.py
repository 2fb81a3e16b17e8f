"""What NVRTC makes of kernels, run in the emulator; `python -m emulator.machine` runs all kinds."""

import emulator
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(bool(emulator.missing()), reason=emulator.missing() or "-")

from emulator import machine, ptx  # noqa: E402


@pytest.mark.usefixtures("nvrtc")
@pytest.mark.parametrize("kind", machine.QUICK)
def test_the_machines_own_code_is_right(kind):
    machine.check(kind)


def test_an_instruction_that_is_not_known_is_an_error():
    text = ".entry k(.param .b8 k_param_0[8]) {\n\tret;\n\tsad.s32 %r1, %r2, %r3, %r4;\n}\n"

    with pytest.raises(ValueError, match=r"^sad\.s32 %r1, %r2, %r3, %r4 is not known\.$"):
        ptx.translate(text, 8)


def test_an_access_that_is_not_aligned_is_an_error():
    text = """
.entry k(.param .b64 k_param_0) {
	.reg .b64 %rd<3>;
	.reg .f32 %f<3>;
	ld.param.u64 %rd1, [k_param_0];
	ld.global.v2.f32 {%f1, %f2}, [%rd1+4];
	st.global.f32 [%rd1], %f2;
	ret;
}
"""
    kernel = ptx.module(text, 8).get_function("kernel")
    memory = np.zeros(8, np.float32)
    address = memory.ctypes.data + -memory.ctypes.data % 8

    with pytest.raises(emulator.KernelError, match="an address is no multiple of 8"):
        kernel((1,), (1,), (address,))
    kernel((1,), (1,), (address + 4,))


def test_variables_in_shared_memory_are_apart():
    text = """
.extern .shared .align 64 .b8 memory[];
.entry k(.param .b64 k_param_0) {
	.reg .b64 %rd<2>;
	.reg .b32 %r<6>;
	.shared .align 4 .b8 first[8];
	.shared .align 4 .b8 second[8];
	ld.param.u64 %rd1, [k_param_0];
	mov.u32 %r1, first;
	mov.u32 %r2, second;
	st.shared.u32 [%r1+4], 1;
	st.shared.u32 [%r2+4], 2;
	st.shared.u32 [memory+4], 3;
	ld.shared.u32 %r3, [%r1+4];
	ld.shared.u32 %r4, [second+4];
	ld.shared.u32 %r5, [memory+4];
	st.global.u32 [%rd1], %r3;
	st.global.u32 [%rd1+4], %r4;
	st.global.u32 [%rd1+8], %r5;
	ret;
}
"""
    found = np.zeros(3, np.int32)

    ptx.module(text, 8).get_function("kernel")((1,), (1,), emulator.pointers(found), shared_mem=8)

    assert found.tolist() == [1, 2, 3]
