"""`selscan.patch()` in the processes that `python -m selscan run` and its children start.

The folder of this file is on their PYTHONPATH. Python imports the first sitecustomize that it
finds; another one behind it is run from here.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

HERE = Path(__file__).parent

other = PathFinder.find_spec("sitecustomize", [x for x in sys.path if Path(x) != HERE])
if other is not None:
    other.loader.exec_module(module_from_spec(other))

# This one only counts shared memory, and would not need torch.
if not any("resource_tracker" in x for x in sys.orig_argv):
    root = str(HERE.parents[2])
    if root not in sys.path:  # run from a clone that is not installed
        sys.path.append(root)
    from selscan.compat import patch

    patch()
