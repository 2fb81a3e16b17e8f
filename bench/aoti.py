"""Modules as packages of AOTInductor, loaded and run in a process without their code.

    python -m bench.aoti [module ...] [--size 224]

needs a C++ compiler. A module is a layer of a language model, `prefill` or `step`, or a model by
name. Packages take any batch, `prefill` any length, and `step` writes to its states.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.child import call, progress
from bench.onnx_models import MODELS
from bench.rows import environment, markdown, short

HEADER = ("module", "package, MB", "compiled in s of CPU", "differs by", "of numbers up to")


def main(argv=None):
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=("prefill", "step", *MODELS))
    parser.add_argument("--size", type=int, default=224, help="of the images; default 224")
    options = parser.parse_args(argv)
    print(environment(), f"{options.size} x {options.size} pixels", flush=True)
    lines = []
    for name in options.modules:
        progress(f"aoti: {name}")
        with tempfile.TemporaryDirectory() as folder:
            request = {"module": name, "size": options.size, "folder": folder}
            found = call(packed, request) | call(loaded, request)
        lines.append([f"`{name}`", *map(short, (found["MB"], found["s"]))])
        lines[-1] += [f"{found['difference']:.1e}", short(found["largest"])]
        print(*lines[-1], flush=True)
    progress("")
    print(markdown(HEADER, lines))


def module_of(request):
    """The module, inputs as the example, their dynamic axes, and others of another batch."""
    import torch

    from selscan import models, nn

    torch.manual_seed(0)
    name, batch = request["module"], torch.export.Dim("batch")
    if name in ("prefill", "step"):
        mixer, length = nn.Mamba(16, d_state=4), torch.export.Dim("length")
        if name == "prefill":
            axes = ({0: batch, 1: length},)
            return mixer, [torch.randn(2, 9, 16)], axes, [torch.randn(3, 40, 16)]
        given = [[torch.randn(b, 1, 16), *mixer.allocate_inference_cache(b)] for b in (2, 3)]
        return step_of(mixer), given[0], ({0: batch}, ({0: batch}, {0: batch})), given[1]
    given = [[torch.randn(b, 3, request["size"], request["size"])] for b in (2, 3)]
    return models.create(name, img_size=request["size"]), given[0], ({0: batch},), given[1]


def step_of(mixer):
    """A step as a module; it returns the states that it writes to, too."""
    import torch

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mixer = mixer

        def forward(self, x, *states):
            return self.mixer.step(x, *states)

    return Step()


def packed(request):
    """The package is written, and beside it what torch gives for other inputs."""
    import torch

    module, example, axes, others = module_of(request)
    module, folder = module.eval(), Path(request["folder"])
    package, start = folder / "module.pt2", sum(os.times()[:4])  # with children: the compiler
    with torch.no_grad():
        program = torch.export.export(module, tuple(example), dynamic_shapes=axes)
        torch._inductor.aoti_compile_and_package(program, package_path=str(package))
        taken = sum(os.times()[:4]) - start
        given = [x.clone() for x in others]
        torch.save((given, module(*others)), folder / "wanted.pt")
    return {"MB": package.stat().st_size / 1e6, "s": taken}


def loaded(request):
    """The package is run where selscan.torch is imported and no model."""
    import torch

    import selscan.torch  # noqa: F401

    folder = Path(request["folder"])
    given, want = torch.load(folder / "wanted.pt")
    want = [want] if isinstance(want, torch.Tensor) else want
    module = torch._inductor.aoti_load_package(str(folder / "module.pt2"))
    with torch.no_grad():
        found = module(*given)
    found = [found] if isinstance(found, torch.Tensor) else found
    assert not [x for x in sys.modules if x.startswith(("selscan.nn", "selscan.models"))]
    return {
        "difference": max((x - y).abs().max().item() for x, y in zip(found, want, strict=True)),
        "largest": max(x.abs().max().item() for x in want),
    }


if __name__ == "__main__":
    from bench import aoti  # children look functions up in their module

    aoti.main()
