"""The closed list of kernels: the instances of each file of csrc/, as C++ name expressions.

Nothing else is compiled for users, and the checks of compiled code walk through this list.
"""

FORWARD, STEP = "scan_forward.cu", "scan_step.cu"
BACKWARD, CARRY, SUMS = "scan_backward.cu", "scan_carry.cu", "sum_parts.cu"
FORWARD_2D, BACKWARD_2D = "scan2d_forward.cu", "scan2d_backward.cu"
CROSS_FORWARD, CROSS_BACKWARD = "cross_forward.cu", "cross_backward.cu"
MOVE, ORDERS = "move.cu", "check_orders.cu"

# Elements that kernels load as vectors; all other dtypes and mixtures go through Any.
ELEMENTS = {"float16": "__half", "bfloat16": "__nv_bfloat16", "float32": "float"}
# Of A and the states; by the dtype that Problem.state_dtype has.
NUMBERS = {
    "float32": "float",
    "float64": "double",
    "complex64": "Complex<float>",
    "complex128": "Complex<double>",
}
# Elements that are only moved, by their size.
MOVED = {
    1: "unsigned char", 2: "unsigned short", 4: "unsigned", 8: "unsigned long long", 16: "Wide",
}  # fmt: skip
# Elements that are added up; bits of a sum are the same for signed integers and unsigned ones.
ADDED = ELEMENTS | {
    "float64": "double",
    "complex64": "Complex<float>",
    "complex128": "Complex<double>",
    **{f"{sign}int{8 * size}": MOVED[size] for sign in ("", "u") for size in (1, 2, 4, 8)},
}
INTEGERS = {"int32": "int", "int64": "long long"}  # of orders per sample
LANES = (1, 2, 8, 32)  # threads along time
GENERAL_LANES = (1, 8, 32)  # the same for Any
LANES_2D, GENERAL_LANES_2D = (1, 8, 32), (8,)  # of the scan along a path
MOVES = "move", "move_by_order"
SIDES = (7, 14, 28, 56)  # of small maps, at most


def forward_name(element, number, lanes, one_state):
    """The instance of scan_forward.cu for an element (None: Any) and a number, by their dtypes."""
    kind = ELEMENTS.get(element, "Any")
    return f"scan_forward<{kind}, {NUMBERS[number]}, {lanes}, {str(one_state).lower()}>"


def forward2d_name(element, number, lanes):
    """The instance of scan2d_forward.cu for an element (None: Any) and a number."""
    return f"scan2d_forward<{ELEMENTS.get(element, 'Any')}, {NUMBERS[number]}, {lanes}>"


def cross_name(file, element, side, whole):
    """The instance of a file for small maps along the cross path."""
    return f"{file.removesuffix('.cu')}<{ELEMENTS[element]}, {side}, {str(whole).lower()}>"


def step_name(number):
    """The instance of scan_step.cu."""
    return f"scan_step<{NUMBERS[number]}>"


def backward_name(file, element, number):
    """The instance of a file of the backward for an element (None: Any) and a number."""
    kind = ELEMENTS.get(element, "Any")
    return f"{file.removesuffix('.cu')}<{kind}, {NUMBERS[number]}>"


def sums_name(number):
    """The instance of sum_parts.cu."""
    return f"sum_parts<{NUMBERS[number]}>"


def move_name(dtype, size, adds, by_order=False):
    """The instance of move.cu for elements of a dtype and size."""
    kernel, kind = MOVES[by_order], ADDED[dtype] if adds else MOVED[size]
    return f"{kernel}<{kind}, {str(adds).lower()}>"


def orders_name(dtype):
    """The instance of check_orders.cu for a table of a dtype."""
    return f"check_orders<{INTEGERS[dtype]}>"


def _backward_names(file):
    return (
        *(backward_name(file, element, "float32") for element in ELEMENTS),
        *(backward_name(file, None, number) for number in NUMBERS),
    )


def _cross_names(file):
    return tuple(
        cross_name(file, element, side, whole)
        for element in ELEMENTS
        for side in SIDES
        for whole in (False, True)
    )


INSTANCES = {
    FORWARD: (
        *(
            forward_name(element, "float32", lanes, one_state)
            for element in ELEMENTS
            for lanes in LANES
            for one_state in (False, True)
        ),
        *(
            forward_name(None, number, lanes, False)
            for number in NUMBERS
            for lanes in GENERAL_LANES
        ),
    ),
    STEP: tuple(map(step_name, NUMBERS)),
    BACKWARD: _backward_names(BACKWARD),
    CARRY: _backward_names(CARRY),
    SUMS: tuple(map(sums_name, NUMBERS)),
    FORWARD_2D: (
        *(forward2d_name(x, "float32", lanes) for x in ELEMENTS for lanes in LANES_2D),
        *(forward2d_name(None, x, lanes) for x in NUMBERS for lanes in GENERAL_LANES_2D),
    ),
    BACKWARD_2D: _backward_names(BACKWARD_2D),
    CROSS_FORWARD: _cross_names(CROSS_FORWARD),
    CROSS_BACKWARD: _cross_names(CROSS_BACKWARD),
    MOVE: (
        *(f"{move}<{kind}, false>" for move in MOVES for kind in MOVED.values()),
        *(f"{move}<{kind}, true>" for move in MOVES for kind in dict.fromkeys(ADDED.values())),
    ),
    ORDERS: tuple(map(orders_name, INTEGERS)),
}


def listed(instances, file, name):
    """`file` and `name` as they stand in a list; that they do not is a mistake of our own.

    The strings of the list go on to the compiler, not those that were asked for.
    """
    file = _own(instances, file, "a file of kernels")
    return file, _own(instances[file], name, f"an instance of {file}")


def _own(strings, asked, what):
    for own in strings:
        if own == asked:
            return own
    raise KeyError(f"{asked!r:.200} is not {what}")
