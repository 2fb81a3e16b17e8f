"""float64 to 16 bits in one rounding.

NumPy for bfloat16, torch and JAX for both formats convert by way of float32, and of two roundings
to nearest the second may go the wrong way. A first one to odd is safe, as it is in the kernels
(Boldo and Melquiond 2008).
"""

import numpy as np


def narrowable(values, dtype):
    """`values` in a form that every library converts to `dtype` with one rounding.

    They are an array of NumPy, CuPy or JAX, and come back as they are unless they are float64 and
    `dtype` has 16 bits. (XLA makes zeros of what lies below the normal numbers of bfloat16 all the
    same.)
    """
    if dtype.itemsize > 2 or values.dtype != "float64":
        return values
    with np.errstate(all="ignore"):
        near = values.astype("float32")
        back = near.astype("float64")
    # Toward zero, and from there to the neighbour whose last bit is 1.
    away, inexact = abs(back) > abs(values), back != values
    return (near.view("int32") - away.astype("int32") | inexact.astype("int32")).view("float32")
