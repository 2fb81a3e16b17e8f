"""asv: selscan.scan2d and scan3d on torch tensors, and other ways; CPU time on one thread."""

import time

NAMES = (
    "vmamba 56", "vmamba v0 56", "windows 2 56", "windows 7 56", "efficient 56", "msv 28",
    "video 14", "volume 16",
)  # fmt: skip
WAYS = ("scan2d", "gather, scan, scatter")


class Scan2d:
    """A stage of a model; n/a where torch or the function is missing."""

    params = (NAMES, WAYS)
    param_names = ("case", "way")
    timer = time.process_time
    timeout = 300

    def setup(self, name, way):
        """Make the inputs, and warm up."""
        try:
            import numba
            import torch

            import selscan
            from bench import maps
            from bench.parts.scan2d import runner

            numba.set_num_threads(1)
            torch.set_num_threads(1)
            assert selscan.scan2d
        except (ImportError, AttributeError) as error:  # at an old commit, or without torch
            raise NotImplementedError(str(error)) from error
        case = maps.CASES[name]
        function, in_order = maps.WAYS[way]
        inputs, dy = maps.make_inputs(case, in_order)
        self.runs = {
            mode: runner(function, case.path(), inputs, dy, mode) for mode in ("forward", "full")
        }
        for run in self.runs.values():
            run()

    def time_forward(self, name, way):
        """Without gradients."""
        self.runs["forward"]()

    def time_forward_backward(self, name, way):
        """As training does."""
        self.runs["full"]()


class Orders:
    """Tokens sorted by content, each sample in an order of its own."""

    params = (("image 14 x 14", "points"), ("scan2d", "gather, scan, scatter", "torch.gather"))
    param_names = ("case", "way")
    timer = time.process_time
    timeout = 300

    def setup(self, name, way):
        """Make the inputs, and warm up."""
        try:
            import numba
            import torch

            from bench.orders import runs_of

            numba.set_num_threads(1)
            torch.set_num_threads(1)
            self.runs = runs_of(name)
            self.runs[way, "full"]()
        except (ImportError, AttributeError, TypeError, ValueError) as error:  # at an old commit
            raise NotImplementedError(str(error)) from error

    def time_forward(self, name, way):
        """Without gradients."""
        self.runs[way, "forward"]()

    def time_forward_backward(self, name, way):
        """As training does."""
        self.runs[way, "full"]()
