"""The scan along a path for traced arrays that were checked."""

from ..ops import scan2d as ops
from . import gradients, operations
from .arrays import FRAMEWORK
from .scan import named


class Call(operations.Call):
    """A scan of maps without its arrays. Channels share B and C: vmap joins batches alone."""

    arguments = ops.ARGUMENTS
    states_axes = ("batch",)
    joins_channels = False
    time = None
    has_positions = False

    def check(self, request):
        return ops.check_forward(request)[1]

    def prepare_forward(self, request, keep_states, want_last, want_y):
        return ops.prepare_forward(request, keep_states, want_y)

    def prepare_backward(self, request, dy, *_):
        return ops.prepare_backward(request, FRAMEWORK.signatures((dy,)))


def scan2d(request, inputs):
    """y."""
    given = named(ops.ARGUMENTS, inputs)
    call = Call(request.function, request.options, request.backend, tuple(given))
    return gradients.scan(call, list(given.values()))[0]
