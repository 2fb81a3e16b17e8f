"""asv: the tiny models, one image of 224 x 224 in float32; CPU time on one thread.

`loop` is the same model with its scans as loops in torch.
"""

import contextlib
import time

NAMES = (
    "vim_tiny",
    "vmamba_v0_tiny",
    "vmamba_tiny_s1l8",
    "local_vim_tiny",
    "local_vssm_tiny",
    "efficientvmamba_tiny",
    "msvmamba_tiny",
    "msvmambav3_tiny",
)


def runner(name, way, mode):
    """A call that was made once, on one thread; n/a where torch or the models are missing."""
    try:
        import numba
        import torch

        from bench.models import runner
    except (ImportError, AttributeError) as error:  # at an old commit, or without torch
        raise NotImplementedError(str(error)) from error
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    run = runner(name, way, mode)
    run()
    return run


class ModelForward:
    """Scores of an image; images/s is 1 over the seconds."""

    params = (NAMES, ("selscan", "loop"))
    param_names = ("model", "way")
    timer = time.process_time
    timeout = 300

    def setup(self, name, way):
        self.run = runner(name, way, "forward")

    def time_forward(self, name, way):
        """Without gradients."""
        self.run()


class ModelTraining:
    """A forward and a backward."""

    params = (NAMES,)
    param_names = ("model",)
    timer = time.process_time
    timeout = 300

    def setup(self, name):
        self.run = runner(name, "selscan", "training")

    def time_training(self, name):
        """Without the update of the weights."""
        self.run()


class ModelPeak:
    """Peak memory of a process with the model; kernels come from the disk cache."""

    params = (NAMES, ("forward", "training"))
    param_names = ("model", "mode")
    timeout = 300

    def setup_cache(self):
        """Compile in another process: the compiler's memory is not the model's."""
        for name in ("vim_tiny", "vmamba_tiny_s1l8"):  # scan and scan2d
            with contextlib.suppress(NotImplementedError):  # `setup` says n/a
                runner(name, "selscan", "training")

    def setup(self, name, mode):
        self.run = runner(name, "selscan", mode)

    def peakmem_model(self, name, mode):
        """Libraries, weights and what a call needs."""
        self.run()
