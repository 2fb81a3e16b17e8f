"""How large blocks and tiles are; the same for every GPU."""

THREADS = 256  # of a block, at most; and so the states of a channel
CHANNELS = 64  # of a block, at most
TILE_BYTES = 32  # of a tile's steps of one state: all of a block fit into 48 KiB of shared memory
MOVERS = 256  # threads of a block that moves or sums elements, one after the other
MOST_MOVING = 4096  # blocks of those
MOST_BLOCKS = 2**31 - 1  # of a grid
SIZES = {"float32": 4, "float64": 8, "complex64": 8, "complex128": 16}


def tile_of(number):
    """Steps of a tile, and from one kept state to the next, for states of a dtype."""
    return TILE_BYTES // SIZES[number]


def channels_of(problem):
    """Channels of a block."""
    width = problem.dim // problem.groups
    return max(1, min(CHANNELS, width, THREADS // problem.d_state))


def slices_of(problem):
    """Blocks that share a group."""
    return -(-(problem.dim // problem.groups) // channels_of(problem))


def tiles_of(problem, length):
    return -(-length // tile_of(problem.state_dtype))
