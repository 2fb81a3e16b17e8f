"""Formulas for the site: as MathML, which needs no script and no font from elsewhere; and the plain
formulas of docstrings as TeX.
"""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# Words in formulas of docstrings that are read as words.
WORDS = (
    "or and at with where is that there no such over sum of padding pixel times along rows "
    "backward then columns both ways in norms between complex"
)
PROSE = re.compile(rf"\b(?:{'|'.join(WORDS.split())})\b(?!\w*\()")
TOKEN = re.compile(
    r"(?P<prose>@[^@]*@)|(?P<name>[A-Za-z]\w*'?)(?P<open>\[)?|(?P<text>\s{3,})|(?P<other>.)", re.S
)
TAG = re.compile(r"\\tag\{([^}]*)\}")
# Commands that docutils lacks; brackets grow by themselves in MathML.
UNKNOWN = {r"\Big": "", r"\mathrel": "", r"\dots": r"\ldots "}
GREEK = {"delta": r"\Delta", "delta'": r"\Delta'"}
OTHERS = {"]": "}", "*": r"\,", "_": r"\_", "#": r"\#"}


def tex_of(line):
    """A formula such as h[t] = exp(delta'[t] A) h[t-1] in TeX; subscripts do not nest."""
    words = re.sub(rf"{PROSE.pattern}(?:\s+{PROSE.pattern})*", lambda m: f"@{m[0]}@", line.strip())
    words = words.replace(" . ", r" \cdot ").replace(r"\cdot", "\0")
    out = []
    for token in TOKEN.finditer(words):
        if token["prose"]:
            out.append(rf"\text{{ {token['prose'][1:-1]} }}")
        elif token["name"]:
            name, primed = token["name"].rstrip("'"), "'" * token["name"].endswith("'")
            if name not in GREEK and len(name) > 1:
                name = rf"\mathrm{{{name.replace('_', ' ')}}}".replace(" ", r"\_")
            out.append(GREEK.get(name, name) + primed)
            if token["open"]:
                out.append("_{")
        elif token["text"]:
            out.append(r"\qquad ")
        elif token["other"] == "\0":
            out.append(r"\cdot ")
        else:
            out.append(OTHERS.get(token["other"], token["other"]))
    return "".join(out)


def set_formulas(app, what, name, obj, options, lines):
    """Indented lines in front of the sections of a docstring become formulas."""
    end = next((i - 1 for i, x in enumerate(lines) if i and x and set(x) == {"-"}), len(lines))
    head = []
    for line in lines[:end]:
        if line.startswith("    "):
            for formula in re.split(r",\s{3,}", line.strip()):
                head += [".. math::", "", f"   {tex_of(formula)}", ""]
        else:
            head.append(line)
    lines[:end] = head


def mathml(formula, **options):
    commands = rf"({'|'.join(map(re.escape, UNKNOWN))})(?![A-Za-z])"
    return tex2mathml(re.sub(commands, lambda match: UNKNOWN[match[0]], formula), **options)


def visit_inline(self, node):
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(self, node):
    for formula in re.split(r"\n\s*\n", node.astext().strip()):
        number = "".join(f"<span>({x})</span>" for x in TAG.findall(formula))
        text = mathml(TAG.sub("", formula), as_block=True)
        self.body.append(f'<div class="formula">{text}{number}</div>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("autodoc-process-docstring", set_formulas, priority=400)  # napoleon's is 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
