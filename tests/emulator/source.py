"""From the source of kernels to a C++ file for the host's compiler, with the same line numbers."""

import re
from pathlib import Path

_QUIET = re.compile(
    r"""\d[\w.]*(?:'\w+)+   # 1'000'000 is no character
      | //[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE,
)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)
_LINE = re.compile(r'^[ \t]*#[ \t]*line[ \t]+(\d+)[ \t]+"([^"\n]*)"', re.MULTILINE)
_ALIGNMENT = re.compile(r"\b(?:__align__|alignas)\s*(?=\()")
_VARIABLE = re.compile(
    r"(?P<type>[^\[\]=(){}]+?)\s*\b(?P<name>[A-Za-z_]\w*)\s*(?P<size>(?:\[[^\[\]]*\]\s*)*)"
)


def translate(code, file, names, folders=()):
    """A C++ file with the kernels of a source, and with what calls those of these names."""
    code = paste(code, file, [Path(folder) for folder in folders], set())
    code = _edit(code, [*_shared_variables(code), *_launch_bounds(code)])
    calls = "".join(f"EMULATOR_KERNEL({i}, {name})\n" for i, name in enumerate(names))
    return f'#include "emulator/kernel.h"\n{code}\n#line 1 "names of kernels"\n{calls}'


def paste(code, file, folders, pasted):
    """The source with every quoted include replaced by that file, once, and with #line."""
    pasted.add(file)
    quiet = _quiet(code)

    def replacement(match):
        if "#" not in quiet[match.start() : match.end()]:
            return match[0]  # it stands in a comment
        if match[1] in pasted:
            return ""
        path = next((f / match[1] for f in folders if (f / match[1]).is_file()), None)
        if path is None:
            where = ", ".join(map(str, folders)) or "no folders"
            line = _line(code, match.end())
            raise ValueError(f"{file}:{line}: there is no {match[1]!r} in {where}.")
        included = paste(path.read_text(encoding="utf-8"), match[1], folders, pasted)
        return f'{included}\n#line {_line(code, match.end()) + 1} "{file}"'

    return f'#line 1 "{file}"\n{_INCLUDE.sub(replacement, code)}'


def _shared_variables(code):
    """Declarations with __shared__ become references to the block's memory (kernel.h)."""
    quiet = _DIRECTIVE.sub(_blank, _quiet(code))
    for match in re.finditer(r"\b__shared__\b", quiet):
        before = max(quiet.rfind(mark, 0, match.start()) for mark in ";{}") + 1
        start = re.compile(r"\s*").match(quiet, before).end()
        end = quiet.find(";", match.end())
        yield start, end, _variable(quiet[start:end], code, start, end)


def _variable(declaration, code, start, end):
    words, alignment = declaration, "1"
    while match := _ALIGNMENT.search(words):
        close = _closing(words, match.end())
        alignment = words[match.end() + 1 : close]
        words = words[: match.start()] + words[close + 1 :]
    kinds = set(re.findall(r"\b(?:extern|static|__shared__)\b", words))
    words = re.sub(r"\b(?:extern|static|__shared__)\b", "", words)
    match = _VARIABLE.fullmatch(" ".join(words.split()))
    several = "," in re.sub(r"<.*>", "", words)
    if not match or several or "#" in code[start:end]:
        raise ValueError(
            f"{_place(code, start)}: a __shared__ declaration must be of one variable, [extern] "
            f"__shared__ [__align__(n)] type name[size]; got {' '.join(declaration.split())}."
        )
    kind, name, size = match["type"], match["name"], match["size"].strip()
    if "extern" in kinds:
        text = (
            f"{kind}* const {name} = ({{ ::emulator::dynamic_variable<{kind}>"
            f"({alignment}, EMULATOR_HERE); }})"
        )
    else:
        text = (
            f"auto& {name} = *({{ static char key; &::emulator::static_variable<{kind}{size}>"
            f"(&key, {alignment}, EMULATOR_HERE); }})"
        )
    return text + "\n" * declaration.count("\n")


def _launch_bounds(code):
    """__launch_bounds__ becomes a check at the start of the kernel."""
    quiet = _DIRECTIVE.sub(_blank, _quiet(code))
    for match in re.finditer(r"\b__launch_bounds__\s*(?=\()", quiet):
        close = _closing(quiet, match.end())
        bounds = " ".join(quiet[match.end() + 1 : close].split())
        parameters = quiet.index("(", close)
        body = re.compile(r"\s*").match(quiet, _closing(quiet, parameters) + 1).end()
        yield match.start(), close + 1, _blank(code[match.start() : close + 1])
        if quiet[body] == "{":
            check = f" ::emulator::check_launch_bounds(EMULATOR_HERE, {bounds});"
            yield body + 1, body + 1, check


def _closing(text, start):
    """The position of the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    raise ValueError("a bracket is not closed")


def _edit(code, edits):
    for start, end, text in sorted(edits, reverse=True):
        code = code[:start] + text + code[end:]
    return code


def _quiet(code):
    """The code with spaces for comments and literals, everything at its place."""
    return _QUIET.sub(lambda match: match[0] if match[0][0].isdigit() else _blank(match), code)


def _blank(text):
    text = text if isinstance(text, str) else text[0]
    return re.sub(r"[^\n]", " ", text)


def _line(code, position):
    return code.count("\n", 0, position) + 1


def _place(code, position):
    """file:line of a position in a pasted source."""
    *_, directive = _LINE.finditer(code, 0, position)
    line = int(directive[1]) + code.count("\n", directive.end(), position) - 1
    return f"{directive[2]}:{line}"
