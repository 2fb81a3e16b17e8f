"""Notebooks for the site: their cells and kept outputs as Markdown. None of them is run."""

import base64
import json

from myst_parser.parsers.sphinx_ import MystParser


def markdown(notebook):
    """The text of a page."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        parts += map(shown, cell["outputs"])
    return "\n\n".join(parts) + "\n"


def shown(output):
    """A picture where there is one, else text."""
    if output["output_type"] == "stream":
        return f"```text\n{''.join(output['text'])}\n```"
    data = output["data"]
    if "image/svg+xml" in data:
        picture = base64.b64encode("".join(data["image/svg+xml"]).encode()).decode()
        text = "".join(data["text/plain"]).strip("<>")
        image = f'<img class="notebook" alt="{text}" src="data:image/svg+xml;base64,{picture}">'
        return f"```{{raw}} html\n{image}\n```"
    return f"```text\n{''.join(data['text/plain'])}\n```"


class NotebookParser(MystParser):
    """Of Markdown that is made of a notebook first."""

    supported = ("ipynb",)

    def parse(self, inputstring, document):
        super().parse(markdown(json.loads(inputstring)), document)


def setup(app):
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
