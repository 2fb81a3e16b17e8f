"""The source of a kernel as one text.

Quoted includes are pasted in, each once, with #line: errors and profiles name the true file and
line. The compiler then searches no folder for them, and a hash of the text covers all of them.
"""

import re
from importlib import resources

SOURCES = resources.files(__package__).joinpath("csrc")
# CUDA's headers that kernels may include; compiler.py has their hash in the key of the cache.
HEADERS = ("cuda_bf16.h", "cuda_fp16.h")

_NAME = re.compile(r"\w+\.cuh?", re.ASCII)
_DIRECTIVE = re.compile(r"\s*#\s*(?P<word>\w+)\s*(?P<rest>.*)")
_INCLUDE = re.compile(r'"(?P<quoted>[^"]*)"|<(?P<angle>[^>]*)>')
_NESTING = {"if": 1, "ifdef": 1, "ifndef": 1, "endif": -1}


def paste(name, folder=SOURCES):
    """The text of a file of `folder` and of all that it includes.

    A directive must stand outside comments, and a quoted include outside #if: a text that is
    pasted once cannot be there for one branch only.
    """
    lines = []
    _paste(name, folder, lines, set(), ())
    return "\n".join(lines) + "\n"


def _paste(name, folder, lines, pasted, parents):
    pasted.add(name)
    lines.append(f'#line 1 "{name}"')
    depth = 0
    for number, line in enumerate(_read(folder, name).splitlines(), 1):
        place = f"{name}:{number}"
        word, rest = _directive(line)
        depth += _NESTING.get(word, 0)
        included = _included(rest, depth, place) if word == "include" else None
        if included is None:
            # A pasted file comes once in any case, and compilers warn of the pragma in a main file.
            lines.append("" if (word, rest) == ("pragma", "once") else line)
            continue
        if included in (*parents, name):
            circle = " -> ".join((*parents, name, included))
            raise RuntimeError(f"{place}: includes go in a circle: {circle}.")
        if not _exists(folder, included):
            raise RuntimeError(f'{place}: there is no file "{included}" beside it.')
        if included not in pasted:
            _paste(included, folder, lines, pasted, (*parents, name))
        lines.append(f'#line {number + 1} "{name}"')


def _directive(line):
    """The word of a directive and what follows; of other lines nothing."""
    match = _DIRECTIVE.match(line)
    return (match["word"], match["rest"].strip()) if match else ("", "")


def _included(rest, depth, place):
    """The file that a quoted include names; None for a header of CUDA."""
    match = _INCLUDE.match(rest)
    if match is None:
        raise RuntimeError(f'{place}: include must be "file" or <file>; got {rest!r:.80}.')
    if match["angle"] in HEADERS:
        return None
    if match["angle"] is not None:
        raise RuntimeError(f"{place}: <...> must be one of {', '.join(HEADERS)}; got {rest!r:.80}.")
    if depth:
        raise RuntimeError(f"{place}: include must stand outside #if; got {rest!r:.80}.")
    return match["quoted"]


def _read(folder, name):
    if not _exists(folder, name):
        raise RuntimeError(f"{name!r:.80} is not a source of kernels.")
    return folder.joinpath(name).read_text(encoding="utf-8")


def _exists(folder, name):
    # The pattern leaves no way out of the folder.
    return _NAME.fullmatch(name) is not None and folder.joinpath(name).is_file()
