"""Tests of the pages of evaluations and searches: content, escaping, and the view in a browser."""

import os
import re

import pytest
from browser import open_page
from evaluations import evaluation_of, ranked
from places import place, view
from worlds import classes, draw

from delfjax.datasets.labeled_folder import labeled
from delfjax.features.database import Database
from delfjax.images.reading import PhotoError
from delfjax.plots import pages
from delfjax.plots.pages import SearchPage
from delfjax.plots.retrieval import RELEVANCE_MARKS, VERDICT_MARKS
from delfjax.search.searcher import SearchConfig, Searcher

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
    pages.write_evaluation_page(evaluation, path)
    return evaluation, path.read_text(encoding="utf-8")


def test_the_report_is_one_self_contained_file(root, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "MAX_RESULTS", 3)
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
    captions = re.findall(r"<figcaption>([^<]+)", best)
    assert captions == ["query", "✓ 5 / 6", "✓ 4 / 5", "✗ 3 / 4", "✗ 2 / 3", "✗ 1 / 2"]
    colors = re.findall(r"<figure style=\"border-color:([^\"]+)", best)
    blue, orange = (RELEVANCE_MARKS[kind][1] for kind in ("correct", "wrong"))
    assert colors == [blue] * 2 + [orange] * 3


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


# --- the page of a search

RTL = "\u0635\u0648\u0631\u0629"  # an Arabic word
NASTY = (
    "<img src=x onerror=alert(1)>.jpg",
    '"\' onload=alert(1) x="&amp;.jpg',
    f"{RTL} \U0001f468\u200d\U0001f469.jpg",
    "new\nline\x1b[31m\u202e.jpg",
    "</title></style><script>alert(1)</script>",
)
COUNT = 8


