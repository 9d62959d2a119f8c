"""The site: the README as front page, the notebooks with their saved outputs, the reference from docstrings.

The sources are the whole repository, so that relative links work on the site and on GitHub. ``make docs``
builds the site without a network and never runs a notebook.
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
:caption: Documentation

docs/api
docs/official-weights
docs/differences
docs/verification
docs/speed
docs/questions
docs/robustness
ARCHITECTURE
CONTRIBUTING
CHANGELOG
```

```{toctree}
:hidden:
:caption: Data and models

data/landmarks/README
delfjax/models/zoo/README
data/results/runs/README
```

```{toctree}
:hidden:
:caption: All modules

docs/reference/delfjax
```
"""
include_patterns = [
    "*.md",
    "data/*/README.md",
    "data/results/runs/README.md",
    "delfjax/models/zoo/README.md",
    "docs/*.md",
    "docs/reference/*.rst",
    "notebooks/*.ipynb",
]
exclude_patterns = [".*", "docs/_build", "docs/reference/modules.rst", "**/.ipynb_checkpoints"]

# --- extensions

extensions = [
    "myst_nb",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # as GitHub has them
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # a picture replaces every widget, so that pages load nothing from the network

highlight_language = "none"  # for code blocks without a language: shell and text
default_role = "py:obj"  # `name` in a docstring is a link if the name exists
nitpicky = True
# Type variables and aliases of one module have no page of their own.
UNDOCUMENTED = r"delfjax\.[\w.]+\.(Item|Result|Config|Module|Value|Part|Wanted|Read)"
nitpick_ignore_regex = [
    ("py:.*", r"(?!delfjax\.).*"),  # names of other libraries: resolving them needs a network
    ("py:.*", UNDOCUMENTED),
]
# One page for each package, from the docstrings of its modules.
apidoc_modules = [{"path": "../delfjax", "destination": "docs/reference", "max_depth": 2}]
# ignore-module-all: a package that re-exports a name does not document it a second time.
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "ignore-module-all": True,
}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
# Types are in the signature, so attributes are a plain list, and "Returns" does not begin with a type.
napoleon_custom_sections = [("Attributes", "params_style"), "Returns", "Yields"]

# --- theme

html_theme = "sphinx_book_theme"
html_title = "delfjax: DELF in JAX"
html_theme_options = {"navbar_persistent": [], "use_download_button": False}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the table of contents to the front page. GitHub would show it as code in the README."""
    if docname == root_doc:
        source[0] += CONTENTS


def add_index(app: Sphinx, error: Exception | None) -> None:
    """Copy the front page to ``index.html``, where a web server looks for it."""
    if error is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def skip_members(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool:
    """Leave out what another library documents: fields of named tuples, and methods of Matplotlib."""
    foreign = (getattr(member, "__module__", None) or "").startswith("matplotlib")
    alias = (getattr(member, "__doc__", None) or "").startswith("Alias for field number")
    return skip or foreign or alias


def name_factories(
    app: Sphinx, what: str, name: str, obj: object, options: object, *both: str
) -> tuple:
    """Show the default of a field with a default factory as ``...``; ``<factory>`` is not valid Python."""
    return tuple(part and part.replace("<factory>", "...") for part in both)


def join_colons(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Restore the text before a colon in the docstring of a property, which napoleon takes for a type."""
    for kind in [line for line in lines if line.startswith(":type: ")]:
        lines.remove(kind)
        lines[0] = f"{kind.removeprefix(':type: ')}: {lines[0]}"


def setup(app: Sphinx) -> None:
    """Connect the functions above to Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_index)
    app.connect("autodoc-skip-member", skip_members)
    app.connect("autodoc-process-signature", name_factories)
    app.connect("autodoc-process-docstring", join_colons, priority=600)  # napoleon's is 500
