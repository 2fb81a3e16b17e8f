"""The scan along a path for traced arrays that were checked."""

from ..backends.cpu import OneKernel
from ..ops import scan2d as ops
from . import gradients, operations, orders
from .arrays import FRAMEWORK
from .scan import named


class Call(operations.Call):
    """A scan of maps without its arrays. Channels share B and C: vmap joins batches alone."""

    states_axes = ("batch",)
    joins_channels = False
    time = None
    has_positions = False

    @property
    def arguments(self):
        """Names of all arrays."""
        return ops.arguments(self.options.path)

    def trusted(self, inputs):
        """The inputs with orders per sample, the last of them, checked by a kernel of their own."""
        path = self.options.path
        if path.table is not None:
            return inputs
        *inputs, order = inputs
        return *inputs, orders.checked(self.function, self.backend, path, order)

    def request(self, inputs):
        """What the plan of a call depends on."""
        return super().request(inputs)._replace(backend=OneKernel)

    def check(self, request):
        return ops.check_forward(request)[1]

    def prepare_forward(self, request, keep_states, want_last, want_y):
        return ops.prepare_forward(request, keep_states, want_y)

    def prepare_backward(self, request, dy, *_):
        return ops.prepare_backward(request, FRAMEWORK.signatures((dy,)))


def scan2d(request, inputs):
    """y."""
    given = named(ops.arguments(request.options.path), inputs)
    call = Call(request.function, request.options, request.backend, tuple(given))
    return gradients.scan(call, list(given.values()))[0]
