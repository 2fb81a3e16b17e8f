"""selscan.patch: third-party names lead to selscan, until that is undone."""

import importlib
import importlib.util
import sys
import threading

from ..messages import describe
from . import aliases, rebinding

_LOCK = threading.RLock()
_FINDER = aliases.Finder()
_ON = []  # the patches that were not undone
_LEAVE = []  # what is called when the last of them is


class Patch:
    """What `patch` did; a context manager that undoes it.

    Attributes
    ----------
    names : dict
        For each name what it leads to, in words.
    """

    def __init__(self):
        self.names = {}
        self.taken = set()  # names that lead to selscan by this patch, or by another as well
        self.saved, self.bound = {}, []  # real modules, and names in modules, to be restored

    def _take(self, name, override):
        """Let a name lead to selscan, if it may; what became of it."""
        if name in _FINDER.names:
            self.taken.add(name)
            return "selscan"
        where, error = importable(name)
        if where is not None and error is None and not override:
            return f"left alone: {where}"
        self.taken.add(name)
        _FINDER.names |= {name}
        replaced = aliases.loaded({name})
        for x in replaced:
            del sys.modules[x]
        self.saved |= replaced
        if where is None:
            return "selscan"
        if error is not None:
            return f"selscan, since {where} cannot be imported: {error}"
        return f"selscan, instead of {where}"

    def _bind(self):
        """Let modules that were imported before know of it."""
        real = {k: v for k, v in self.saved.items() if v and aliases.home(k)}
        if real:
            found = {name: importlib.import_module(name) for name in real}
            self.bound += rebinding.rebind(rebinding.counterparts(real, found))
        self.bound += rebinding.rebind(rebinding.wrappers(self.taken, ours=True))
        # mamba_ssm without its extension holds None in its place.
        interface = sys.modules.get("mamba_ssm.ops.selective_scan_interface")
        kernel = "selective_scan_cuda"
        if kernel in self.taken and vars(interface or self).get(kernel, self) is None:
            setattr(interface, kernel, importlib.import_module(kernel))
            self.bound.append((interface, kernel, None, getattr(interface, kernel)))

    def undo(self):
        """Lead all names to where they led before; nothing happens the second time.

        Where two patches are on, the last one to be undone does it.
        """
        with _LOCK:
            if self not in _ON:
                return
            _ON.remove(self)
            heirs = [p for p in _ON if p.taken & self.taken]
            if heirs:  # they undo it
                heirs[0].saved = self.saved | heirs[0].saved
                heirs[0].bound = self.bound + heirs[0].bound
                heirs[0].taken |= self.taken
            else:
                self._restore()
            if not _ON:
                sys.meta_path.remove(_FINDER)
                _LEAVE.pop()()

    def _restore(self):
        gone = aliases.loaded(self.taken)
        _FINDER.names -= self.taken
        for name in gone:
            del sys.modules[name]
        sys.modules.update(self.saved)
        rebinding.restore(self.bound)
        # Modules that were imported meanwhile.
        found = {name: self.saved[name] for name in gone if self.saved.get(name)}
        if found:
            rebinding.rebind(rebinding.counterparts(gone, found))
        rebinding.rebind(rebinding.wrappers(self.taken, ours=False))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.undo()

    def __repr__(self):
        return "\n".join(f"{name:28s} {text}" for name, text in self.names.items())


def patch(targets="auto", override=False):
    """Let third-party Mamba code run on selscan: `mamba_ssm`, `causal_conv1d` and their kin.

    A name that cannot be imported leads to a module of `selscan.compat` from now on, and modeling
    files of transformers that were imported before are bound anew. Real packages that work stay;
    if only their compiled extensions are missing, only these are supplied. While a patch is on,
    ``torch.cuda.device`` of a CPU device does nothing.

    Parameters
    ----------
    targets : "auto", str or sequence of str
        Top-level names; "auto" are all. `Patch.names` lists them.
    override : bool
        Whether real packages that work are replaced as well.

    Returns
    -------
    Patch
        ``undo()`` restores everything; as a context manager it does so at the end. ``names`` says
        what became of each name.

    Raises
    ------
    ValueError, TypeError
        A name that is not supplied, or an argument of another kind.

    Notes
    -----
    It may be called many times, in any thread, before and after the imports that it is for. Code
    that was imported meanwhile and holds functions of selscan, with nothing to hold in their place,
    keeps them when the patch is undone.

    Examples
    --------
    >>> import selscan
    >>> with selscan.patch(["selective_scan_cuda"]) as found:
    ...     import selective_scan_cuda
    >>> found
    selective_scan_cuda          selscan
    """
    names = checked(targets)
    if override is not True and override is not False:
        raise TypeError(f"patch: override must be True or False; got {describe(override)}.")
    from . import cpu_device  # here: it imports torch, which all aliases need

    with _LOCK:
        if not _ON:
            sys.meta_path.insert(0, _FINDER)
            _LEAVE.append(cpu_device.allow())
        new = Patch()
        _ON.append(new)
        try:
            for name in names:
                new.names[name] = new._take(name, override)
            new._bind()
        except BaseException:  # nothing is left half done
            new.undo()
            raise
        return new


def checked(targets):
    """The names in the order of the table."""
    known = ", ".join(aliases.TABLE)
    chosen = [targets] if isinstance(targets, str) else targets
    if not isinstance(chosen, list | tuple | set | frozenset):
        expected = "'auto', a name or a list of names"
        raise TypeError(f"patch: targets must be {expected}; got {describe(targets)}.")
    if chosen == ["auto"]:
        return list(aliases.TABLE)
    for name in chosen:
        if name not in aliases.TABLE:
            raise ValueError(f"patch: targets must be among {known}; got {describe(name)}.")
    return [name for name in aliases.TABLE if name in chosen]


def whereabouts(name):
    """Where Python would find a top-level name without selscan; None if nowhere."""
    module = sys.modules.get(name)
    if module is not None and not aliases.is_alias(module):
        return getattr(module, "__file__", None) or "this process"
    for finder in sys.meta_path:
        if finder is not _FINDER and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, None)
            if spec is not None and spec.loader is not None and spec.origin is not None:
                return spec.origin  # a folder without __init__.py has none
    return None


def importable(name):
    """(where it is, the error of its import), each None if there is none."""
    where = whereabouts(name)
    if where is None or sys.modules.get(name) is not None:
        return where, None
    before = set(sys.modules)
    try:
        importlib.import_module(name)
    except Exception as error:  # of any kind: the package is other people's, and broken
        for x in aliases.loaded({name}).keys() - before:
            del sys.modules[x]
        return where, f"{type(error).__name__}: {error}".splitlines()[0]
    return where, None


def resolutions():
    """What each name leads to now, as (name, text); nothing is imported."""
    for name in aliases.TABLE:
        where = whereabouts(name)
        if name in _FINDER.names:
            yield name, "selscan"
        else:
            yield name, where or "not found; selscan's with selscan.patch()"