def page_of(query="query.jpg", names=None, *, load=None, verified=100, **changes):
    """Make the page of a search among views of places 0 to 3; those of odd numbers are scattered."""
    photos = [view(place(n // 2), n, geometry=n % 2 == 0) for n in range(COUNT)]
    names = [*(names or ()), *(f"photo_{n}.jpg" for n in range(COUNT))][:COUNT]
    config = SearchConfig(neighbors=12, verified=verified)
    searcher = Searcher(Database.from_features(names, photos), config=config)
    result = searcher(place(1))
    return SearchPage(
        query=query,
        photo=draw(0, (480, 640)),
        features=place(1),
        folder=changes.pop("folder", "PHOTOS"),
        database=searcher.database,
        result=result,
        images=changes.pop("images", result.ranking.images.tolist()),
        load=load or (lambda name: draw(len(name), (480, 640))),
        notes=changes.pop("notes", {}),
        command=changes.pop("command", "delfjax search PHOTOS query.jpg"),
    )


def written(page, path, top=10):
    page.write(path, top)
    return path.read_text(encoding="utf-8")


def cards(text):
    """Return the HTML of each result."""
    return re.findall(r"<li style=.*?</li>", text)


def test_results_have_verdicts_matching_details_and_names(tmp_path):
    page = page_of()
    text = written(page, tmp_path / "page.html")
    found, verdicts = cards(text), page.result.verdicts
    assert len(found) == len(page.images) > 1
    for rank, (card, image) in enumerate(zip(found, page.images, strict=True), 1):
        verdict = verdicts[image]
        symbol, color = VERDICT_MARKS[verdict.label]
        assert f"border-top-color:{color}" in card
        assert f">{symbol}</span><b>{verdict.text}</b>" in card
        details = page.result.verifications[image].num_inliers
        assert re.search(rf"\b{details} matching details?\b", card)
        assert f"<b>{rank}.</b> <bdi>{page.database.names[image]}</bdi>" in card
        # Only places that may be the same are shown beside the query.
        assert (f"href=#pair-{rank}" in card) == (verdict.label != "different")
        assert (f"<figure id=pair-{rank}>" in text) == (verdict.label != "different")
    labels = [verdict.label for verdict in verdicts.values()]
    assert {"same place", "different"} <= {*labels}
    for label in VERDICT_MARKS:
        count = labels.count(label)
        assert f"</span>{count} photo{'' if count == 1 else 's'}: {label}</li>" in text


def test_the_page_loads_nothing_and_has_no_script(tmp_path):
    text = written(page_of(), tmp_path / "page.html")
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s>)]+)""", text)
    assert all(source.startswith(("data:image/jpeg;base64,", "#pair-")) for source in sources)
    assert "://" not in text
    assert "<script" not in text
    assert len(re.findall("<img", text)) == len(re.findall(r'<img [^>]*alt="[^"]', text)) > 3


def test_the_number_of_results_and_of_pairs_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "MAX_PAIRS", 1)
    page = page_of()
    page.images[:] = [page.images[0]] * 3
    text = written(page, tmp_path / "page.html", top=2)
    assert len(cards(text)) == 2
    assert re.findall(r"<figure id=(\S+?)>", text) == ["pair-1"]


def test_few_lines_are_drawn(tmp_path, monkeypatch):
    limits = []
    original = pages.pair_image

    def pair_image(*others, max_lines, **options):
        limits.append(max_lines)
        return original(*others, max_lines=max_lines, **options)

    monkeypatch.setattr(pages, "pair_image", pair_image)
    written(page_of(), tmp_path / "page.html", top=1)
    assert limits == [pages.MAX_LINES]


def test_photos_without_verdict_or_file_are_shown(tmp_path):
    text = written(page_of(verified=0), tmp_path / "page.html")
    assert "not compared in detail" in text
    assert "<figure" not in text

    def load(name):
        raise PhotoError("gone")

    text = written(page_of(load=load), tmp_path / "page.html")
    assert text.count("The file cannot be read.") == len(cards(text)) > 1
    assert "<figure" not in text


def test_a_page_without_results_says_so(tmp_path):
    text = written(page_of(images=[]), tmp_path / "page.html")
    assert "No photo was found." in text
    assert "<ol" not in text


@pytest.mark.parametrize("name", [NASTY[0], NASTY[1], NASTY[3]])
def test_names_on_the_page_are_text(name, tmp_path):
    notes = {name: [name], "nothing": []}
    changes = {"folder": name, "command": name, "notes": notes}
    text = written(page_of(name, [*NASTY], **changes), tmp_path / "page.html")
    plain = written(page_of(notes={"title": ["line"]}), tmp_path / "plain.html")
    tags = r"<[a-z/!][^>]*>"
    without = [re.sub(r'alt="[^"]*"|base64,[^"]*', "", each) for each in (text, plain)]
    assert re.findall(tags, without[0]) == re.findall(tags, without[1])
    assert not re.search(r"[\x00-\x1f\x7f\u202a-\u202e]", text.replace("\n", ""))
    assert f"<bdi>{RTL} \U0001f468\u200d\U0001f469.jpg</bdi>" in text
    assert "nothing" not in text
    assert r"new\nline\x1b[31m\u202e.jpg" in text


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (400, 800)])
def test_the_page_fits_into_the_window(size, tmp_path):
    names = [*NASTY, "a_name_without_spaces_" * 8 + ".jpg"]
    notes = {"Photos that could not be read": ["x" * 300]}
    page = page_of("query" * 30, names, notes=notes, command="delfjax search " + "y" * 300)
    written(page, tmp_path / "page.html")
    with open_page(tmp_path / "page.html", size) as shown:
        dialogs = []
        shown.on("dialog", lambda dialog: dialogs.append(dialog) or dialog.dismiss())
        for element in shown.locator("summary").all():
            element.click()
        assert shown.evaluate("document.documentElement.scrollWidth") <= size[0]
        images = shown.evaluate(
            "[...document.images].map(i => [i.naturalWidth, i.width / i.height, i.naturalWidth / i.naturalHeight, "
            "getComputedStyle(i).objectFit])"
        )
        assert len(images) > 4
        for width, aspect, natural, fit in images:
            assert width > 0
            assert fit == "contain" or aspect == pytest.approx(natural, rel=0.02), "not distorted"
        columns = {
            box["x"] for each in shown.locator(".grid > li").all() if (box := each.bounding_box())
        }
        assert len(columns) >= 2
        assert not dialogs
        assert shown.evaluate("document.scripts.length") == 0
        shown.locator(".grid a").first.click()
        assert shown.url.endswith("#pair-1")
