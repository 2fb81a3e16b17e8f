"""Bad inputs, part 4: maps and paths. Each row: what is given, the message of the error.

Given are keyword arguments of scan2d. In them the name of an argument stands for a right value of
it, where b, d, n = 2, 4, 3 and the path is bidirectional(5, 6), with k, l = 2, 30.
"""

PATH = "a selscan.paths.Path, the name of one, a function of the size, or a table (k, l)"
U = "(b, d, h, w) or (b, k, d, h, w) with k = 2"
DELTA = "(b, k, d, h, w) = (2, 2, 4, 5, 6) or (b, k, d, l) = (2, 2, 4, 30)"
B = "(b, k, n, h, w) = (2, 2, 3, 5, 6) or (b, k, n, l) = (2, 2, 3, 30)"
JOINED = 'path=paths.Path.of(5, 6, "h", "v", joined=True)'
ONE_SET = "The routes of a joined path share one set of parameters."
TWO, FOUR = (f"The path has {k} routes." for k in (2, 4))
REAL_ONLY = "Only A, B, C and states may be complex."
BROADCAST = "Broadcast it first; that takes no memory."

# For scan2d: ValueError.
MAPS = [
    ("u=u[0]", f"u must be {U}; got (4, 5, 6). Is the batch axis missing?"),
    ("u=ones(())", f"u must be {U}; got ()."),
    (
        'u=ones((4, 30)), path="cross"',
        "u must be (b, d, h, w) or (b, k, d, h, w), where path is no selscan.paths.Path; got (4, "
        "30).",
    ),
    ("u=ones((2, 4, 30))", f"u must be {U}; got (2, 4, 30). Is it (b, d, h * w)?"),
    ("u=ones((2, 3, 4, 5, 6))", f"u must be {U}; got (2, 3, 4, 5, 6). {TWO}"),
    (
        "path=paths.cross(5, 7)",
        "path must be one over 5 x 6 pixels like u; got one over 5 x 7.",
    ),
    (
        "u=ones((2, 5, 6, 4))",
        "path must be one over 6 x 4 pixels like u; got one over 5 x 6. Are the channels of u "
        "last? Pass it with the axes moved.",
    ),
    (
        "u=ones((2, 2, 4, 30))",
        "path must be one over 4 x 30 pixels like u; got one over 5 x 6. Is u in the order of the "
        "routes? Pass the map.",
    ),
    (
        "path=paths.cross3d(2, 5, 6)",
        "path must be one over maps (height, width); got one over 2 x 5 x 6. Call selscan.scan3d.",
    ),
    ("path=paths.cross(5, 6)", "A must be (k, d, n) with k, d = (4, 4); got (2, 4, 3). " + FOUR),
    (JOINED, f"A must be (k, d, n) with k, d = (1, 4); got (2, 4, 3). {ONE_SET}"),
    (
        f"{JOINED}, A=A[:1], D=D[:1], delta_bias=None",
        "delta must be (b, k, d, h, w) = (2, 1, 4, 5, 6) or (b, k, d, l) = (2, 1, 4, 60); got "
        f"(2, 2, 4, 5, 6). {ONE_SET}",
    ),
    (
        "A=A[0]",
        "A must be (k, d, n) with k, d = (2, 4); got (4, 3). Is the route axis missing?",
    ),
    ("A=A[0, 0]", "A must be (k, d, n) with k, d = (2, 4); got (3,)."),
    (
        "A=A.reshape(8, 3)",
        "A must be (k, d, n) with k, d = (2, 4); got (8, 3). Are k and d one axis?",
    ),
    ("A=ones((2, 3, 4))", "A must be (k, d, n) with k, d = (2, 4); got (2, 3, 4)."),
    ("A=A[..., :0]", "A must be (k, d, n) with n of at least 1; got (2, 4, 0)."),
    (
        "delta=ones((2, 4, 5, 6))",
        f"delta must be {DELTA}; got (2, 4, 5, 6). Is the route axis missing?",
    ),
    ("delta=ones((2, 3, 4, 30))", f"delta must be {DELTA}; got (2, 3, 4, 30). {TWO}"),
    ("delta=ones((2, 8, 30))", f"delta must be {DELTA}; got (2, 8, 30). Are k and d one axis?"),
    ("delta=ones((2, 2, 4, 31))", f"delta must be {DELTA}; got (2, 2, 4, 31)."),
    ("B=ones((2, 3, 3, 5, 6))", f"B must be {B}; got (2, 3, 3, 5, 6). {TWO}"),
    ("B=ones((2, 3, 5, 6))", f"B must be {B}; got (2, 3, 5, 6). Is the route axis missing?"),
    ("B=ones((2, 6, 5, 6))", f"B must be {B}; got (2, 6, 5, 6). Are k and n one axis?"),
    ("C=ones((2, 2, 4, 5, 6))", f"C must be {B}; got (2, 2, 4, 5, 6)."),
    ("C=C[..., 0]", f"C must be {B}; got (2, 2, 3, 5)."),
    ("D=D[0]", f"D must be (k, d) = (2, 4); got (4,). {BROADCAST}"),
    ("D=ones((4, 2))", f"D must be (k, d) = (2, 4); got (4, 2). {TWO}"),
    ("D=ones(8)", "D must be (k, d) = (2, 4); got (8,). Are k and d one axis?"),
    (
        f"{JOINED}, A=A[:1]",
        f"D must be (k, d) = (1, 4); got (2, 4). {ONE_SET}",
    ),
    ("delta_bias=D[:1]", f"delta_bias must be (k, d) = (2, 4); got (1, 4). {BROADCAST}"),
]
# For scan2d, gather and scatter, where path is no Path; the size is 5 x 6: ValueError.
TABLES = [
    (
        'path="croos"',
        f"path must be {PATH}; got 'croos' (str). Names are in selscan.paths and Path.of.",
    ),
    (
        'path="window"',
        f"path must be {PATH}; got 'window' (str). Pass lambda h, w: paths.window(h, w, ...), or "
        "the names of its routes.",
    ),
    (
        'path=["h", "vertical"]',
        "path must be a list of routes by name, as in Path.of, or a table (k, l); got 'vertical' "
        "(str) in one.",
    ),
    ("path=[]", f"path must be {PATH}; got an empty list."),
    (
        "path=[[0, 1], [2]]",
        "path must be routes of one length; got 2 in route 0, 1 in route 1. Fill the shorter ones "
        "up with -1.",
    ),
    (
        "path=[[0, 1, 2], [0, 30, 1]]",
        "path must be -1 for padding or a pixel number from 0 to 29 everywhere; got 30 in route 1, "
        "step 1.",
    ),
    (
        "path=np.array([4, 7, 4])",
        "path must be routes that visit a pixel at most once; got pixel 4 twice in route 0, at "
        "steps 0 and 2.",
    ),
    (
        "path=lambda h, w: paths.cross(w, h)",
        "path must be a function that gives one over 5 x 6 pixels; got one over 6 x 5 from it.",
    ),
]
# Orders per sample, for scan2d; what their numbers may be is in test_orders.py.
ORDERS = [
    (
        "path=np.zeros((3, 2, 7), int)",
        "path must be (b, k, l) with b = 2; got (3, 2, 7).",
    ),
    (
        "path=np.zeros((2, 2, 0), int)",
        "path must be (b, k, l) with k and l of at least 1; got (2, 2, 0).",
    ),
    (
        "path=np.zeros((2, 3, 30), int)",
        "A must be (k, d, n) with k, d = (3, 4); got (2, 4, 3). The path has 3 routes.",
    ),
]
# For scan2d: TypeError.
PATHS = [
    (
        "path=np.zeros((2, 2, 30))",
        "path must be int32 or int64; got float64. Convert it to int32.",
    ),
    ("path=None", f"path must be {PATH}; got None."),
    ("path=5", f"path must be {PATH}; got 5 (int)."),
    ("path=path.table + 0.5", "path must be a table of integers; got one of float64."),
    (
        "path=lambda h, w: paths.cross",
        "path must be a function that gives a selscan.paths.Path or a table; got a function from "
        "it.",
    ),
    ("merge=1", "merge must be True or False; got 1 (int)."),
    ("D=1j * D", f"D must be float16, bfloat16, float32 or float64; got complex64. {REAL_ONLY}"),
]
