"""Show the source of the library in a notebook, beside the formula that it computes."""

import inspect
import re
import textwrap
from collections.abc import Callable

from IPython.display import Markdown


def show(function: Callable) -> Markdown:
    """Return the source of a function without its docstring and decorators, as a block of code."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    source = re.sub(r'\n\s*"""(?s:.*?)"""\n', "\n", source, count=1)
    return Markdown(f"```python\n{source.rstrip()}\n```")
