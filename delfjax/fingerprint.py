"""The code that a result depends on, as one SHA-256: by it a result knows that it is out of date. Not in the paper.

It is taken over syntax trees, so that comments, docstrings and layout do not count; and over the modules alone
that `delfjax benchmark` imports, from one to the next, so that an edit of a plot does not count either.
"""

import ast
import functools
import hashlib
from pathlib import Path

ROOT = Path(__file__).parent
START = "evaluation_command"
# What these do changes no figure. Training does, but by the model's file, which a result names as well.
ASIDE = frozenset({"train", "pages", "answers", "results", "fingerprint"})


@functools.cache
def code_sha256(start: str = START, root: Path = ROOT, aside: frozenset[str] = ASIDE) -> str:
    """Return the SHA-256 of a module and of all that it imports of its package.

    Args:
        start: The module, relative to the package, such as ``"datasets.oxford"``.
        root: The package's folder.
        aside: Modules that do not count, nor what only they import.
    """
    trees: dict[str, ast.Module] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module not in trees | dict.fromkeys(aside):
            trees[module] = ast.parse(_file(root, module).read_text(encoding="utf-8"))
            waiting += _imports(trees[module], root)
    code = repr([(module, structure(tree)) for module, tree in sorted(trees.items())])
    return hashlib.sha256(code.encode()).hexdigest()


def structure(node: object) -> object:
    """Return a syntax tree as nested lists, without positions, docstrings and empty fields.

    `ast.dump` would do, but what it says of empty fields differs from one Python to the next.
    """
    if isinstance(node, list):
        return [structure(each) for each in node if not _is_text(each)]
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, *((name, structure(value)) for name, value in fields)]
    return repr(node)


def _is_text(node: object) -> bool:
    """Tell whether a statement is a string and nothing else: a docstring, wherever it stands."""
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant and isinstance(node.value.value, str)


def _imports(tree: ast.Module, root: Path) -> list[str]:
    """List the package's modules that a module imports, in functions too."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, module = node.module.partition(".")
            if package == root.name:
                inner = (f"{module}.{each.name}".lstrip(".") for each in node.names)
                found += [module, *inner]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            package, _, module = node.value.partition(".")  # imported by its name: `index.KINDS`
            found += [module] * (package == root.name and module.isidentifier())
    return [module for module in found if module and _file(root, module).is_file()]


def _file(root: Path, module: str) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
