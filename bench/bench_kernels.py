"""asv: what NVRTC makes of the CUDA forward scan, counted in machine code; needs no GPU.

bfloat16, real states, sm_90; `pip install -e '.[nvrtc]'` brings the compiler. Counts are not times.
"""

import re

LANES = (1, 2, 8, 32)


def is_spill(opcode):
    """Whether an instruction loads or stores a register that is kept in memory."""
    return opcode.startswith(("LDL", "STL"))


class Kernels:
    """The forward scan by threads along time (bench/slots.py); n/a without the compiler."""

    params = LANES
    param_names = ("lanes",)
    timeout = 300

    def setup_cache(self):
        """Compile and count once; nothing where that is not possible."""
        try:
            from bench import slots
            from selscan.backends.cupy import instances
            from selscan.backends.cupy.compiler import find_nvrtc
            from selscan.backends.cupy.paste import paste

            nvrtc, text = find_nvrtc(), paste(instances.FORWARD)
        except (ImportError, RuntimeError):  # at an old commit, or without the compiler
            return {}
        costs = {}
        for lanes in LANES:
            name = instances.forward_name("bfloat16", "float32", lanes, False)
            compiled = nvrtc.compile(text, instances.FORWARD, (name,), "sm_90")
            found, loops = slots.instructions(compiled)
            states = slots.state_loops(found, loops)
            in_loops = [op for loop in states for op, _ in found[loop.first : loop.last + 1]]
            costs[lanes] = {
                "slots": slots.state_loop(found, loops).total() / slots.ELEMENTS,
                "registers": int(re.search(r"Used (\d+) registers", compiled.log)[1]),
                "spills": (spills := sum(map(is_spill, in_loops))),
                "others": sum(is_spill(op) for op, _ in found) - spills,
            }
        return costs

    def setup(self, costs, lanes):
        """Skip what was not counted."""
        if lanes not in costs:
            raise NotImplementedError("the compiler of CUDA kernels is not installed")

    def track_slots(self, costs, lanes):
        """Instructions of the state loop for each (b, d, l, n)."""
        return costs[lanes]["slots"]

    def track_registers(self, costs, lanes):
        """Of a thread."""
        return costs[lanes]["registers"]

    def track_spills(self, costs, lanes):
        """Loads and stores of local memory in the loops over states."""
        return costs[lanes]["spills"]

    def track_spills_of_a_tile(self, costs, lanes):
        """The same between those loops, once for 16 steps."""
        return costs[lanes]["others"]

    track_slots.unit = "instructions"
    track_registers.unit = "registers"
    track_spills.unit = track_spills_of_a_tile.unit = "instructions"
