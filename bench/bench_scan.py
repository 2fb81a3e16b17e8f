"""asv: forward, backward and both of selscan.scan on torch tensors; CPU time on one thread.

    asv machine --yes
    asv run --config bench/asv.conf.json --quick --python=$(which python) \
        --set-commit-hash $(git rev-parse HEAD)
"""

import contextlib
import statistics
import time

from selscan.cases import CASES, Case, make_inputs

NAMES = ("vim", "short", "lm", "vmamba")
DTYPES = ("float32", "float64")
LAYOUTS = ("bdl", "bld")
WARM = Case("warm", 1, 32, 16, 4, 1, "compiles")


def prepare(case, dtype, layout):
    """Tensors that ask for gradients, and dy."""
    import torch

    inputs = make_inputs(case, dtype, layout=layout)
    tensors = {name: torch.from_numpy(x).requires_grad_() for name, x in inputs.items()}
    return tensors, torch.ones_like(tensors["u"])


def forward(tensors, layout):
    """The output, with its graph."""
    import selscan

    return selscan.scan(**tensors, delta_softplus=True, layout=layout)


def backward(y, tensors, dy):
    """All gradients; the graph is kept."""
    import torch

    return torch.autograd.grad(y, list(tensors.values()), dy, retain_graph=True)


def compile_kernels(dtype):
    """One forward and backward of a small scan: in the disk cache, and in this process."""
    tensors, dy = prepare(WARM, dtype, "bdl")
    backward(forward(tensors, "bdl"), tensors, dy)


class Scan:
    """A case in one dtype and layout; n/a where torch or the function is missing."""

    params = (NAMES, DTYPES, LAYOUTS)
    param_names = ("case", "dtype", "layout")
    timer = time.process_time
    timeout = 300

    def setup(self, name, dtype, layout):
        """Warm up, make the inputs and a graph to go back through."""
        try:
            import numba
            import torch

            compile_kernels(dtype)
        except (ImportError, AttributeError) as error:  # at an old commit, or without torch
            raise NotImplementedError(str(error)) from error
        numba.set_num_threads(1)
        torch.set_num_threads(1)
        self.tensors, self.dy = prepare(CASES[name], dtype, layout)
        self.y = forward(self.tensors, layout)

    def time_forward(self, name, dtype, layout):
        """Without gradients."""
        import torch

        with torch.no_grad():
            forward(self.tensors, layout)

    def time_backward(self, name, dtype, layout):
        """From a graph that is there."""
        backward(self.y, self.tensors, self.dy)

    def time_forward_backward(self, name, dtype, layout):
        """As training does."""
        backward(forward(self.tensors, layout), self.tensors, self.dy)


class Forms:
    """A case in other dtypes, packed, or with complex states (bench/forms.py)."""

    params = (NAMES, ("float32", "bfloat16", "float16", "seq_idx", "complex64"))
    param_names = ("case", "form")
    timer = time.process_time
    timeout = 300

    def setup(self, name, form):
        """Compile, make the inputs."""
        try:
            import numba
            import torch

            from bench.forms import FORMS
        except (ImportError, AttributeError) as error:
            raise NotImplementedError(str(error)) from error
        numba.set_num_threads(1)
        torch.set_num_threads(1)
        self.form = FORMS[form]
        self.form.run(self.inputs(WARM), True)
        self.data = self.inputs(CASES[name])

    def inputs(self, case):
        """Tensors in this form."""
        from bench.peers import make_dy

        return self.form.prepare(make_inputs(case), make_dy(case))

    def time_forward(self, name, form):
        """Without gradients."""
        self.form.run(self.data, False)

    def time_forward_backward(self, name, form):
        """As training does."""
        self.form.run(self.data, True)


