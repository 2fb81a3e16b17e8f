"""The GPU, through CuPy, which is imported here only, at the first call.

Everything else in this folder works without a driver; tests put an object with these functions in
the place of this module.
"""

from ...errors import BackendUnavailable
from .toolkit import install


def import_cupy():
    """CuPy, or BackendUnavailable; a foreign import can raise anything."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        raise BackendUnavailable(
            f"selscan: the cupy backend needs CuPy ({error}): {install()}."
        ) from error
    except Exception as error:
        hint = install()
        if isinstance(error, OSError):  # CuPy makes the directory of its cache when imported
            hint = "set CUPY_CACHE_DIR to a directory that you can write"
        raise BackendUnavailable(
            f"selscan: CuPy is installed, but importing it failed ({_summary(error)}): {hint}."
        ) from error
    return cupy


def driver():
    """The CUDA release that the driver is of, such as 13; checks that there is a device."""
    cupy = import_cupy()
    release = cupy.cuda.runtime.driverGetVersion() // 1000
    if release < 12:
        found = f"one of CUDA {release} was found" if release else "none was found"
        raise BackendUnavailable(
            f"selscan: the cupy backend needs an NVIDIA driver of CUDA 12 or newer; {found}. Once "
            f"nvidia-smi lists the GPU: {install()}."
        )
    try:
        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        built_for = cupy.cuda.runtime.runtimeGetVersion() // 1000
        hint = f": CuPy is for CUDA {built_for}, the driver of CUDA {release}: {install(release)}"
        raise BackendUnavailable(
            f"selscan: CuPy finds no GPU ({_summary(error)}){hint if built_for > release else ''}."
        ) from error
    return release


def capability(device):
    """The compute capability of a device (a number), such as 90."""
    return int(import_cupy().cuda.Device(device).compute_capability)


def load(image, name, device):
    """A function of some machine code or PTX on a device: f(grid, block, args, shared_mem=0).

    It keeps its module loaded, and may use all the shared memory that a block can have there.
    """
    cupy = import_cupy()
    api = cupy.cuda.driver
    with cupy.cuda.Device(device) as current:
        module = cupy.cuda.Module()
        module.load(image)
        function = module.get_function(name)
        static = api.funcGetAttribute(api.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function.ptr)
        most = current.attributes["MaxSharedMemoryPerBlockOptin"] - static
        dynamic = api.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        api.funcSetAttribute(function.ptr, dynamic, most)
    return function


def _summary(error):
    """Type and message on one line; of a pair, the cause: CuPy wraps it into general advice."""
    error = error.__cause__ or error
    return f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
