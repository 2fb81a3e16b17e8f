"""Tensors of torch: operators, automatic differentiation, and the way that a call takes.

Imported where a tensor is met; not public. Importing it defines the operators, which a process that
loads a saved program needs.
"""

from . import autograd, autograd2d, paths

__all__ = ["autograd", "autograd2d", "paths"]