class Memory:
    """Peak memory of a process; subtract `peakmem_reference`, which does nothing."""

    params = (("lm", "vmamba"), LAYOUTS)
    param_names = ("case", "layout")
    timeout = 300

    def setup_cache(self):
        """Compile in another process: the compiler's memory is not the scan's."""
        with contextlib.suppress(ImportError, AttributeError):  # `setup` says n/a
            compile_kernels("float32")

    def setup(self, name, layout):
        """Make the inputs; load the kernels from the disk cache."""
        try:
            compile_kernels("float32")
        except (ImportError, AttributeError) as error:
            raise NotImplementedError(str(error)) from error
        self.tensors, self.dy = prepare(CASES[name], "float32", layout)

    def peakmem_reference(self, name, layout):
        """Imports, kernels and inputs."""

    def peakmem_forward(self, name, layout):
        """The output too."""
        import torch

        with torch.no_grad():
            forward(self.tensors, layout)

    def peakmem_forward_backward(self, name, layout):
        """The output, the saved states and all gradients too."""
        backward(forward(self.tensors, layout), self.tensors, self.dy)


class States:
    """`return_states_at` with so many steps; 0 is the scan alone, twice, which is the noise.

    Ratios are those of medians, from calls that take turns.
    """

    params = (("lm", "vmamba"), (0, 1, 16, 128))
    param_names = ("case", "steps")
    timeout = 300
    turns = 21

    def setup(self, name, steps):
        """Make the inputs, warm up."""
        try:
            import numba
            import torch

            numba.set_num_threads(1)
            torch.set_num_threads(1)
            self.tensors, self.dy = prepare(CASES[name], "float32", "bdl")
            every = CASES[name].length // max(steps, 1)
            self.steps = [every * (i + 1) - 1 for i in range(steps)] or None
            self.scan(self.steps, True)
        except (ImportError, TypeError) as error:  # at an old commit, or without torch
            raise NotImplementedError(str(error)) from error

    def scan(self, steps, gradients):
        """y, or y and states; with all gradients."""
        import torch

        import selscan

        with torch.set_grad_enabled(gradients):
            found = selscan.scan(**self.tensors, delta_softplus=True, return_states_at=steps)
            results = [found] if steps is None else list(found)
            if gradients:
                torch.autograd.backward(results, [torch.ones_like(x) for x in results])

    def ratio(self, gradients):
        """The CPU time with states over that of the scan alone."""
        times = {True: [], False: []}
        for _ in range(self.turns):
            for with_states, taken in times.items():
                start = time.process_time()
                self.scan(self.steps if with_states else None, gradients)
                taken.append(time.process_time() - start)
        return statistics.median(times[True]) / statistics.median(times[False])

    def track_forward(self, name, steps):
        """Without gradients."""
        return self.ratio(False)

    def track_forward_backward(self, name, steps):
        """With all of them, and ones as the gradient of y and of states."""
        return self.ratio(True)

    def peakmem_forward(self, name, steps):
        """The process, with its inputs and results."""
        self.scan(self.steps, False)

    track_forward.unit = track_forward_backward.unit = "times the scan alone"


class Jitted:
    """A case under jax.jit, in float32; n/a where jax is missing or a call cannot be traced."""

    params = NAMES
    param_names = ("case",)
    timer = time.process_time
    timeout = 300

    def setup(self, name):
        """Compile the programs and run them once."""
        try:
            import jax
            import numba
        except ImportError as error:
            raise NotImplementedError(str(error)) from error
        import selscan

        numba.set_num_threads(1)
        self.inputs = {x: jax.device_put(v) for x, v in make_inputs(CASES[name]).items()}
        self.forward = jax.jit(lambda x: selscan.scan(**x, delta_softplus=True))
        self.both = jax.jit(jax.value_and_grad(lambda x: self.forward(x).sum()))
        try:
            self.time_forward_and_backward(name)
        except TypeError as error:  # at an old commit
            raise NotImplementedError(str(error)) from error
        self.time_forward(name)

    def time_forward(self, name):
        """Waits for y."""
        self.forward(self.inputs).block_until_ready()

    def time_forward_and_backward(self, name):
        """Waits for all gradients."""
        import jax

        jax.block_until_ready(self.both(self.inputs))
