"""Run the notebooks beside this file and keep what they print: python docs/notebooks/run.py"""

import ast
import contextlib
import io
import json
from pathlib import Path

FOLDER = Path(__file__).parent


def run(cells, name):
    """Lists of outputs, as a notebook has them, of each code cell; all share one namespace."""
    namespace = {"__name__": "__main__"}
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    return [
        outputs_of("".join(cell["source"]), f"{name}, code cell {i}", namespace)
        for i, cell in enumerate(code, 1)
    ]


def outputs_of(source, name, namespace):
    """What one cell prints, and the value of the expression that it ends with."""
    tree, printed, value = ast.parse(source, name), io.StringIO(), None
    ends = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), namespace)
        for end in ends:
            value = eval(compile(ast.Expression(end.value), name, "eval"), namespace)
    outputs = []
    if text := printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": lines(text)})
    if value is not None:
        data = {"text/plain": lines(repr(value))}
        if hasattr(value, "_repr_svg_"):
            data["image/svg+xml"] = lines(value._repr_svg_())
        result = {"output_type": "execute_result", "metadata": {}, "execution_count": None}
        outputs.append(result | {"data": data})
    return outputs


def lines(text):
    """As a notebook keeps text."""
    return text.splitlines(keepends=True)


def main():
    """Write each notebook with the outputs of this run."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for cell, outputs in zip(code, run(notebook["cells"], path.name), strict=True):
            cell["outputs"] = outputs
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path.name)


if __name__ == "__main__":
    main()
