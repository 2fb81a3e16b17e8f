"""Stages of vision models along their paths: scan2d, and gather, scan and scatter, in bfloat16.

The latter also with torch's copies, and then with other people's kernels for the scan, where those
are installed (kernels.py). All give the same y within the rounding of bfloat16, which is checked
before anything is timed. The limit is that of the fused scan: u read once, y written once, and for
each step of a route delta and one exponential for each state and one for softplus; the backward
does it again.
"""

import functools

from bench.gpu import kernels, limits, shapes_maps
from bench.gpu.outcomes import ABSENT, FAILED, NotAvailable
from bench.rows import Row, markdown, nothing, quantiles, short
from selscan import paths

PATIENCE = 60
MODES = {"forward": "Forward", "full": "Forward and backward"}
SECONDS, ROUNDS = 0.05, 3


def names(options):
    """Stages and modes."""
    return [f"{name}, {mode}" for mode in MODES for name in shapes_maps.SHAPES]


def run(name, options):
    """Times of each way."""
    import torch

    from bench.gpu import timing

    case, mode = name.rsplit(", ", 1)
    shape = shapes_maps.SHAPES[case]
    timing.release()
    inputs, path = make(shape), shapes_maps.path_of(shape)
    ways = dict(WAYS)
    for way, scan in OTHERS.items():
        try:
            ways[way] = functools.partial(copied, scan=scan(options))
        except NotAvailable as error:
            note = f"{ABSENT}{error}"
            yield Row(case, way, mode, "time", **nothing(), unit="us", threads=0, note=note)
    calls = {way: caller(function, inputs, path, mode) for way, function in ways.items()}
    right = fused(inputs, path).detach().float()
    clocks = {}
    for way, call in calls.items():
        error = (ways[way](inputs, path).detach().float() - right).abs().max() / right.abs().max()
        if not error <= 0.03:  # a few roundings to bfloat16 more
            note = f"{FAILED}y differs by {float(error):.2g} of its largest number"
            yield Row(case, way, mode, "time", **nothing(), unit="us", threads=0, note=note)
            continue
        clocks[way] = timing.Clock([call])
    del right
    for _ in range(ROUNDS):
        for clock in clocks.values():
            clock.round(SECONDS)
    for way, clock in clocks.items():
        yield Row(case, way, mode, "time", **quantiles(clock.times), unit="us", threads=0)
        memory = quantiles([timing.peak(calls[way])])
        yield Row(case, way, mode, "memory", **memory, unit="MB", threads=0)
    torch.compiler.reset()


def make(shape, seed=0):
    """u, delta, A, B, C, D and delta_bias, leaves of autograd."""
    import torch

    from bench.gpu import inputs

    path = shapes_maps.path_of(shape)
    b, d, n, side, k = shape.batch, shape.dim, shape.d_state, shape.side, path.routes
    generator = torch.Generator(inputs.DEVICE).manual_seed(seed)

    def normal(*size, dtype=inputs.SINGLE):
        made = torch.randn(size, generator=generator, device=inputs.DEVICE, dtype=dtype)
        return made.requires_grad_()

    rates = -(0.5 + normal(k, d, n).detach().abs())
    return {
        "u": normal(b, d, side, side, dtype=inputs.HALF),
        "delta": normal(b, k, d, side, side, dtype=inputs.HALF),
        "A": rates.requires_grad_(),
        "B": normal(b, k, n, side, side, dtype=inputs.HALF),
        "C": normal(b, k, n, side, side, dtype=inputs.HALF),
        "D": normal(k, d),
        "delta_bias": normal(k, d),
    }


def fused(inputs, path):
    """selscan.scan2d."""
    import selscan

    return selscan.scan2d(**inputs, path=path, delta_softplus=True)


def moved(inputs, path, gather, scan, scatter):
    """The same in sequences."""
    u, delta, B, C = (gather(inputs[x], path) for x in ("u", "delta", "B", "C"))
    b, k, d, l = u.shape
    y = scan(
        u.reshape(b, k * d, l),
        delta.reshape(b, k * d, l),
        inputs["A"].flatten(0, 1),
        B,
        C,
        inputs["D"].flatten(),
        inputs["delta_bias"].flatten(),
    )
    return scatter(y.reshape(b, k, d, l), path).to(inputs["u"].dtype)


