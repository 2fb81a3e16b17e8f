"""Bad inputs, part 1: shapes. Each row: what is given, the message of the ValueError.

Given are keyword arguments. In them the name of an argument stands for a right value of it, where
b, d, l, n = 2, 4, 5, 3, and ones(shape) is an array of ones.
"""

LIKE_U = "(b, d, l) like u, (2, 4, 5)"
LIKE_U_LAST = "(b, l, d) like u, (2, 5, 4)"
STATE = "(b, d, n) = (2, 4, 3)"
TIMED = "(b, n, l) or (b, g, n, l)"
LAST = "(b, l, n) or (b, l, g, n)"
SIZES = "with b = 2, n = 3, l = 5"
STEP = "(b, n), (b, g, n) or (d, n) with b, d, n = (2, 4, 3) and d % g == 0"
BROADCAST = "Broadcast it first; that takes no memory."
BATCH = "Is the batch axis missing?"

# For scan and scan_backward.
SHAPES = [
    ("u=u[0]", f"u must be (b, d, l), three axes; got (4, 5). {BATCH}"),
    ("u=ones(())", "u must be (b, d, l), three axes; got ()."),
    ("u=u[..., None]", "u must be (b, d, l), three axes; got (2, 4, 5, 1)."),
    ("delta=ones((2, 4, 6))", f"delta must be {LIKE_U}; got (2, 4, 6)."),
    ("delta=delta[0]", f"delta must be {LIKE_U}; got (4, 5). {BROADCAST}"),
    ("delta=ones(())", f"delta must be {LIKE_U}; got (). {BROADCAST}"),
    ("delta=delta[:, :1]", f"delta must be {LIKE_U}; got (2, 1, 5). {BROADCAST}"),
    (
        "delta=ones((2, 5, 4))",
        f"delta must be {LIKE_U}; got (2, 5, 4). Is it in layout 'bld'?",
    ),
    ("z=ones((3, 4, 5))", f"z must be {LIKE_U}; got (3, 4, 5)."),
    ("z=ones((2, 5, 4))", f"z must be {LIKE_U}; got (2, 5, 4). Is it in layout 'bld'?"),
    ("A=A[:, 0]", "A must be (d, n) with d = 4; got (4,)."),
    ("A=ones((7, 3))", "A must be (d, n) with d = 4; got (7, 3)."),
    ("A=A.T", "A must be (d, n) with d = 4; got (3, 4). Is it transposed?"),
    ("A=ones((2, 4, 3))", "A must be (d, n) with d = 4; got (2, 4, 3)."),
    ("A=A[:, :0]", "A must be (d, n) with n of at least 1; got (4, 0)."),
    (
        "u=ones((2, 5, 4)), delta=ones((2, 5, 4)), z=ones((2, 5, 4))",
        "A must be (d, n) with d = 5; got (4, 3). Is u in layout 'bld'?",
    ),
    (
        "B=ones((2, 2, 3, 5))",
        "B and C must have the same number of groups g; got 2 in B and 1 in C.",
    ),
    ("D=D[:3]", "D must be (d,) with d = 4; got (3,)."),
    ("D=D[:, None]", "D must be (d,) with d = 4; got (4, 1)."),
    ("D=ones(())", f"D must be (d,) with d = 4; got (). {BROADCAST}"),
    ("delta_bias=D[:1]", f"delta_bias must be (d,) with d = 4; got (1,). {BROADCAST}"),
    (
        "initial_state=ones((2, 3, 4))",
        f"initial_state must be {STATE}; got (2, 3, 4). Is it (b, n, d)?",
    ),
    ("initial_state=A", f"initial_state must be {STATE}; got (4, 3). {BROADCAST}"),
    ("initial_state=u", f"initial_state must be {STATE}; got (2, 4, 5)."),
    ("seq_idx=seq_idx[0]", f"seq_idx must be (b, l) = (2, 5); got (5,). {BROADCAST}"),
    ("seq_idx=seq_idx[:, :4]", "seq_idx must be (b, l) = (2, 5); got (2, 4)."),
]
# The same for B and C; X stands for both.
COEFFICIENTS = [
    ("X=X[0, 0]", f"X must be (d, n), {TIMED} {SIZES}; got (5,)."),
    ("X=ones(())", f"X must be (d, n), {TIMED} {SIZES}; got ()."),
    ("X=X[None, None]", f"X must be (d, n), {TIMED} {SIZES}; got (1, 1, 2, 3, 5)."),
    ("X=X[0]", f"X must be (d, n) = (4, 3), or have a time axis; got (3, 5). {BATCH}"),
    ("X=A.T", "X must be (d, n) = (4, 3), or have a time axis; got (3, 4)."),
    ("X=u", f"X must be {TIMED} {SIZES}; got (2, 4, 5)."),
    ("X=ones((2, 3, 6))", f"X must be {TIMED} {SIZES}; got (2, 3, 6)."),
    ("X=X[:1]", f"X must be {TIMED} {SIZES}; got (1, 3, 5). {BROADCAST}"),
    ("X=ones((2, 1, 4, 5))", f"X must be {TIMED} {SIZES}; got (2, 1, 4, 5)."),
    (
        "X=ones((2, 5, 3))",
        f"X must be {TIMED} {SIZES}; got (2, 5, 3). Is it in layout 'bld'?",
    ),
    (
        "X=ones((2, 5, 2, 3))",
        f"X must be {TIMED} {SIZES}; got (2, 5, 2, 3). Is it in layout 'bld'?",
    ),
    ("X=ones((2, 3, 3, 5))", f"X must be {TIMED} with d % g == 0, d = 4; got g = 3."),
    ("X=ones((2, 8, 3, 5))", f"X must be {TIMED} with d % g == 0, d = 4; got g = 8."),
    ("X=ones((2, 0, 3, 5))", f"X must be {TIMED} with d % g == 0, d = 4; got g = 0."),
]
# For layout="bld".
CHANNELS_LAST = [
    ("u=u[0]", f"u must be (b, l, d), three axes; got (5, 4). {BATCH}"),
    (
        "delta=ones((2, 4, 5))",
        f"delta must be {LIKE_U_LAST}; got (2, 4, 5). Is it in layout 'bdl'?",
    ),
    (
        "u=ones((2, 4, 5)), delta=ones((2, 4, 5)), z=ones((2, 4, 5))",
        "A must be (d, n) with d = 5; got (4, 3). Is u in layout 'bdl'?",
    ),
    ("B=B[0]", f"B must be (d, n) = (4, 3), or have a time axis; got (5, 3). {BATCH}"),
    (
        "B=ones((2, 3, 5))",
        f"B must be {LAST} {SIZES}; got (2, 3, 5). Is it in layout 'bdl'?",
    ),
    (
        "C=ones((2, 2, 3, 5))",
        f"C must be {LAST} {SIZES}; got (2, 2, 3, 5). Is it in layout 'bdl'?",
    ),
    ("C=ones((2, 5, 3, 3))", f"C must be {LAST} with d % g == 0, d = 4; got g = 3."),
]
# For scan_backward.
GRADIENTS = [
    ("dy=ones((2, 4, 6))", "dy must be of the shape of u, (2, 4, 5); got (2, 4, 6)."),
    ("dy=ones(())", f"dy must be of the shape of u, (2, 4, 5); got (). {BROADCAST}"),
    (
        "dy=ones((2, 5, 4))",
        "dy must be of the shape of u, (2, 4, 5); got (2, 5, 4). Is it in the other layout?",
    ),
    (
        "dlast_state=ones((2, 3, 4))",
        "dlast_state must be of the shape of last_state, (2, 4, 3); got (2, 3, 4). "
        "Is it (b, n, d)?",
    ),
    (
        "dlast_state=A",
        f"dlast_state must be of the shape of last_state, (2, 4, 3); got (4, 3). {BROADCAST}",
    ),
    (
        "dstates_at=ones((2, 4, 1, 3))",
        "return_states_at must be the steps that dstates_at belongs to; got None.",
    ),
]
# For scan_step.
STEPS = [
    ("state=state[0]", "state must be (b, d, n) with n of at least 1; got (4, 3)."),
    (
        "state=ones((2, 4, 0))",
        "state must be (b, d, n) with n of at least 1; got (2, 4, 0).",
    ),
    (
        "state=ones((2, 3, 4))",
        "u must be (b, d) = (2, 3); got (2, 4). Is state (b, n, d)?",
    ),
    ("u=u[:, :2]", "u must be (b, d) = (2, 4); got (2, 2)."),
    (
        "u=u[..., None]",
        "u must be (b, d) = (2, 4); got (2, 4, 1). A step has no time axis.",
    ),
    ("delta=delta[0]", f"delta must be (b, d) = (2, 4); got (4,). {BROADCAST}"),
    ("z=z.T", "z must be (b, d) = (2, 4); got (4, 2)."),
    ("A=A.T", "A must be (d, n) = (4, 3); got (3, 4). Is it transposed?"),
    ("A=A[:, :2]", "A must be (d, n) = (4, 3); got (4, 2)."),
    (
        "B=ones((2, 2, 3))",
        "B and C must have the same number of groups g; got 2 in B and 1 in C.",
    ),
    ("D=D[:1]", f"D must be (d,) with d = 4; got (1,). {BROADCAST}"),
    ("delta_bias=D[:, None]", "delta_bias must be (d,) with d = 4; got (4, 1)."),
]
STEP_COEFFICIENTS = [
    ("X=X[0]", f"X must be {STEP}; got (3,)."),
    ("X=u", f"X must be {STEP}; got (2, 4)."),
    ("X=ones((2, 0, 3))", f"X must be {STEP}; got (2, 0, 3)."),
    ("X=ones((2, 3, 3))", f"X must be {STEP}; got (2, 3, 3)."),
    ("X=X[..., None]", f"X must be {STEP}; got (2, 3, 1). A step has no time axis."),
]
# Sizes that no memory could hold, in arrays that take next to none.
HUGE = [
    (
        "A=np.broadcast_to(A[0, 0], (4, 2**50)), B=np.broadcast_to(A[0, 0], (2, 2**50, 5)), "
        "C=np.broadcast_to(A[0, 0], (2, 2**50, 5)), initial_state=None",
        f"b * d * l * n must be below 2**50; got {40 * 2**50}.",
    ),
]
