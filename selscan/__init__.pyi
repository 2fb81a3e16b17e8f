# Types of the public names; tests/test_types.py compares them with the code.
from contextlib import AbstractContextManager as _Block

from . import compat as compat
from . import distributed as distributed
from . import models as models
from . import nn as nn
from . import onnx as onnx
from . import paths as paths
from .api import ScanGrads as ScanGrads
from .api import scan as scan
from .api import scan_backward as scan_backward
from .api import scan_step as scan_step
from .api_paths import gather as gather
from .api_paths import scan2d as scan2d
from .api_paths import scan3d as scan3d
from .api_paths import scatter as scatter
from .backends import BackendInfo as BackendInfo
from .compat import patch as patch
from .errors import BackendUnavailable as BackendUnavailable
from .types import BackendName as _BackendName

__version__: str

def list_backends() -> list[BackendInfo]: ...
def use(name: _BackendName) -> _Block[None]: ...
