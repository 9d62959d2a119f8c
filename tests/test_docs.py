"""The site has every notebook, and every module on one page of the reference; `make docs` builds it."""

import re
import runpy
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
CONF = runpy.run_path(str(ROOT / "docs" / "conf.py"))
ENTRY = re.compile(r"^\.\. automodule:: (\S+)$", re.MULTILINE)


def modules() -> set[str]:
    """Every module but the package itself and ``__main__``."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "delfjax").rglob("*.py"))
    names = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    return names - {"delfjax", "delfjax.__main__"}


def toctree(text: str) -> list[str]:
    """The entries of a page's tables of contents."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(":")]


def test_every_module_is_on_one_page_of_the_reference():
    counts = Counter(
        name for page in REFERENCE.glob("*.md") for name in ENTRY.findall(page.read_text())
    )
    missing, gone = modules() - set(counts), set(counts) - modules()
    assert not missing, f"docs/reference: add these to the page of their group: {sorted(missing)}"
    assert not gone, f"docs/reference: these are no modules: {sorted(gone)}"
    assert set(counts.values()) == {1}


def test_every_page_of_the_reference_is_in_its_contents():
    pages = {path.stem for path in REFERENCE.glob("*.md")} - {"index"}
    entries = toctree((REFERENCE / "index.md").read_text())
    assert sorted(entries) == sorted(pages)


def test_the_contents_name_every_notebook_and_files_that_exist():
    entries = toctree(CONF["CONTENTS"])
    for path in ROOT.glob("notebooks/*.ipynb"):
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        assert any(fnmatch(name, entry) for entry in entries), name
    for entry in entries:
        assert "*" in entry or (ROOT / f"{entry}.md").is_file(), entry


def test_no_notebook_is_executed():
    assert CONF["nb_execution_mode"] == "off"


def test_the_workflow_runs_make_docs():
    text = (ROOT / ".github" / "workflows" / "docs.yml").read_text(encoding="utf-8")
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make docs"]


def test_type_variables_are_known_to_be_no_classes():
    """Sphinx looks for a page of theirs, there is none, and each is a warning, which is an error."""
    found = {
        f"delfjax.{'.'.join(path.relative_to(ROOT / 'delfjax').with_suffix('').parts)}.{name}"
        for path in (ROOT / "delfjax").rglob("*.py")
        for name in re.findall(r"^(\w+) = TypeVar\(", path.read_text(), flags=re.MULTILINE)
    }
    assert found
    assert [each for each in sorted(found) if not re.fullmatch(CONF["TYPE_VARIABLES"], each)] == []
