"""Functions that torch.compile calls while it compiles, and does not look into.

Their results are constants of a graph, so that paths can be made where they are used. This is what
torch.compiler.assume_constant_result does, without torch.
"""

import functools

from .keeping import keeping


def constant(function):
    """A function whose arguments and result are constants of a graph."""
    function._dynamo_marked_constant = True
    return function


def kept(function):
    """Such a function, which returns one of its last few results again."""
    cached = keeping(function)

    @constant
    @functools.wraps(function)
    def call(*arguments):
        return cached(*arguments)

    return call
