"""What NVRTC makes of kernels, run in the emulator; `python -m emulator.machine` runs all kinds."""

import emulator
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
    import numpy as np

    kernel = ptx.module(text, 8).get_function("kernel")
    memory = np.zeros(8, np.float32)
    address = memory.ctypes.data + -memory.ctypes.data % 8

    with pytest.raises(emulator.KernelError, match="an address is no multiple of 8"):
        kernel((1,), (1,), (address,))
    kernel((1,), (1,), (address + 4,))