def own_scan(u, delta, A, B, C, D, delta_bias):
    """selscan.scan."""
    import selscan

    return selscan.scan(u, delta, A, B, C, D, delta_bias=delta_bias, delta_softplus=True)


def in_sequences(inputs, path):
    """selscan.gather, scan and scatter."""
    import selscan

    return moved(inputs, path, selscan.gather, own_scan, selscan.scatter)


def copied(inputs, path, scan=own_scan):
    """The same with torch's functions for the moves."""
    is_cross = path == paths.cross(path.height, path.width)
    gather, scatter = (crossed, uncrossed) if is_cross else (indexed, index_added)
    return moved(inputs, path, gather, scan, scatter)


def crossed(x, path):
    """gather of the cross path, by transposing and turning maps around."""
    import torch

    if x.dim() == 4:
        x = x[:, None].expand(-1, 4, -1, -1, -1)
    h, v, h_flip, v_flip = x.unbind(1)
    return torch.stack(
        [
            h.flatten(2),
            v.mT.flatten(2),
            h_flip.flatten(2).flip(-1),
            v_flip.mT.flatten(2).flip(-1),
        ],
        1,
    )


def uncrossed(y, path):
    """scatter of the cross path."""
    rows, columns = (y[:, i] + y[:, i + 2].flip(-1) for i in (0, 1))
    size = path.height, path.width
    return rows.unflatten(-1, size) + columns.unflatten(-1, size[::-1]).mT


@functools.lru_cache(4)
def indices(path, device):
    """Pixels by step and steps by pixel, on a device."""
    import torch

    return [torch.tensor(x, device=device, dtype=torch.int64) for x in (path.table, path.inverse)]


def picked(x, places):
    """x (b, k, d, p) at places (k, l), zeros where they are less than zero."""
    index = places.clamp(min=0)[None, :, None].expand(len(x), -1, x.shape[2], -1)
    return x.gather(3, index) * (places >= 0)[None, :, None].to(x.dtype)


def indexed(x, path):
    """gather, by an index for each step."""
    table, _ = indices(path, x.device)
    if x.dim() == 4:
        x = x[:, None].expand(-1, len(table), -1, -1, -1)
    return picked(x.flatten(3), table)


def index_added(y, path):
    """scatter, by an index for each pixel."""
    _, places = indices(path, y.device)
    return picked(y, places).sum(1).unflatten(-1, (path.height, path.width))


WAYS = {"scan2d": fused, "gather, scan, scatter": in_sequences, "torch's copies": copied}


OTHERS = {"copies, oflex": kernels.oflex, "copies, mamba_ssm": kernels.mamba_ssm}


def caller(function, inputs, path, mode):
    """A call of a way that is timed."""
    import torch

    if mode == "forward":
        return torch.no_grad()(lambda: function(inputs, path))
    wanted = list(inputs.values())
    dy = torch.ones_like(inputs["u"])
    return lambda: torch.autograd.grad(function(inputs, path), wanted, dy)


def work(shape, mode):
    """The least that has to be moved and computed."""
    steps, pixels = shapes_maps.steps(shape)
    forward = limits.Work(limits.HALF * (steps + 2 * pixels), steps * (shape.d_state + 1))
    if mode == "forward":
        return forward
    again = limits.Work(limits.HALF * (2 * steps + 3 * pixels), forward.exponentials)
    return forward + again


def tables(rows, rates):
    """A table for each mode."""
    ways = [way for way in (*WAYS, *OTHERS) if way != "scan2d"]
    for mode, title in MODES.items():
        found = {(r.case, r.peer): r.p50 for r in rows if (r.mode, r.metric) == (mode, "time")}
        lines = []
        for case in dict.fromkeys(case for case, _ in found):
            own = found.get((case, "scan2d"))
            limit = limits.limit(work(shapes_maps.SHAPES[case], mode), rates)
            reached = f"{100 * limit.us / own:.0f} %" if own and limit else "-"
            others = [found.get((case, way)) for way in ways]
            cells = [f"{short(x)} ({short(x / own)}x)" if x and own else "-" for x in others]
            lines.append([case, short(own), reached, *cells])
        if lines:
            header = ["", "scan2d", "of the limit", *ways]
            yield f"{title}: us, medians, bfloat16\n\n{markdown(header, lines)}"
    for row in rows:
        if row.note:
            yield f"- {row.case}, {row.peer}: {row.note}"
