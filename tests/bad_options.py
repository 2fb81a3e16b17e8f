"""Bad inputs, part 3: options, backends, and a state that cannot be updated in place.

Each row: what is given (as in bad_shapes.py), and the message of the TypeError or ValueError.
"""

from selscan.compat.aliases import TABLE

REAL = "float16, bfloat16, float32 or float64"
NAMED = "Pass a name such as 'float32'."
BACKENDS = "one of cpu, cupy, numba_cuda"
STEPS = "a sequence of integers, or None"
ASCENDING = "steps from 0 to l - 1, ascending and each once, with l = 5"
APART = (
    "in other memory than state, which is updated in place; got one that overlaps it or lies "
    "between its elements"
)
WHOLE = "an array with memory for each of its elements"

# For every function that has the option, and NumPy arrays: TypeError.
OPTION_TYPES = [
    ("delta_softplus=1", "delta_softplus must be True or False; got 1 (int)."),
    ("delta_softplus=np.True_", "delta_softplus must be True or False; got a numpy.bool."),
    ('reverse="yes"', "reverse must be True or False; got 'yes' (str)."),
    ("reverse=ones((2,))", "reverse must be True or False; got a numpy.ndarray."),
    ("return_last_state=0.0", "return_last_state must be True or False; got 0.0 (float)."),
    ("return_last_state=[True]", "return_last_state must be True or False; got a list."),
    ("return_states_at=3", f"return_states_at must be {STEPS}; got 3 (int)."),
    ('return_states_at="12"', f"return_states_at must be {STEPS}; got '12' (str)."),
    ("return_states_at=[1.0]", f"return_states_at must be {STEPS}; got a list."),
    ("return_states_at=[True]", f"return_states_at must be {STEPS}; got a list."),
    (
        "return_states_at=np.broadcast_to(0, (2**20, 2**20))",
        f"return_states_at must be {STEPS}; got a numpy.ndarray.",
    ),
    ("layout=None", "layout must be 'bdl' or 'bld'; got None."),
    ('layout=b"bdl"', "layout must be 'bdl' or 'bld'; got b'bdl' (bytes)."),
    ('layout=("b", "d", "l")', "layout must be 'bdl' or 'bld'; got a tuple."),
    ("out_dtype=int", f"out_dtype must be {REAL}; got int64."),
    ('out_dtype="complex64"', f"out_dtype must be {REAL}; got complex64."),
    ('out_dtype=">f4"', f"out_dtype must be {REAL}; got byte-swapped float32."),
    (
        'out_dtype="half precision"',
        f"out_dtype must be {REAL}; got 'half precision' (str).",
    ),
    ("out_dtype=32", f"out_dtype must be {REAL}; got 32 (int). {NAMED}"),
    ("backend=1", f"backend must be {BACKENDS}; got an object of type int."),
    ('backend=["cpu"]', f"backend must be {BACKENDS}; got an object of type list."),
]
# For tensors: TypeError.
OPTION_TYPES_TENSORS = [
    ("out_dtype=torch.int32", f"out_dtype must be {REAL}; got int32."),
    ("out_dtype=np.float32", f"out_dtype must be {REAL}; got the class numpy.float32. {NAMED}"),
    ('out_dtype="single"', f"out_dtype must be {REAL}; got 'single' (str)."),
    (
        "delta_softplus=torch.tensor(True)",
        "delta_softplus must be True or False; got a torch.Tensor.",
    ),
]
# The same: ValueError.
OPTIONS = [
    ("return_states_at=[3, 1]", f"return_states_at must be {ASCENDING}; got 1 behind 3."),
    ("return_states_at=[2, 2]", f"return_states_at must be {ASCENDING}; got 2 behind 2."),
    ("return_states_at=[0, 5]", f"return_states_at must be {ASCENDING}; got 5."),
    (
        "return_states_at=[-1]",
        f"return_states_at must be {ASCENDING}; got -1. Count from the front.",
    ),
    ('layout="bdn"', "layout must be 'bdl' or 'bld'; got 'bdn'."),
    ('layout="BDL"', "layout must be 'bdl' or 'bld'; got 'BDL'."),
    ('layout=""', "layout must be 'bdl' or 'bld'; got ''."),
    ('backend="cuda"', f"backend must be {BACKENDS}; got 'cuda'."),
    ('backend="CPU"', f"backend must be {BACKENDS}; got 'CPU'."),
    (
        'backend="cupy"',
        "backend must be one for arrays on cpu; got 'cupy', which works on cuda arrays.",
    ),
]
USE_TYPES = [
    ("name=None", f"name must be {BACKENDS}; got an object of type NoneType."),
    ("name=1", f"name must be {BACKENDS}; got an object of type int."),
]
USE = [('name="gpu"', f"name must be {BACKENDS}; got 'gpu'.")]
PATCH_TYPES = [
    ("targets=None", "targets must be 'auto', a name or a list of names; got None."),
    ("override=1", "override must be True or False; got 1 (int)."),
]
PATCH = [
    ('targets="mamba"', f"targets must be among {', '.join(TABLE)}; got 'mamba' (str)."),
    ("targets=[3]", f"targets must be among {', '.join(TABLE)}; got 3 (int)."),
]
# For scan_step and NumPy arrays: ValueError.
STATES = [
    (
        "state=as_strided(state, writeable=False)",
        "state must be writable, it is updated in place; got a read-only array. Pass state.copy().",
    ),
    (
        "state=as_strided(state, strides=(0, 12, 4))",
        f"state must be {WHOLE}; got one that was broadcast. Pass a copy.",
    ),
    (
        "state=as_strided(state, strides=(16, 4, 4))",
        f"state must be {WHOLE}; got one that overlaps itself. Pass a copy.",
    ),
    (
        "state=as_strided(state, strides=(46, 12, 4))",
        f"state must be {WHOLE}; got one that overlaps itself. Pass a copy.",
    ),
    ("u=state[..., 0]", f"u must be {APART}. Pass a copy."),
    ("delta=state[::-1, :, 1]", f"delta must be {APART}. Pass a copy."),
    ("A=state[0]", f"A must be {APART}. Pass a copy."),
    ("B=state[:, 1]", f"B must be {APART}. Pass a copy."),
    ("D=state[1, :, 2]", f"D must be {APART}. Pass a copy."),
]
# For scan_step and tensors: ValueError.
STATES_TENSORS = [
    (
        "state=state[..., :1].expand(2, 4, 3)",
        f"state must be {WHOLE}; got one that was broadcast. Pass a copy.",
    ),
    (
        "state=state.as_strided((2, 4, 3), (4, 1, 1))",
        f"state must be {WHOLE}; got one that overlaps itself. Pass a copy.",
    ),
    ("C=state[:, 3]", f"C must be {APART}. Pass a copy."),
    ("z=state[..., 2]", f"z must be {APART}. Pass a copy."),
]
