"""Bad inputs, part 2: dtypes, what is not an array, tensors of other kinds, devices.

Each row: what is given (as in bad_shapes.py), the message of the TypeError; of the ValueError or
BackendUnavailable for the devices.
"""

REAL = "float16, bfloat16, float32 or float64"
OF_A = "float32, float64, complex64 or complex128"
FIRST = "u must be a NumPy array, a torch tensor, a JAX array or another one with DLPack"
OTHER = "D must be a NumPy array"

# For scan and NumPy arrays.
NUMPY_DTYPES = [
    ("u=u.astype(int)", f"u must be {REAL}; got int64. Convert it to float32."),
    ("delta=delta > 0", f"delta must be {REAL}; got bool. Convert it to float32."),
    ('B=B.astype("uint16")', f"B must be {REAL}; got uint16. Convert it to float32."),
    ("D=D.astype(object)", f"D must be {REAL}; got object."),
    ('u=u.astype("U2")', f"u must be {REAL}; got str64."),
    ('u=u.astype("S8")', f"u must be {REAL}; got bytes64."),
    ('delta=delta.astype("M8[s]")', f"delta must be {REAL}; got datetime64[s]."),
    ('delta=np.zeros((2, 4, 5), "f4, f4")', f"delta must be {REAL}; got void64."),
    (
        "z=z.astype(ml_dtypes.float8_e4m3fn)",
        f"z must be {REAL}; got float8_e4m3fn. Convert it to float32.",
    ),
    (
        'u=u.astype(">f4")',
        f"u must be {REAL}; got byte-swapped float32. Pass u.astype(u.dtype.newbyteorder('=')).",
    ),
    (
        'u=u.astype("complex64")',
        f"u must be {REAL}; got complex64. Only A, B, C and states may be complex.",
    ),
    (
        'A=A.astype("complex64"), D=D.astype("complex64")',
        f"D must be {REAL}; got complex64. Only A, B, C and states may be complex.",
    ),
    (
        'B=B.astype("complex64")',
        f"B must be {REAL}; got complex64. It may be complex where A is.",
    ),
    (
        'initial_state=initial_state.astype("complex128")',
        f"initial_state must be {REAL}; got complex128. It may be complex where A is.",
    ),
    (
        'A=A.astype("float16")',
        f"A must be {OF_A}; got float16. 16 bits are too few for decay rates; convert to float32.",
    ),
    ("A=A.astype(int)", f"A must be {OF_A}; got int64. Convert it to float32."),
    (
        'seq_idx=seq_idx.astype("float32")',
        "seq_idx must be int32 or int64; got float32. Convert it to int32.",
    ),
    (
        'seq_idx=seq_idx.astype("uint32")',
        "seq_idx must be int32 or int64; got uint32. Convert it to int32.",
    ),
    ("seq_idx=seq_idx > 0", "seq_idx must be int32 or int64; got bool. Convert it to int32."),
]
BACKWARD_DTYPES = [
    ("dy=dy.astype(int)", f"dy must be {REAL}; got int64. Convert it to float32."),
    (
        'dy=dy.astype("complex64")',
        f"dy must be {REAL}; got complex64. Only A, B, C and states may be complex.",
    ),
    (
        'dlast_state=dlast_state.astype("complex64")',
        f"dlast_state must be {REAL}; got complex64. It may be complex where A is.",
    ),
]
STEP_DTYPES = [
    ("state=state.astype(int)", f"state must be {REAL}; got int64. Convert it to float32."),
    (
        'state=state.astype("complex64")',
        f"state must be {REAL}; got complex64. It may be complex where A is.",
    ),
    (
        'A=A.astype("complex64")',
        "state must be complex64 or complex128 where A is complex; got float32. "
        "Convert it to complex64.",
    ),
]
# For scan and tensors.
TENSOR_DTYPES = [
    ("u=u.int()", f"u must be {REAL}; got int32. Convert it to float32."),
    ("delta=delta > 0", f"delta must be {REAL}; got bool. Convert it to float32."),
    (
        "u=u.to(torch.float8_e5m2)",
        f"u must be {REAL}; got float8_e5m2. Convert it to float32.",
    ),
    (
        "u=u.to(torch.complex64)",
        f"u must be {REAL}; got complex64. Only A, B, C and states may be complex.",
    ),
    (
        "A=A.bfloat16()",
        f"A must be {OF_A}; got bfloat16. 16 bits are too few for decay rates; convert to float32.",
    ),
    ("seq_idx=seq_idx.short()", "seq_idx must be int32 or int64; got int16. Convert it to int32."),
    ("u=torch.quantize_per_tensor(u, 0.1, 0, torch.qint8)", f"u must be {REAL}; got qint8."),
]
# For scan and NumPy arrays. JAX arrays and other DLPack producers have their place here as well.
NOT_ARRAYS = [
    ("u=[[1.0, 2.0]]", f"{FIRST}; got a list. Pass numpy.asarray(u)."),
    ("u=None", f"{FIRST}; got None."),
    ('u="float32"', f"{FIRST}; got 'float32' (str)."),
    ("u=np.float32(3)", f"{FIRST}; got a numpy.float32. Pass numpy.asarray(u)."),
    ("u=u.__dlpack__()", f"{FIRST}; got a PyCapsule. Pass the array, not its DLPack capsule."),
    (
        "u=np.ma.masked_less(u, 0)",
        f"{FIRST}; got a numpy.MaskedArray. Its mask would be lost; pass u.filled(value).",
    ),
    ("delta=None", "delta must be a NumPy array; got None."),
    (
        "A=np.matrix(A)",
        "A must be a NumPy array like u; got a numpy.matrix. Pass numpy.asarray(A).",
    ),
    ("D=(1.0, 1.0)", f"{OTHER}; got a tuple. Pass numpy.asarray(D)."),
    ("D=1.0", f"{OTHER}; got 1.0 (float)."),
    ("D=3", f"{OTHER}; got 3 (int)."),
    ("D=10**5000", f"{OTHER}; got an int."),
    ("D=True", f"{OTHER}; got True (bool)."),
    ('D="x" * 41', f"{OTHER}; got a str."),
    ('D=b"D"', f"{OTHER}; got b'D' (bytes)."),
    ("D=bytearray(16)", f"{OTHER}; got a bytearray."),
    ('D=memoryview(b"1234")', f"{OTHER}; got a memoryview."),
    ("D=np.float32", f"{OTHER}; got the class numpy.float32."),
    ("D=...", f"{OTHER}; got an ellipsis."),
    (
        "seq_idx=[0, 0, 1, 1, 1]",
        "seq_idx must be a NumPy array; got a list. Pass numpy.asarray(seq_idx).",
    ),
]
AMONG_NUMPY = [
    ("delta=torch.ones(2, 4, 5)", "delta must be a NumPy array like u; got a torch.Tensor."),
]
AMONG_TENSORS = [
    ("delta=delta.numpy()", "delta must be a torch tensor like u; got a numpy.ndarray."),
    ("D=[1.0, 1.0]", "D must be a torch tensor; got a list. Pass torch.as_tensor(D)."),
]
AMONG_NUMPY_STEP = [
    ("u=torch.ones(2, 4)", "u must be a NumPy array like state; got a torch.Tensor."),
]
# For scan and tensors.
TENSORS = [
    (
        "u=u.to_sparse()",
        "u must be a dense tensor; got one of layout torch.sparse_coo. Call .to_dense() first.",
    ),
    (
        "A=A.to_sparse_csr()",
        "A must be a dense tensor; got one of layout torch.sparse_csr. Call .to_dense() first.",
    ),
    (
        "u=u.to_mkldnn()",
        "u must be a dense tensor; got one of layout torch._mkldnn. Call .to_dense() first.",
    ),
    (
        "u=torch.nested.nested_tensor([u[0], u[1, :3]])",
        "u must be a dense tensor; got a nested one. Scan what .unbind() gives one by one.",
    ),
    (
        "delta=torch.nested.nested_tensor([u[0], u[1, :3]], layout=torch.jagged)",
        "delta must be a dense tensor; got a nested one. Scan what .unbind() gives one by one.",
    ),
    (
        "B=B.to(torch.complex64).conj()",
        "B must be a plain tensor; got one with its conjugate bit set. Call .resolve_conj() first.",
    ),
    (
        "u=u.to(torch.complex64).conj().imag",
        "u must be a plain tensor; got one with its negative bit set. Call .resolve_neg() first.",
    ),
]
DEVICES = [
    ('delta=delta.to("meta")', "delta must be on cpu like u; got meta."),
    ('seq_idx=seq_idx.to("meta")', "seq_idx must be on cpu like u; got meta."),
]
OTHER_DEVICE = [('u=u.to("meta")', "delta must be on meta like u; got cpu.")]
