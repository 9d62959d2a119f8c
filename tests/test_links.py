"""Every relative link of a page, a card or a notebook leads to a file, and to a heading of it."""

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *ROOT.glob("*.md"),
    *(path for folder in ("data", "docs", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.md")),
    *ROOT.glob("notebooks/[0-9]*.py"),  # a notebook's text
]
PAGES = sorted(path for path in PAGES if "_build" not in path.parts)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def text_of(path: Path) -> str:
    """The Markdown of a page, without code, where brackets are no links."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    return CODE.sub("", text)


def anchors(path: Path) -> set[str]:
    """What GitHub, and MyST, call the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text_of(path), flags=re.MULTILINE)
    plain = (unicodedata.normalize("NFC", title).lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    for link in LINK.findall(text_of(page)):
        name, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = page.parent / name if name else page
        assert target.exists(), f"{page.relative_to(ROOT)}: {link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.relative_to(ROOT)}: no heading {link}"


def test_every_notebook_and_card_is_linked_from_readme():
    linked = {ROOT / link for link in LINK.findall(text_of(ROOT / "README.md"))}
    cards = {ROOT / name / "README.md" for name in ("data/landmarks", "delfjax/models/zoo")}
    assert {*ROOT.glob("notebooks/*.ipynb"), *cards, ROOT / "CHANGELOG.md"} <= linked
