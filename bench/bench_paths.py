"""asv: selscan.gather and selscan.scatter on torch tensors; CPU time on one thread."""

import time

PATHS = ("cross", "bidirectional", "atrous 2", "window 7", "window 2")


class Paths:
    """A path of the papers over their first stage, with a map for all routes."""

    params = (PATHS, ("float32", "bfloat16"))
    param_names = ("path", "dtype")
    timer = time.process_time

    def setup(self, path, dtype):
        """Make a map and sequences, and warm up."""
        try:
            import numba
            import torch

            from bench.moves import SHAPE, ours
        except (ImportError, AttributeError) as error:  # at an old commit, or without torch
            raise NotImplementedError(str(error)) from error
        numba.set_num_threads(1)
        torch.set_num_threads(1)
        self.gather, self.scatter = ours(path)
        self.x = torch.randn(SHAPE).to(getattr(torch, dtype))
        self.y = self.gather(self.x)
        self.time_scatter(path, dtype)

    def time_gather(self, path, dtype):
        """The backward of a scatter, too."""
        self.gather(self.x)

    def time_scatter(self, path, dtype):
        """The backward of a gather, too."""
        self.scatter(self.y)
