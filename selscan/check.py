"""Does every backend here compute the right numbers, and how fast? (python -m selscan check)

The yardstick is this file's own loop over time in NumPy, apart from all that it checks. With
a[t] = exp(delta[t] A):  h[t] = a[t] h[t-1] + delta[t] B[t] u[t],  y[t] = C[t] h[t] + D u[t], and
for the gradient  dh[t] = dy[t] C[t] + a[t+1] dh[t+1]   (Gu and Dao 2023, eq. 2).
"""

import dataclasses

import numpy as np

import selscan
from selscan.bench import ON_GPU, measure
from selscan.cases import CASES, Case, make_inputs
from selscan.machine import backends, busy, machine, show
from selscan.progress import progress, say

# |error| / largest value in float32; backends are within 1e-6, a wrong formula is far above.
LIMIT = 1e-5
# Odd sizes, one past a vector or a chunk; between them they use every option.
SHAPES = (
    (Case("one", 1, 1, 1, 1, 1, ""), ("state",)),
    (Case("small", 2, 3, 7, 5, 3, ""), ("z", "state")),
    (Case("groups", 2, 68, 65, 1, 4, ""), ("z", "reverse")),
    (Case("wide", 1, 33, 129, 16, 1, ""), ("z", "state", "bld")),
    (Case("long", 1, 17, 401, 16, 1, ""), ("state", "reverse", "bld")),
)
SEQUENCES = ("u", "delta", "B", "C", "z", "y", "dy", "du", "ddelta", "dB", "dC", "dz")


