"""asv: what NVRTC makes of the CUDA scans, counted in machine code; needs no GPU.

bfloat16, real states, sm_90; `pip install -e '.[nvrtc]'` brings the compiler. Counts are not times.
"""

import re

FORWARD = (1, 2, 8, 32)  # threads along time


class Kernels:
    """The forward by threads along time, and the backward; n/a without the compiler."""

    params = (*FORWARD, "backward")
    param_names = ("kernel",)
    timeout = 300

    def setup_cache(self):
        """Compile and count once; nothing where that is not possible."""
        try:
            return {kernel: costs(kernel) for kernel in self.params}
        except (ImportError, AttributeError, RuntimeError):  # an old commit, or no compiler
            return {}

    def setup(self, costs, kernel):
        """Skip what was not counted."""
        if kernel not in costs:
            raise NotImplementedError("the compiler of CUDA kernels is not installed")

    def track_slots(self, costs, kernel):
        """Instructions of the plain loop over states for each (b, d, l, n)."""
        return costs[kernel]["slots"]

    def track_spills(self, costs, kernel):
        """Its loads and stores of local memory."""
        return costs[kernel]["spills"]

    def track_registers(self, costs, kernel):
        """Of a thread."""
        return costs[kernel]["registers"]

    track_slots.unit = track_spills.unit = "instructions"
    track_registers.unit = "registers"


def costs(kernel):
    """Those of one kernel."""
    from bench import slots, slots_backward
    from bench.machine_code import instructions
    from selscan.backends.cupy import instances
    from selscan.backends.cupy.compiler import find_nvrtc
    from selscan.backends.cupy.paste import paste

    if kernel == "backward":
        way, file = slots_backward, instances.BACKWARD
        name = instances.backward_name(file, "bfloat16", "float32")
    else:
        way, file = slots, instances.FORWARD
        name = instances.forward_name("bfloat16", "float32", kernel, False)
    compiled = find_nvrtc().compile(paste(file), file, (name,), "sm_90")
    found = instructions(compiled)
    loop = slots.state_loop(*found) if way is slots else slots_backward.state_loops(*found)[0]
    return {
        "slots": loop.total() / way.ELEMENTS,
        "spills": loop["LDL"] + loop["STL"],
        "registers": int(re.search(r"Used (\d+) registers", compiled.log)[1]),
    }
