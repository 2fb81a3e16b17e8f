"""The tiny models on a batch of images, by selscan and with the same scans as loops in torch."""

from bench.bench_models import NAMES
from bench.rows import Row, markdown, quantiles, short

PATIENCE = 60
BATCH = 64
MODES = ("forward", "training")
WAYS = ("selscan", "loop_step")
SECONDS = 0.5  # of each cell


def names(options):
    """The models."""
    return list(NAMES)


def run(name, options):
    """Images a second and peak memory, in float32."""
    from bench.gpu import timing
    from bench.models import runner

    for mode in MODES:
        for way in WAYS:
            call = runner(name, way, mode, BATCH, "cuda")
            clock = timing.Clock([call])
            clock.round(SECONDS)
            speed = quantiles([1e6 * BATCH / x for x in clock.times])
            yield Row(name, way, mode, "speed", **speed, unit="images/s", threads=0)
            memory = quantiles([timing.peak(call)])
            yield Row(name, way, mode, "memory", **memory, unit="MB", threads=0)
            del call, clock
            timing.release()


def tables(rows, rates):
    """Models down, modes and ways across."""
    for metric, title in (("speed", "Images a second"), ("memory", "Peak memory of a call, MB")):
        found = {(r.case, r.mode, r.peer): r.p50 for r in rows if r.metric == metric and r.p50}
        cells = [(mode, way) for mode in MODES for way in WAYS]
        lines = [
            [name, *(short(found.get((name, *cell))) for cell in cells)]
            for name in dict.fromkeys(case for case, _, _ in found)
        ]
        if lines:
            header = ["", *(f"{mode}, {way}" for mode, way in cells)]
            yield f"{title}, batch of {BATCH}, float32\n\n{markdown(header, lines)}"
