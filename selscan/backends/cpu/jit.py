"""How functions are compiled.

Numba compiles each function that a kernel calls, optimizes it with all that it calls itself, makes
machine code of it, and then does the same with its caller. Of a kernel only the outermost function
needs that: the others are linked into their callers as they are, which saves a third of the time.
"""

from llvmlite.binding import ffi
from numba import njit
from numba._dynfunc import make_function
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import NativeLowering

from ..forks import hold
from .cache import KernelCache, name_of

hold(global_compiler_lock, ffi.lib._lock)


class _HelperLibrary(JITCodeLibrary):
    """A helper in LLVM: optimized and made machine code of in the kernel that it is linked into."""

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _HelperLowering(NativeLowering):
    """Numba's, without machine code."""

    _name = "selscan_helper_lowering"

    def run_pass(self, state):
        name = state.func_id.func_qualname
        state.library = _HelperLibrary(state.targetctx.codegen(), name)
        state.library.enable_object_caching()
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        # Callers find a function by its machine code; this is the name of what has none.
        module = lowered.fndesc.lookup_module()
        key = make_function(module, name, "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(key, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=key)
        return True


class _HelperCompiler(CompilerBase):
    """Numba's, with that lowering."""

    def define_pipelines(self):
        passes = PassManager("selscan_helper")
        for step, description in DefaultPassBuilder.define_nopython_pipeline(self.state).passes:
            passes.add_pass(_HelperLowering if step is NativeLowering else step, description)
        passes.finalize()
        return [passes]


_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
_HELPER = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": _HelperCompiler,
    **_OPTIONS,
}
INLINE = {"forceinline": True, **_HELPER}

# A function of a kernel, compiled with the kernel that calls it.
helper = njit(**_HELPER)
# The same, always inlined: arguments and results stay in vector registers.
inline = njit(**INLINE)


def kernel(function):
    """An entry point: compiled without the GIL, kept on disk where that is possible."""
    function.__qualname__ = name_of(function)
    compiled = njit(**_OPTIONS)(function)
    compiled._cache = KernelCache(function.__qualname__)
    return compiled


def address_of(entry):
    """The address of a compiled entry point, in C's calling convention."""
    [compiled] = entry.overloads.values()
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
