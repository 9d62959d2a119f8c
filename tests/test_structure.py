"""The library has the structure that ARCHITECTURE.md describes, and its import is light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import delfjax

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "delfjax"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PACKAGES = re.findall(r"^\| `(\w+)/?` \|", ARCHITECTURE, flags=re.MULTILINE)
MAX_MODULES = 15
MODULES = sorted(LIBRARY.rglob("*.py"))


def imported_packages(path):
    """Return the top-level modules and packages of delfjax that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "delfjax":
            parts = node.module.split(".")
            found |= {parts[1]} if parts[1:] else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in names if parts[0] == "delfjax" and parts[1:]}
    return found - {"__version__"}


def test_the_table_lists_every_package():
    entries = {path.stem for path in LIBRARY.iterdir() if not path.name.startswith("_")}
    assert entries - {"py"} == set(PACKAGES)  # py.typed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_nothing_imports_a_package_below_it_in_the_table(path):
    package = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    if package.startswith("__"):  # the public face and the entry point
        return
    allowed = PACKAGES[: PACKAGES.index(package) + 1]
    assert imported_packages(path) <= {*allowed}


def test_packages_are_small():
    sizes = {name: len(list((LIBRARY / name).glob("*.py"))) - 1 for name in PACKAGES}
    assert {name: size for name, size in sizes.items() if size > MAX_MODULES} == {}


def test_the_files_named_by_the_document_exist():
    named = re.findall(r"`(\w+/\w+\.py)`", ARCHITECTURE)
    assert named
    assert [
        name for name in named if not any((base / name).is_file() for base in (LIBRARY, ROOT))
    ] == []
    for name, file in re.findall(r"`(\w+)(?:\.\w+)?` in `(\w+/\w+\.py)`", ARCHITECTURE):
        assert re.search(rf"\b{name}\b", (LIBRARY / file).read_text()), f"{name} in {file}"


def test_importing_delfjax_is_light():
    code = "import sys, delfjax.datasets; delfjax.plots; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "matplotlib", "IPython", "requests"} & {*done.stdout.split()}


def test_the_version_needs_no_jax():
    command = [sys.executable, "-X", "importtime", "-m", "delfjax", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"delfjax {delfjax.__version__}"
    assert not re.search(r"\| +(jax|matplotlib|numpy)$", done.stderr, flags=re.MULTILINE)


@pytest.mark.parametrize("name", delfjax.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(delfjax, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = delfjax.nonsense
