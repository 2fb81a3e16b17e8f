"""asv: what a fresh process pays: the import, and the first call with a warm cache on disk."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PATH = f"import sys; sys.path.append({str(ROOT)!r})"
FIRST = """
import selscan
y = selscan.scan(u, delta, A, u[:, :4], u[:, :4])
"""
INPUTS = f"""
{PATH}
import numpy as np
u = delta = np.ones((1, 32, 16), np.float32)
A = -np.ones((32, 4), np.float32)
"""


class Import:
    """Each number from fresh processes."""

    number = 1
    timeout = 120

    def setup_cache(self):
        """Fill the disk cache; nothing to fill at a commit without scan."""
        import contextlib
        import subprocess
        import sys

        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run([sys.executable, "-c", INPUTS + FIRST], check=True)

    def timeraw_import_numpy(self):
        """To compare with."""
        return "import numpy", ""

    def timeraw_import_selscan(self):
        """After numpy."""
        return "import selscan", f"{PATH}; import numpy"

    def timeraw_first_call(self):
        """Imports selscan and numba, loads the kernel from disk and runs it."""
        return FIRST, INPUTS
