"""Results: what a kernel writes itself, and what it leaves in parts that are summed afterwards."""

from typing import Any, NamedTuple

from ..arrays.layouts import Layout, Output


class Sink(NamedTuple):
    """A result, and what the kernel writes in its place where that is something else."""

    name: str  # of the operand that the kernel writes
    output: Output
    parts: Output | None = None  # summed over the leading axis


class Sinks(NamedTuple):
    """The results of a call, and the plan of their sums; None where the framework adds up."""

    all: tuple  # of Sink
    sums: Any = None

    def allocate(self, framework):
        """The results."""
        return [framework.allocate(sink.output) for sink in self.all]

    def written(self, framework, results):
        """Addresses by name of what a kernel writes, and (parts, result) of what is summed."""
        addresses, pairs = {}, []
        for sink, result in zip(self.all, results, strict=True):
            array = result
            if sink.parts is not None:
                array = framework.allocate(sink.parts)
                pairs.append((array, result))
            addresses[sink.name] = framework.address(array)
        return addresses, pairs

    def sum_up(self, backend, framework, pairs):
        """result = the sum over the first axis of parts, for all (parts, result)."""
        if self.sums is None:
            for parts, result in pairs:
                framework.sum_parts(parts, result)
        else:
            address = framework.address
            addresses = [(address(parts), address(result)) for parts, result in pairs]
            backend.launch(self.sums, addresses, framework.runs_on())


def results(operands, outputs):
    """Sinks of results that the kernel writes itself: (name, Output, Axes).

    They become operands.
    """
    for name, output, axes in outputs:
        operands[name] = output.layout, axes
    return Sinks(tuple(Sink(name, output) for name, output, _ in outputs))


def gradients(request, problem, operands, outputs):
    """Sinks of gradients, `outputs` by the name of the input; they become operands.

    In parts are those of B and C, which tasks that share a group sum up alone, and of what has no
    batch axis. A part has the dtype of the arithmetic, so that a sum is rounded once.
    """
    slices, rows = request.backend.backward_parts(problem)
    sinks = []
    for name, output in outputs.items():
        axes = problem.axes[name]
        parts = rows if axes.b is None else slices if name in ("B", "C") else 1
        sinks.append(_gradient(request.framework, problem, operands, name, output, axes, parts))
    pairs = [(x.parts.layout, x.output.layout) for x in sinks if x.parts is not None]
    sums = request.backend.sum_plan(problem, pairs) if pairs else None
    return Sinks(tuple(sinks), sums)


def _gradient(framework, problem, operands, name, output, axes, parts):
    layout, name = output.layout, f"d{name}"
    if parts == 1:
        operands[name] = layout, axes
        return Sink(name, output)
    dtype = problem.state_dtype if layout.dtype.startswith("complex") else problem.real
    part = framework.output((parts, *layout.shape), dtype)
    if axes.b is None:
        operands[name] = part.layout, axes.stacked()
    else:  # the kernel adds the offset of its slice
        operands[name] = Layout(layout.shape, part.layout.steps[1:], dtype), axes
    return Sink(name, output, part)


def part_steps(sinks):
    """Name -> bytes between two parts, of those that are written in parts."""
    return {x.name: x.parts.layout.steps[0] for x in sinks.all if x.parts is not None}
