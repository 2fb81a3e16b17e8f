"""torch.cuda.device for devices of the CPU: code around Triton kernels enters it without a test."""

import torch


def allow():
    """Let it do nothing for a CPU device, also as a decorator; the result undoes that.

    The class stays, since other code may have imported it by name, and Dynamo knows it.
    """
    device = torch.cuda.device
    original = device.__init__

    class CpuDevice(device):
        """There is nothing to select."""

        def __enter__(self):
            return None

        def __exit__(self, *_):
            return False

        def __call__(self, function):
            return function

    def __init__(self, chosen):
        if isinstance(chosen, str | torch.device) and torch.device(chosen).type == "cpu":
            self.__class__ = CpuDevice
            self.idx = self.prev_idx = -1
        else:
            original(self, chosen)

    def undo():
        device.__init__ = original

    device.__init__ = __init__
    return undo
