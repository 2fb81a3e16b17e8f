"""Where things stand in the argument array of the kernels, and how a scan is cut into tasks.

Kernels take one int64 array. First comes what all kernels have in common, which threads share out
(tasks.py), then sizes and addresses (the names below), then the operands, thirteen slots each:
address (0 = not given), dtype code, and the byte steps along batch, channel (or group), state, time
(or the columns of a map), route, and the rows and the frames of a map, zero where an operand has no
such axis. The last four are those of maps (maps.py).
"""

# of every kernel, those of gather_plan.py too
(
    ENTRY,  # address of the compiled kernel
    TASKS,
    AT_ONCE,  # tasks that a thread takes at a time
    NEXT,  # the first task that nobody has taken
    ARRIVED,  # threads that have come, whose number is the next one's
    DONE,  # address of the lock on which the caller waits for the others
    HEADER,
) = range(7)

# sizes and switches
(
    BATCH,
    DIM,
    LENGTH,
    D_STATE,
    GROUPS,
    CHUNK,  # steps of a chunk
    CHUNKS,
    BLOCKS,  # channel blocks of a group
    SLICES,  # tasks that share a group
    STATE_BLOCKS,  # channel blocks of a group of which states are kept
    SOFTPLUS,
    REVERSE,
    SCRATCH,  # address; worker i owns [SCRATCH + i SCRATCH_STEP, ...)
    SCRATCH_STEP,
    STATES,  # address of the states at chunk starts, (b, g, block, chunk, n, w); 0: do not keep
    SLICE_STEP_B,  # bytes between the partial sums of dB of two slices
    SLICE_STEP_C,
    LOAD_TILE,  # addresses of the compiled entry points of tiles.py
    STORE_TILE,
    LOAD_ROWS,  # those of maps.py, for a path
    STORE_ROWS,
    OWN_ADDRESS,  # of this array
    ROUTES,  # of a path; one for a scan of sequences
    JOINED,  # routes are one sequence
    APART,  # each route is a task of its own
    TABLE,  # address of the table of a path, int32
    TABLE_STEP_B,  # bytes to the table of the next sample; 0: one for all
    AHEAD,  # steps of seq_idx before the first one: 0 or 1
    STOPS,  # address of the table of steps whose states are wanted, int32 (stops.py); 0: of none
    PADDED,  # some steps have no pixel
    PARTIAL,  # a route does not come to every pixel
    MAP_FRAMES,  # one of one row of all pixels, where these follow each other in memory
    MAP_ROWS,  # of a frame
    MAP_COLUMNS,
    WINDOWS,  # address of the table of windows.py, int32, and where in it parts begin
    COME,  # squares by the chunk with which they come
    COME_STARTS,
    GO,
    GO_STARTS,
) = range(HEADER, HEADER + 39)

# byte offsets of the tiles in the scratch of a worker, forward and backward
(
    TILE_U,
    TILE_DELTA,
    TILE_Y,
    TILE_Z,
    TILE_B,
    TILE_C,
    TILE_H,
    TILE_A,
    TILE_ROW,  # delta_bias and D of a block
    TILE_X,
    TILE_G,
    TILE_SLOPE,
    TILE_DX,
    TILE_DDELTA,
    TILE_DH,
    TILE_DA,
    TILE_DB,
    TILE_DC,
    TILE_SUM,
    TILE_DECAY,
    TILE_PAST,
    TILE_DROW,  # gradients of delta_bias and D of each block
    TILE_SEGMENTS,  # where seq_idx changes within the chunk (segments.py)
    TILE_STOPS,  # gradients of the states that were wanted within the chunk
) = range(HEADER + 39, HEADER + 63)

_OPERANDS = HEADER + 63
(
    ADDRESS,
    DTYPE,
    STEP_B,
    STEP_D,
    STEP_N,
    STEP_T,
    STEP_R,
    STEP_H,
    STEP_P,
    IS_MAP,  # how it is copied: SEQUENCE, or one of the others
    IS_SHARED,
    PLANE,  # byte offset of its planes, or windows, in the scratch of a worker
    PLANE_STEP,  # bytes from those of a block of channels to those of the next
) = range(13)
# No map; all of it in scratch; a window of it; element by element, nothing in scratch.
SEQUENCE, PLANES, WINDOW, DIRECT = range(4)
(
    U,
    DELTA,
    A,
    B,
    C,
    D,
    Z,
    DELTA_BIAS,
    INITIAL_STATE,
    SEQ_IDX,
    Y,
    LAST_STATE,
    DY,
    DLAST_STATE,
    DU,
    DDELTA,
    DA,
    DB,
    DC,
    DD,
    DZ,
    DDELTA_BIAS,
    DINITIAL_STATE,
    STATES_AT,
    DSTATES_AT,
) = range(_OPERANDS, _OPERANDS + 25 * 13, 13)
END = DSTATES_AT + 13
