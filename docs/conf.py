"""The site: README as the front page, the notebooks as they were committed, the reference from docstrings.

Its source folder is the repository, so that every relative link is the same on the site and in the tree;
this folder is only its configuration. ``make docs`` builds it, without a network, and never runs a notebook.
"""

import shutil
from pathlib import Path

from sphinx.application import Sphinx

import delfjax

project = "delfjax"
author = "the delfjax authors"
copyright = f"{author}; Apache-2.0"
release = version = delfjax.__version__

# --- pages

root_doc = "README"
CONTENTS = """
```{toctree}
:hidden:
:caption: Notebooks
:glob:

notebooks/*
```

```{toctree}
:hidden:
:caption: Reference

docs/reference/index
```

```{toctree}
:hidden:
:caption: What comes with it

data/landmarks/README
delfjax/models/zoo/README
data/results/runs/README
CHANGELOG
```
"""
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "data/*/README.md",
    "delfjax/models/zoo/README.md",
    "data/results/runs/README.md",
    "docs/reference/*.md",
    "notebooks/*.ipynb",
]
exclude_patterns = [".*", "docs/_build", "**/.ipynb_checkpoints"]

# --- what reads them

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # as GitHub has them
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # a picture stands in for every widget: nothing is fetched to show one

highlight_language = "none"  # of code that names no language: shell, text
default_role = "py:obj"  # `name` in a docstring is a link, where there is such a name
nitpicky = True
TYPE_VARIABLES = r"delfjax\.(background\.(Wanted|Read)|models\.checkpoints\.Module|cluster\.(Part|Result))"
nitpick_ignore_regex = [
    ("py:.*", r"(?!delfjax\.).*"),  # other libraries' names: no network to ask about them
    ("py:class", TYPE_VARIABLES),
]
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
# Types stand in the signature: attributes are one list, and the first words of "Returns" are no type.
napoleon_custom_sections = [("Attributes", "params_style"), "Returns", "Yields"]

# --- what they look like

html_theme = "sphinx_book_theme"
html_title = "delfjax: DELF in JAX"
html_theme_options = {"navbar_persistent": [], "use_download_button": False}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the front page the table of contents, which GitHub would show as code."""
    if docname == root_doc:
        source[0] += CONTENTS


def add_index(app: Sphinx, error: Exception | None) -> None:
    """Serve the front page as ``index.html``, too, where a web server looks for it."""
    if error is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def skip_fields(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool:
    """Leave out "Alias for field number 0" and its like: a record's docstring says more of its fields."""
    return skip or (getattr(member, "__doc__", None) or "").startswith("Alias for field number")


def name_factories(
    app: Sphinx, what: str, name: str, obj: object, options: object, *both: str
) -> tuple:
    """Write a field's default that is made anew each time as ``...``: ``<factory>`` is no Python to parse."""
    return tuple(part and part.replace("<factory>", "...") for part in both)


def join_colons(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Undo that napoleon takes what stands before a colon in a property's docstring for its type."""
    for kind in [line for line in lines if line.startswith(":type: ")]:
        lines.remove(kind)
        lines[0] = f"{kind.removeprefix(':type: ')}: {lines[0]}"


def setup(app: Sphinx) -> None:
    """Connect them."""
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_index)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-signature", name_factories)
    app.connect("autodoc-process-docstring", join_colons, priority=600)  # napoleon's is 500
