"""Bad inputs, part 4: maps and sequences that are moved along a path.

Each row: what is given (as in bad_shapes.py), the message. In them b, d, h, w = 2, 6, 3, 5, and
path has k = 4 routes of l = 15 steps.
"""

from bad_maps import PATH

MAP = "(b, d, h, w) or (b, k, d, h, w) with k = 4, h = 3, w = 5 as path has them"
SEQUENCE = "(b, k, d, l) with k = 4, l = 15 as path has them"
NUMBERS = "of float16, bfloat16, float32, float64, complex64, complex128 or integers"
ARRAY = "a NumPy array, a torch tensor, a JAX array or another one with DLPack"

# For gather.
MAPS = [
    ("x=x[..., 0]", f"x must be {MAP}; got (2, 6, 3)."),
    ("x=x[0]", f"x must be {MAP}; got (6, 3, 5). Is the batch axis missing?"),
    ("x=x[0, 0]", f"x must be {MAP}; got (3, 5)."),
    ("x=ones(())", f"x must be {MAP}; got ()."),
    ("x=ones((2, 6, 3, 6))", f"x must be {MAP}; got (2, 6, 3, 6)."),
    (
        "x=ones((2, 6, 5, 3))",
        f"x must be {MAP}; got (2, 6, 5, 3). Are height and width of path swapped?",
    ),
    ("x=ones((2, 3, 5, 6))", f"x must be {MAP}; got (2, 3, 5, 6). Is it (b, h, w, d)?"),
    ("x=ones((2, 6, 15))", f"x must be {MAP}; got (2, 6, 15). Is it (b, d, h * w)?"),
    ("x=ones((2, 2, 6, 3, 5))", f"x must be {MAP}; got (2, 2, 6, 3, 5)."),
    ("x=ones((1, 2, 4, 6, 3, 5))", f"x must be {MAP}; got (1, 2, 4, 6, 3, 5)."),
    (
        "path=selscan.paths.cross3d(2, 3, 5)",
        "x must be (b, d, t, h, w) or (b, k, d, t, h, w) with k = 6, t = 2, h = 3, w = 5 as path "
        "has them; got (2, 6, 3, 5).",
    ),
    (
        "path=selscan.paths.cross(4, 4)",
        "x must be (b, d, h, w) or (b, k, d, h, w) with k = 4, h = 4, w = 4 as path has them; got "
        "(2, 6, 3, 5).",
    ),
]
# For scatter.
SEQUENCES = [
    ("y=y[:, :3]", f"y must be {SEQUENCE}; got (2, 3, 6, 15)."),
    ("y=y[..., :14]", f"y must be {SEQUENCE}; got (2, 4, 6, 14)."),
    ("y=ones(())", f"y must be {SEQUENCE}; got ()."),
    ("y=ones((4, 6, 15))", f"y must be {SEQUENCE}; got (4, 6, 15). Is the batch axis missing?"),
    ("y=ones((2, 24, 15))", f"y must be {SEQUENCE}; got (2, 24, 15). Are k and d one axis?"),
    ("y=ones((2, 4, 15, 6))", f"y must be {SEQUENCE}; got (2, 4, 15, 6). Is it (b, k, l, d)?"),
    ("y=ones((2, 4, 6, 3, 5))", f"y must be {SEQUENCE}; got (2, 4, 6, 3, 5)."),
    (
        "path=selscan.paths.unidirectional(3, 5)",
        "y must be (b, k, d, l) with k = 1, l = 15 as path has them; got (2, 4, 6, 15).",
    ),
]
# For both, in arrays that take next to no memory.
HUGE = [
    (
        "x=np.broadcast_to(x[0, 0], (2**24, 2**22, 3, 5))",
        f"b * k * d * l must be below 2**50; got {60 * 2**46}.",
    ),
    (
        "y=np.broadcast_to(y[:, :, :1], (2, 4, 2**50, 15))",
        f"b * k * d * l must be below 2**50; got {120 * 2**50}.",
    ),
]
# X stands for x and y.
DTYPES = [
    ("X=X > 0", f"X must be {NUMBERS}; got bool. Convert it to uint8."),
    ("X=X.astype(object)", f"X must be {NUMBERS}; got object."),
    ("X=X.astype(ml_dtypes.float8_e4m3fn)", f"X must be {NUMBERS}; got float8_e4m3fn."),
    (
        'X=X.astype(">f4")',
        f"X must be {NUMBERS}; got byte-swapped float32. Pass X.astype(X.dtype.newbyteorder('=')).",
    ),
]
TENSORS = [
    ("X=X > 0", f"X must be {NUMBERS}; got bool. Convert it to uint8."),
    (
        "X=X.to_sparse()",
        "X must be a dense tensor; got one of layout torch.sparse_coo. Call .to_dense() first.",
    ),
    (
        "X=X.to(torch.complex64).conj()",
        "X must be a plain tensor; got one with its conjugate bit set. Call .resolve_conj() first.",
    ),
]
NOT_ARRAYS = [
    row
    for name in "xy"
    for row in (
        (f"{name}=None", f"{name} must be {ARRAY}; got None."),
        (f"{name}=[[1.0]]", f"{name} must be {ARRAY}; got a list. Pass numpy.asarray({name})."),
        (
            f"{name}=np.ma.masked_less({name}, 0)",
            f"{name} must be {ARRAY}; got a numpy.MaskedArray. Its mask would be lost; pass "
            f"{name}.filled(value).",
        ),
    )
]
PATHS = [
    ("path=None, size=(3, 5)", f"path must be {PATH}; got None."),
    ("path=5, size=(3, 5)", f"path must be {PATH}; got 5 (int)."),
    ("path=[[0.5]], size=(3, 5)", "path must be a table of integers; got one of float64."),
    (
        'path="cross", size=3',
        "size must be (height, width) or (depth, height, width); got 3 (int).",
    ),
]
SIZES = [
    ("size=(5, 3)", "size must be that of path, (3, 5); got (5, 3)."),
    ('path="v", size=(0, 5)', "height must be an integer from 1 to 2147483647; got 0 (int)."),
]
SIZES_OF_MAPS = [
    (
        'path="cross", x=x[None]',
        "x must be (b, d, h, w), where path is no selscan.paths.Path; got (1, 2, 6, 3, 5). Or pass "
        "size=(height, width) or (depth, height, width).",
    ),
]
SIZES_OF_SEQUENCES = [
    (
        'path="cross"',
        "size must be (height, width) or (depth, height, width), where path is no "
        "selscan.paths.Path; got None.",
    ),
]
FLAGS = [
    ("merge=1", "merge must be True or False; got 1 (int)."),
    ("merge=np.True_", "merge must be True or False; got a numpy.bool."),
]
