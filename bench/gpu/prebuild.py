"""Machine code for a GPU machine, compiled beforehand on any machine, to be carried along.

    python -m bench.gpu.prebuild DIR                  # for compute capability 9.0
    python -m bench.gpu.prebuild DIR --target sm_100

On the GPU machine XDG_CACHE_HOME=DIR finds it, if NVRTC and CUDA's headers are of the same release
there and the sources are the same; what does not fit is compiled anew. DIR must be writable by its
owner only.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from selscan.backends.cupy import compiler, instances, nvrtc, paste, store


def prebuild(folder, target, wanted=instances.INSTANCES):
    """Compile what is not there yet; how many kernels there are then."""
    found, kept = compiler.find_nvrtc(), store.Store(lambda: Path(folder) / "selscan")

    def one(kernel):
        file, names = kernel[0], (kernel[1],)
        text = paste.paste(file)
        key = nvrtc.key_of(found.identity, text, names, target)
        if kept.get(key, names) is None:
            kept.put(key, found.compile(text, file, names, target))

    kernels = [(file, name) for file, names in wanted.items() for name in names]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, _ in enumerate(pool.map(one, kernels), 1):
            print(f"\r{number} of {len(kernels)}, by {found}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return len(kernels)


def main(argv=None):
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu.prebuild",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--target", default="sm_90", help="default %(default)s")
    options = parser.parse_args(argv)
    Path(options.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    prebuild(options.folder, options.target)


if __name__ == "__main__":
    main()
