"""The site: a landing page, the notebooks with their saved outputs, documentation, and the reference.

The sources are the whole repository, so that relative links work on the site and on GitHub. ``make docs``
builds the site without a network and never runs a notebook. The pages load nothing from other hosts.
"""

import json
import os
import re
from itertools import pairwise
from pathlib import Path

from sphinx.application import Sphinx

import delfjax

project = "delfjax"
author = "the delfjax authors"
copyright = f"{author}; Apache-2.0"
release = version = delfjax.__version__

# --- pages

root_doc = "docs/index"
CONTENTS = """
```{toctree}
:hidden:
:caption: Course
:glob:

/notebooks/*
/docs/explorer
/docs/teachers
```

```{toctree}
:hidden:
:caption: Use

Command line and Python </README>
/docs/api
/docs/questions
/docs/official-weights
/docs/speed
/docs/robustness
```

```{toctree}
:hidden:
:caption: Results

/docs/paper
/docs/differences
/docs/verification
/data/landmarks/README
/data/landmarks_large/README
/data/render/README
/data/photos/README
/delfjax/models/zoo/README
/data/results/runs/README
```

```{toctree}
:hidden:
:caption: Development

/ARCHITECTURE
/CONTRIBUTING
/CHANGELOG
/docs/reference/delfjax
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
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3  # as GitHub has them
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # a picture replaces every widget, so that pages load nothing from the network
nb_code_prompt_show = "Show the solution"  # only solutions of exercises are hidden
nb_code_prompt_hide = "Hide the solution"
mathjax_path = "mathjax/tex-svg.js"

highlight_language = "none"  # for code blocks without a language: shell and text
default_role = "py:obj"  # `name` in a docstring is a link if the name exists
nitpicky = True
# Type variables and aliases of one module have no page of their own.
UNDOCUMENTED = r"delfjax\.[\w.]+\.(Item|Result|Config|Module|Value)"
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

CAPTION = re.compile(r"\*([^*]+)\*(?:\n|$)")  # a paragraph in italics that begins a cell

# --- theme

# GitHub Actions set GITHUB_REPOSITORY, such as "owner/delfjax". Without it, the pages have no buttons to the repository.
REPOSITORY = os.environ.get("GITHUB_REPOSITORY")

html_theme = "sphinx_book_theme"
html_title = "delfjax: DELF in JAX"
html_theme_options = {
    "home_page_in_toc": True,
    "launch_buttons": {}
    if not REPOSITORY
    else {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
        "notebook_interface": "jupyterlab",
    },
    "navbar_persistent": [],
    "repository_branch": "main",
    "repository_url": f"https://github.com/{REPOSITORY}" if REPOSITORY else "",
    "use_download_button": True,
    "use_issues_button": bool(REPOSITORY),
    "use_repository_button": bool(REPOSITORY),
    "use_source_button": bool(REPOSITORY),
}
html_static_path = ["site.css", "_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def edit_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the table of contents to the landing page, and edit the notebooks.

    The solutions of exercises are collapsed. The caption below a figure is also its alternative text.
    """
    if docname == root_doc:
        source[0] += CONTENTS  # GitHub would show it as code
    if docname.startswith("notebooks/"):
        notebook = json.loads(source[0])
        for cell, after in pairwise([*notebook["cells"], {"cell_type": "markdown", "source": ""}]):
            metadata = cell["metadata"]
            if "solution" in metadata.get("tags", []):
                metadata["tags"] = [*metadata["tags"], "hide-input"]
            caption = CAPTION.match("".join(after["source"]))
            if cell["cell_type"] == "code" and after["cell_type"] == "markdown" and caption:
                metadata["mystnb"] = {"image": {"alt": " ".join(caption[1].split())}}
        source[0] = json.dumps(notebook)


def add_index(app: Sphinx, error: Exception | None) -> None:
    """Write ``index.html``, where a web server looks for the landing page."""
    if error is None and app.builder.name == "html":
        page = f"{root_doc}.html"
        refresh = f'<meta http-equiv="refresh" content="0; url={page}">'
        html = f'<!doctype html><title>delfjax</title>{refresh}<a href="{page}">delfjax</a>\n'
        Path(app.outdir, "index.html").write_text(html, encoding="utf-8")


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
    app.connect("source-read", edit_source)
    app.connect("build-finished", add_index)
    app.connect("autodoc-skip-member", skip_members)
    app.connect("autodoc-process-signature", name_factories)
    app.connect("autodoc-process-docstring", join_colons, priority=600)  # napoleon's is 500