def loop(u, delta, A, B, C, D, delta_bias, z=None, initial_state=None, states=None):
    """(y, last state); `states`, a list, gets the state before each step."""
    delta = np.logaddexp(delta + delta_bias[:, None], 0)  # softplus
    B, C = (np.repeat(x, u.shape[1] // x.shape[1], axis=1) for x in (B, C))  # (b, d, n, l)
    h = np.zeros(C.shape[:3], u.dtype) if initial_state is None else initial_state
    y = D[:, None] * u
    for t in range(u.shape[2]):
        if states is not None:
            states.append(h)
        delta_t, u_t = delta[:, :, t, None], u[:, :, t, None]
        h = np.exp(delta_t * A) * h + delta_t * B[..., t] * u_t
        y[:, :, t] += np.einsum("bdn,bdn->bd", h, C[..., t])
    return (y if z is None else y * z / (1 + np.exp(-z))), h


def loop_backward(dy, u, delta, A, B, C, D, delta_bias, z=None, initial_state=None, dlast_state=0):
    """Forward and backward: {name: array} of y, last_state and the gradient of each input."""
    arrays = (u, delta, A, B, C, D, delta_bias)
    states, grads = [], {}
    y, last_state = loop(*arrays, None, initial_state, states)
    if z is not None:
        gate = 1 / (1 + np.exp(-z))
        grads["z"] = dy * y * gate * (1 + z * (1 - gate))
        y, dy = y * z * gate, dy * z * gate
    groups = B.shape[1]
    B, C = (np.repeat(x, u.shape[1] // groups, axis=1) for x in (B, C))
    slope = 1 / (1 + np.exp(-(delta + delta_bias[:, None])))  # of softplus
    delta = np.logaddexp(delta + delta_bias[:, None], 0)
    du, ddelta, dA = D[:, None] * dy, np.empty_like(u), np.zeros_like(A)
    dB, dC = np.empty_like(B), np.empty_like(C)
    dh, h = dlast_state, last_state
    for t in reversed(range(u.shape[2])):
        delta_t, u_t, B_t = delta[:, :, t, None], u[:, :, t, None], B[..., t]
        dC[..., t] = dy[:, :, t, None] * h
        dh = dh + dy[:, :, t, None] * C[..., t]
        h = states[t]
        decay = np.exp(delta_t * A)
        dA += (dh * delta_t * decay * h).sum(0)
        dB[..., t] = dh * delta_t * u_t
        du[:, :, t] += (dh * delta_t * B_t).sum(2)
        ddelta[:, :, t] = (dh * (A * decay * h + B_t * u_t)).sum(2)
        dh = decay * dh
    ddelta *= slope
    dB, dC = (x.reshape(len(u), groups, -1, *x.shape[2:]).sum(2) for x in (dB, dC))
    if initial_state is not None:
        grads["initial_state"] = dh
    grads |= {"u": du, "delta": ddelta, "A": dA, "B": dB, "C": dC}
    grads |= {"D": (dy * u).sum((0, 2)), "delta_bias": ddelta.sum((0, 2))}
    return {"y": y, "last_state": last_state, **{f"d{name}": x for name, x in grads.items()}}


def torch_loop(u, delta, A, B, C, D, delta_bias):
    """The plain loop of mamba's selective_scan_ref and of transformers; B and C are (b, n, l)."""
    import torch

    delta = torch.nn.functional.softplus(delta + delta_bias[:, None])
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    drive = torch.einsum("bdl,bnl,bdl->bdln", delta, B, u)
    h, steps = torch.zeros_like(decay[:, :, 0]), []
    for t in range(u.shape[2]):
        h = decay[:, :, t] * h + drive[:, :, t]
        steps.append(torch.einsum("bdn,bn->bd", h, C[:, :, t]))
    return torch.stack(steps, dim=2) + D[:, None] * u


def problem(case, options):
    """The arguments of `loop_backward`, float32."""
    rng = np.random.default_rng(1)
    state = (case.batch, case.dim, case.d_state)
    arrays = make_inputs(case)
    arrays["dy"] = rng.standard_normal(arrays["u"].shape, np.float32)
    arrays["dlast_state"] = rng.standard_normal(state, np.float32)
    if "z" in options:
        arrays["z"] = rng.standard_normal(arrays["u"].shape, np.float32)
    if "state" in options:
        arrays["initial_state"] = rng.standard_normal(state, np.float32)
    return arrays


def sequences(arrays, change):
    """The same dict with each array that has a time axis changed."""
    return {name: change(x) if name in SEQUENCES else x for name, x in arrays.items()}


def expected(arrays, options):
    """`loop_backward` in float64; time is reversed by reversing the arrays."""
    direction = -1 if "reverse" in options else 1
    wide = {name: x.astype(np.float64) for name, x in arrays.items()}
    results = loop_backward(**sequences(wide, lambda x: x[..., ::direction]))
    return sequences(results, lambda x: x[..., ::direction])


def carriers(backend):
    """Two functions: NumPy's arrays to those of a backend, and back."""
    if backend not in ON_GPU:
        return np.asarray, np.asarray
    from selscan.backends.cupy.gpu import import_cupy

    cupy = import_cupy()
    return cupy.asarray, cupy.asnumpy


def computed(backend, arrays, options):
    """The same results by one backend."""
    keywords = {"delta_softplus": True, "reverse": "reverse" in options, "backend": backend}
    if bld := "bld" in options:
        keywords["layout"] = "bld"
        arrays = sequences(arrays, lambda x: np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    there, back = carriers(backend)
    arrays = {name: there(x) for name, x in arrays.items()}
    outer = {name: arrays.pop(name) for name in ("dy", "dlast_state")}
    y, last_state = selscan.scan(**arrays, return_last_state=True, **keywords)
    results = {"y": y, "last_state": last_state}
    grads = selscan.scan_backward(**outer, **arrays, **keywords)._asdict()
    results |= {f"d{name}": x for name, x in grads.items() if x is not None}
    results = {name: back(x) for name, x in results.items()}
    return sequences(results, lambda x: np.moveaxis(x, 1, -1)) if bld else results


def error(found, right):
    """The largest difference, relative to the largest value."""
    if found.shape != right.shape:
        return np.inf
    largest = np.abs(right).max()
    relative = np.abs(found - right).max() / (largest or 1)
    return np.inf if np.isnan(relative) else float(relative)


def check_numbers(backend):
    """Print one line a shape; False if a number is wrong."""
    print(f"\nNumbers: {backend}, float32; largest error / largest value, from a float64 loop")
    print("   b    d    l   n  g  options              forward   backward")
    good = True
    for case, options in progress(SHAPES, len(SHAPES), lambda shape: f"numbers, {shape[0].name}"):
        arrays = problem(case, options)
        right, found = expected(arrays, options), computed(backend, arrays, options)
        errors = {name: error(x, right[name]) for name, x in found.items()}
        verdict = "ok" if max(errors.values()) <= LIMIT else "WRONG"
        good &= verdict == "ok"
        forward = max(errors.pop("y"), errors.pop("last_state"))
        backward = max(errors.values())
        say(
            f"{case.batch:4d} {case.dim:4d} {case.length:4d} {case.d_state:3d} {case.groups:2d}"
            f"  {', '.join(options):19s} {forward:9.0e} {backward:10.0e}  {verdict}"
        )
    return good


def in_numpy(backend, arrays):
    """Name, forward, forward + backward: of selscan on NumPy arrays, then of the loop here."""
    dy = np.ones_like(arrays["u"])
    keywords = {"delta_softplus": True, "backend": backend}

    def forward():
        return selscan.scan(**arrays, **keywords)

    def both():
        return forward(), selscan.scan_backward(dy, **arrays, **keywords)

    yield "selscan on NumPy arrays", forward, both
    yield "NumPy loop", lambda: loop(**arrays), lambda: loop_backward(dy, **arrays)


def in_torch(backend, arrays):
    """The same on torch tensors, the gradients by autograd."""
    import torch

    def scan(**tensors):
        return selscan.scan(**tensors, delta_softplus=True, backend=backend)

    tensors = {name: torch.from_numpy(x) for name, x in arrays.items()}
    tensors |= {name: tensors[name][:, 0] for name in ("B", "C")}  # one group: (b, n, l)
    leaves = {name: x.clone().requires_grad_() for name, x in tensors.items()}
    dy = torch.ones_like(tensors["u"])
    for name, function in (("selscan on torch tensors", scan), ("plain torch loop", torch_loop)):
        yield (
            name,
            lambda f=function: f(**tensors),
            lambda f=function: torch.autograd.grad(f(**leaves), list(leaves.values()), dy),
        )


def check_speed(backend):
    """Print the times of selscan and of the plain loops, and how many times longer they take."""
    case = dataclasses.replace(CASES["vim"], batch=1)
    shape = f"u ({case.batch}, {case.dim}, {case.length}), n = {case.d_state}"
    print(f"\nSpeed: {backend}, float32, {shape}; best, ms")
    print(f"  {'':24s} {'forward':>10s} {'forward + backward':>27s}")
    arrays = make_inputs(case)
    for group in (in_numpy, in_torch):
        ours = None
        try:
            for name, *functions in progress(group(backend, arrays), 2, lambda way: way[0]):
                times = [min(measure(f, 0.3)) for f in functions]
                ours = ours or times
                pairs = zip(times, ours, strict=True)
                columns = (f"{ms:10.2f} {ms / base:8,.1f}x" for ms, base in pairs)
                say(f"  {name:24s} {' '.join(columns)}")
        except ImportError as reason:
            print(f"  plain torch loop: not timed, {reason}")


def check_backend(backend):
    """Numbers and speed; False if a number is wrong or an exception came."""
    try:
        good = check_numbers(backend)
        if backend not in ON_GPU:
            check_speed(backend)
    except Exception as reason:
        print(f"\n{backend} failed: {type(reason).__name__}: {reason}")
        return False
    return good


def check():
    """Print everything; the exit code: 1 if a backend is wrong or none is usable."""
    warning = busy()
    show(machine())
    print("\nBackends")
    show(backends())
    print("\nThe first run on a machine compiles the kernels: about ten seconds, once.", flush=True)
    usable = [info.name for info in selscan.list_backends() if info.usable]
    wrong = [name for name in usable if not check_backend(name)]
    if warning:
        print(f"\n{warning}")
    if usable and not wrong:
        print("\nAll is well.")
        return 0
    print(f"\nNOT WELL: {', '.join(wrong) or 'no backend is usable'}. Please report this output.")
    return 1
