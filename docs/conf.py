"""Sphinx settings. Build with `python -m sphinx -W -b html docs docs/_build`."""

import importlib.util
import sys
from pathlib import Path

from sphinx.ext.autodoc.mock import MockFinder, _MockObject

import selscan

sys.path.insert(0, str(Path(__file__).parent))  # mathematics.py, notebook.py
if importlib.util.find_spec("torch") is None:
    # The extra docs is enough for the site: what torch would bring is made up.
    sys.meta_path.insert(0, MockFinder(["torch"]))
    importlib.import_module("torch").Tensor = _MockObject  # what all that is made up is one of
    _MockObject.__or__ = lambda self, other: self  # in annotations

project = "selscan"
author = "The selscan authors"
project_copyright = "2026, The selscan authors"
version = release = selscan.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "mathematics",
    "notebook",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
html_math_renderer = "mathml"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = False
# "Returns" and "Raises" hold shapes and prose, not types to link.
napoleon_use_rtype = False
autodoc_typehints = "none"

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["selscan.css"]
html_js_files = ["sortable.js"]
html_title = f"selscan {release}"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
