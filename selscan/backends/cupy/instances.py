"""The closed list of kernels: the instances of each file of csrc/, as C++ name expressions.

Nothing else is compiled for users, and the checks of compiled code walk through this list.
"""

INSTANCES = {}  # {"scan.cu": ("scan_forward<float, 16>", ...)}


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
