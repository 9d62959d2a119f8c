"""The HTML report of ranked results: order, judgement of results, and escaping."""

import os
import re

import pytest
from delfjax.evaluation.html_report import write_html_report
from evaluations import evaluation_of, ranked
from worlds import classes

from delfjax.datasets.labeled_folder import labeled
from delfjax.evaluation import html_report

NAMES = ["a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png"]
# The first query ranks the photos of its class first, the others rank theirs last.
RANKINGS = [[0, 1, 2, 3, 4, 5]] + [[3, 4, 5, 0, 1, 2]] * 2 + [[0, 1, 2, 3, 4, 5]] * 3


@pytest.fixture
def root(tmp_path):
    return classes(tmp_path / "photos", count=2).root


def report(root, path):
    """Write a report of the rankings above; return the evaluation and the text."""
    results = [ranked(images, range(6, 0, -1)) for images in RANKINGS]
    evaluation = evaluation_of(labeled(root), *results)
    write_html_report(evaluation, path)
    return evaluation, path.read_text(encoding="utf-8")


def test_the_report_is_one_self_contained_file(root, tmp_path, monkeypatch):
    monkeypatch.setattr(html_report, "MAX_RESULTS", 3)
    path = tmp_path / "new" / "report.html"
    evaluation, page = report(root, path)
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s>)]+)""", page)
    assert len(sources) == 6 * (1 + 3)
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "://" not in page
    assert f"photos: mAP {100 * evaluation.mean_average_precision:.1f}</h1>" in page
    assert os.listdir(path.parent) == ["report.html"]


def test_the_worst_queries_come_first(root, tmp_path):
    _, page = report(root, tmp_path / "report.html")
    titles = re.findall(r"<h2>([^ ]+) &middot; AP ([\d.]+)</h2>", page)
    assert sorted(name for name, _ in titles) == NAMES
    precisions = [float(precision) for _, precision in titles]
    assert precisions == sorted(precisions)
    assert titles[-1] == ("a/0.png", "100.0")


def test_results_are_marked_and_junk_is_left_out(root, tmp_path):
    _, page = report(root, tmp_path / "report.html")
    *_, best = page.split("<section>")
    assert re.findall(r"<figure class=(\w+)>", best) == ["query", *["correct"] * 2, *["wrong"] * 3]
    captions = re.findall(r"<figcaption>([^<]+)", best)
    assert captions == ["query", "5 / 6", "4 / 5", "3 / 4", "2 / 3", "1 / 2"]


@pytest.mark.skipif(os.name != "posix", reason="file names of other systems are text")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"<b>&'q'", "&lt;b&gt;&amp;&#x27;q&#x27;"),
        (b"new\nline\x07", r"new\nline\x07"),
        (b"caf\xe9", r"caf\udce9"),
        ("éß 日本".encode(), "éß 日本"),
    ],
)
def test_names_are_escaped(root, tmp_path, name, shown):
    (root / "a").rename(root / os.fsdecode(name))
    _, page = report(root, tmp_path / "report.html")
    assert f"<h2>{shown}/0.png &middot;" in page
