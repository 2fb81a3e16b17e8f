"""Where things stand in the argument array of the kernels, and how a scan is cut into tasks.

Kernels take one int64 array. First come sizes and addresses (the names below), then the operands,
twelve slots each: address (0 = not given), dtype code, and the byte steps along batch, channel (or
group), state, time (or the columns of a map), route and the rows of a map, zero where an operand
has no such axis. The last four are those of maps (maps.py).
"""

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
    WORKERS,
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
    PANEL_CHUNKS,  # chunks of a panel (maps.py)
    PANEL_SIZE,  # bytes of a panel or a plane of one block
    PIECES,  # addresses of the tables of a path (pieces.py)
    FIRST_PIECES,
    POSITIONS,
    FRESH,
    PIXELS,  # 0: no step is padding
    TABLE,
    MAP_ROWS,  # one, of all pixels, where rows follow each other in memory
    MAP_COLUMNS,
) = range(34)

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
    TILE_PIECE,  # w pixels of a map
    TILE_MERGE,  # what earlier routes left where a route adds to a map
) = range(34, 59)

_OPERANDS = 59
(
    ADDRESS,
    DTYPE,
    STEP_B,
    STEP_D,
    STEP_N,
    STEP_T,
    STEP_R,
    STEP_H,
    IS_MAP,
    IS_SHARED,
    IS_PLANE,
    PANEL,  # byte offset of its panels or planes in the scratch of a worker; 0: none
) = range(12)
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
) = range(_OPERANDS, _OPERANDS + 23 * 12, 12)
END = DINITIAL_STATE + 12
