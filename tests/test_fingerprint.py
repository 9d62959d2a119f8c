"""The fingerprint of the code: it changes with what the code does, and with nothing else."""

import ast
import shutil
import textwrap

import pytest

from delfjax.fingerprint import ROOT, code_sha256, structure

WRITTEN = '''\
"""What it does."""

LIMIT = 3
"""How many."""


def first(values: list) -> list:
    """Return the first."""
    return values[:LIMIT]


class Empty:
    """Nothing."""
'''


def package(folder, **modules):
    root = folder / "pack"
    for name, code in modules.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
    return root


def fingerprint(root, start="start"):
    return code_sha256.__wrapped__(start, root, frozenset({"aside"}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""What it does."""', '"""Something else."""'),
        ('    """Return the first."""\n', ""),
        ('"""How many."""\n', "# a comment\n"),
        ("values[:LIMIT]", "(  values[ : LIMIT ]  )  # the first"),
        ("def first(values: list)", "def first(\n    values: list,\n)"),
    ],
)
def test_words_and_layout_do_not_count(old, new):
    assert structure(ast.parse(WRITTEN.replace(old, new))) == structure(ast.parse(WRITTEN))


def test_modules_imported_by_their_name_count(tmp_path):
    start = 'KINDS = {"other": ("pack.other", "Other")}'
    one = fingerprint(package(tmp_path / "one", start=start, other="OTHER = 1"))
    assert one != fingerprint(package(tmp_path / "two", start=start, other="OTHER = 2"))


@pytest.mark.parametrize(
    ("old", "new"),
    [("LIMIT = 3", "LIMIT = 4"), ("[:LIMIT]", "[LIMIT:]"), ("values: list", "found: list")],
)
def test_code_counts(old, new):
    assert structure(ast.parse(WRITTEN.replace(old, new))) != structure(ast.parse(WRITTEN))


def test_strings_that_are_values_count():
    assert structure(ast.parse("x = 'one'")) != structure(ast.parse("x = 'two'"))


def test_what_is_imported_counts_and_what_is_not_does_not(tmp_path):
    modules = {
        "start": "from pack import one\nfrom pack.sub import inner\nimport math",
        "one": "def late():\n    from pack.two import x",
        "two": "x = 1",
        "sub____init__": "",
        "sub__inner": "from pack.aside import y\nz = 1",
        "aside": "y = 1",
        "other": "w = 1",
    }
    root = package(tmp_path, **modules)
    before = fingerprint(root)
    for name in ("aside", "other"):
        package(tmp_path, **{name: "changed = 1"})
        assert fingerprint(root) == before, name
    for name in ("start", "one", "two", "sub__inner"):
        package(tmp_path, **{name: modules[name] + "\nchanged = 1"})
        assert fingerprint(root) != before, name
        package(tmp_path, **{name: modules[name]})
    assert fingerprint(root) == before


def test_the_librarys_own_is_kept_of_what_search_does_and_not_of_what_is_drawn(tmp_path):
    copied = tmp_path / "delfjax"
    shutil.copytree(ROOT, copied, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_sha256.__wrapped__(root=copied)
    assert before == code_sha256()
    for name, same in {"plots": True, "cli": True, "train": True, "search": False}.items():
        with (copied / f"{name}.py").open("a") as file:
            file.write("\nchanged = 1\n")
        assert (code_sha256.__wrapped__(root=copied) == before) == same, name
