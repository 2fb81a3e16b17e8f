"""Sphinx settings. Build with `python -m sphinx -W -b html docs docs/_build`."""

import selscan

project = "selscan"
author = "The selscan authors"
project_copyright = "2026, The selscan authors"
version = release = selscan.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = False
# "Returns" and "Raises" hold shapes and prose, not types to link.
napoleon_use_rtype = False
autodoc_typehints = "none"

html_theme = "furo"
html_title = f"selscan {release}"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
