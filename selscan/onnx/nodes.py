"""Nodes of an ONNX graph, made one after the other."""

import numpy as np
import onnx_ir as ir


class Nodes:
    """Makes nodes; `made` holds them in order."""

    def __init__(self):
        self.made = []

    def __call__(self, kind, *inputs, count=1, **attributes):
        """The output of a new node, or a tuple of `count` of them."""
        node = ir.node(kind, inputs, attributes, num_outputs=count)
        self.made.append(node)
        return node.outputs[0] if count == 1 else tuple(node.outputs)

    def constant(self, array):
        """An array of NumPy's, or integers as one of int64."""
        array = array if isinstance(array, np.ndarray) else np.asarray(array, np.int64)
        return self("Constant", value=ir.tensor(array))

    def cast(self, x, dtype, was=None):
        """x, or None, in a dtype of onnx_ir; `was` is its own where x does not know."""
        if x is None or (was or x.dtype) == dtype:
            return x
        result = self("Cast", x, to=dtype)
        result.dtype, result.shape = dtype, x.shape
        return result

    def shaped(self, x, *shape):
        """A Reshape; 0 stands for the length that x has along that axis."""
        return self("Reshape", x, self.constant(shape))

    def permuted(self, x, *axes):
        """A Transpose, if axes are moved at all."""
        return x if axes == tuple(range(len(axes))) else self("Transpose", x, perm=axes)

    def spread(self, x, *axes):
        """New axes of length 1."""
        return self("Unsqueeze", x, self.constant(axes))

    def summed(self, x, axis, keep=False):
        """The sum along an axis."""
        return self("ReduceSum", x, self.constant([axis]), keepdims=int(keep))

    def reversed(self, x, axis):
        """x from its end."""
        return self("Slice", x, *map(self.constant, ([-1], [-(2**63)], [axis], [-1])))

    def zeros(self, dtype, like, *shape):
        """Zeros (b, *shape) with b the first length of `like`."""
        sizes = self("Concat", self("Shape", like, end=1), self.constant(shape), axis=0)
        return self("ConstantOfShape", sizes, value=ir.Tensor(np.zeros(1, dtype.numpy()), dtype))
