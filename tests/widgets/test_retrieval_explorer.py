"""Tests of the retrieval explorer without a browser: the test sets the controls."""

import io
import re
import time

import numpy as np
import pytest
import worlds
from PIL import Image
from places import place, view
from uploads import png, upload

from delfjax.datasets.benchmark import Truth
from delfjax.features.database import Database
from delfjax.search.searcher import SearchConfig, Searcher
from delfjax.widgets import retrieval_explorer
from delfjax.widgets.retrieval_explorer import RetrievalExplorer, search_photos

CONFIG = SearchConfig(neighbors=12)
COUNT = 8
NO_JUNK = np.array([], int)
TRUTHS = {
    "square": Truth(np.array([2]), np.array([3])),
    "tower": Truth(np.array([4]), NO_JUNK),
}


def load(name):
    """Return a photo whose size differs from that of the features."""
    return worlds.draw(sum(name.encode()))


@pytest.fixture(scope="module")
def searcher():
    """Photos 0, 2, 4, 6 are views of places 0 to 3; photos 1, 3, 5, 7 have the wrong geometry."""
    photos = [view(place(n // 2), n, geometry=n % 2 == 0, share=0.9 - n / 20) for n in range(COUNT)]
    names = [f"folder/photo_{n}.jpg" for n in range(COUNT)]
    return Searcher(Database.from_features(names, photos), config=CONFIG)


@pytest.fixture
def explorer(searcher):
    queries = {"square": place(1), "tower": place(2), "unknown": place(9)}
    return search_photos(searcher, load, queries, truths=TRUTHS)


def image(canvas):
    return np.asarray(Image.open(io.BytesIO(canvas.image)))


def results(explorer):
    """Return the lines of all cards of results, joined."""
    return [": ".join(card["lines"]) for card in explorer.result_grid.cards]


def shown(explorer):
    """Return everything that shows the search result."""
    return explorer.result_grid.cards, explorer.pair.value, explorer.caption.value


def test_first_view_is_the_first_query_with_the_searchers_settings(explorer, searcher):
    ranking = searcher(place(1)).ranking
    assert explorer.config == CONFIG
    verdict = searcher(place(1)).verdicts[2].text
    first = f"1  photo_2: {verdict}: ✓ {ranking.inliers[0]} inliers"
    assert results(explorer)[0] == first
    assert re.search("photo_3: [^:;]*: ○ ", "; ".join(results(explorer)))
    assert any("✗ " in each for each in results(explorer)) or len(ranking) == 2
    assert f"{len(ranking)} of 8 photos have votes" in explorer.summary.value
    assert "average precision 100.0%" in explorer.summary.value
    assert "square and result 1, photo_2" in explorer.caption.value
    assert f"inliers (bright): {verdict}" in explorer.caption.value
    assert explorer.status.value == ""


@pytest.mark.parametrize(
    ("control", "value", "summary"),
    [
        ("neighbors", 1, "photos have votes"),
        ("distance", 0.1, "1 of 8 photos have votes"),
        ("verification", False, "ranked by votes, none verified"),
        ("results", 1, "photos have votes"),
        ("rank", 2, "photos have votes"),
    ],
)
def test_every_control_changes_the_view_and_back(explorer, control, value, summary):
    before, old = shown(explorer), getattr(explorer, control).value
    getattr(explorer, control).value = value
    assert shown(explorer) != before
    assert summary in explorer.summary.value
    getattr(explorer, control).value = old
    assert shown(explorer) == before


def test_neighbors_are_searched_once_for_a_query_and_a_box(explorer, searcher, monkeypatch):
    searches = []
    original = searcher.index.search
    monkeypatch.setattr(
        searcher.index, "search", lambda queries, k: searches.append(k) or original(queries, k)
    )
    explorer.neighbors.value, explorer.distance.value = 3, 0.9
    explorer.verification.value, explorer.rank.value = False, 2
    assert not searches
    explorer.query_canvas.box = (0.0, 0.0, 300.0, 400.0)
    assert searches == [explorer.neighbors.max]
    explorer.neighbors.value = 5
    explorer.query_grid.selected = 1
    assert len(searches) == 2  # a new query removes the box, without another search


def test_box_searches_with_its_features_until_a_click_removes_it(explorer, searcher):
    before = shown(explorer)
    height, width = image(explorer.query_canvas).shape[:2]
    explorer.query_canvas.box = (0.1 * height, 0.2 * width, 0.6 * height, 0.7 * width)
    box = explorer.box
    np.testing.assert_allclose(box, (48, 128, 288, 448), rtol=1e-6)  # of 480 x 640 pixels
    assert f"{len(place(1).inside(box))} of 60 features" in explorer.heading.value
    ranking = Searcher(searcher.database, config=CONFIG)(place(1).inside(box)).ranking
    assert f": ✓ {ranking.inliers[0]} inliers" in results(explorer)[0]
    assert shown(explorer) != before
    explorer.query_canvas.box = None  # a click
    assert shown(explorer) == before
    assert "60 features" in explorer.heading.value


def test_box_without_features_shows_a_message(explorer):
    explorer.query_canvas.box = (0.0, 0.0, 0.5, 0.5)
    assert "No photo has a vote" in explorer.summary.value
    assert not results(explorer)
    assert "no results" in explorer.caption.value
    assert explorer.figure().to_bytes("jpeg")
    explorer.query_canvas.box = None
    assert results(explorer)


def test_thumbnail_selects_a_query_and_removes_the_box(explorer):
    explorer.query_canvas.box, explorer.rank.value = (0.0, 0.0, 300.0, 400.0), 2
    explorer.query_grid.selected = 1
    assert explorer.query == "tower"
    assert (explorer.query_canvas.box, explorer.rank.value) == (None, 1)
    assert "tower" in explorer.heading.value
    assert re.search("1  photo_4: same place[^:;]*: ✓ ", results(explorer)[0])
    explorer.query_grid.selected = 2
    assert not any("✓" in each for each in results(explorer))
    assert "precision" not in explorer.summary.value


def test_click_on_a_result_shows_its_matches(explorer):
    before = shown(explorer)
    explorer.result_grid.selected = 1
    assert explorer.rank.value == 2
    assert "result 2, photo_3" in explorer.caption.value
    assert shown(explorer)[1] != before[1]
    explorer.rank.value = 1
    assert explorer.result_grid.selected == 0
    assert shown(explorer) == before


def test_unverified_results_show_their_putative_matches(explorer, searcher):
    explorer.verification.value = False
    count = len(searcher(place(1)).matches[2])
    assert f"{count:,} putative matches, not verified" in explorer.caption.value


def test_maximum_distance_of_the_searcher_is_offered(searcher):
    config = SearchConfig(max_distance=0.83)
    own = Searcher(searcher.database, searcher.index, config)
    explorer = search_photos(own, load, {"square": place(1)})
    assert explorer.distance.value == 0.83
    assert explorer.distance.options[-1] == ("any", float("inf"))
    assert explorer.config == config


def test_searcher_can_have_more_neighbors_than_the_slider_offers_by_default(searcher):
    own = Searcher(searcher.database, searcher.index, SearchConfig(neighbors=100))
    explorer = search_photos(own, load, {"square": place(1)})
    assert (explorer.neighbors.value, explorer.neighbors.max) == (100, 100)
    assert "have votes" in explorer.summary.value


def test_verification_can_be_switched_on_if_the_searcher_has_none(searcher):
    config = SearchConfig(verified=0)
    own = Searcher(searcher.database, searcher.index, config)
    explorer = search_photos(own, load, {"square": place(1)})
    assert explorer.config == config
    assert "ranked by votes" in explorer.summary.value
    explorer.verification.value = True
    assert "8 verified" in explorer.summary.value


def test_queries_can_be_photos_of_the_database(searcher):
    explorer = search_photos(searcher, load, ["folder/photo_4.jpg"])
    assert results(explorer)[0] == "1  photo_4: the query itself: 42 inliers"
    assert sum("the query itself" in each for each in results(explorer)) == 1
    assert "photo_4 and result 2" in explorer.caption.value  # not the match with itself
    with pytest.raises(ValueError, match=r"contains 'nowhere\.jpg', .* expected names such as"):
        search_photos(searcher, load, ["nowhere.jpg"])
    with pytest.raises(ValueError, match="queries is empty; expected at least one photo"):
        search_photos(searcher, load, {})


def test_photos_are_read_from_a_folder_and_are_queries_by_default(searcher, tmp_path):
    for name in searcher.database.names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(load(name)))
    explorer = search_photos(searcher, tmp_path)
    names = [card["lines"][0] for card in explorer.query_grid.cards]
    assert names == [f"photo_{n}" for n in range(COUNT)]
    expected = search_photos(searcher, load, searcher.database.names)
    assert shown(explorer) == shown(expected)


def test_a_folder_of_photos_is_enough(tmp_path, tiny_network, monkeypatch):
    photos = worlds.classes(tmp_path / "PHOTOS")
    (photos.root / "b" / "broken<b>.png").write_text("no photo")
    shown_texts, loads = [], []
    monkeypatch.setattr(retrieval_explorer, "display", lambda part: shown_texts.append(part.value))
    monkeypatch.setattr(
        retrieval_explorer, "load_model", lambda: loads.append(1) or worlds.extractor()
    )
    explorer = search_photos(str(photos.root))
    (store,) = (tmp_path / "cache" / "stores").iterdir()
    assert f"Extracting 10 photos. The features are kept in {store}" in shown_texts[0]
    assert "Searching 9 photos of" in explorer.status.value
    assert "1 photo could not be read: b/broken&lt;b&gt;.png." in explorer.status.value
    assert len(explorer.query_grid.cards) == len(photos.names)
    assert results(explorer)[0].startswith("1  0: the query itself")
    assert "a/0 and" not in explorer.caption.value
    assert "result 2" in explorer.caption.value
    assert explorer.upload.layout.display is None
    upload(explorer.upload, "mine.png", png(photos.load("c/1.png")))
    assert explorer.query == "mine.png"
    assert results(explorer)[0].startswith("1  1: ")
    assert not any("the query itself" in each for each in results(explorer))
    # A command with the same model reads the same store. Removed photos are no results.
    photos.path("a/0.png").unlink()
    (photos.root / "b" / "broken<b>.png").unlink()
    explorer = search_photos(photos.root, model=worlds.extractor())
    assert [*store.parent.iterdir()] == [store]
    assert len(explorer.query_grid.cards) == len(photos.names) - 1
    assert len(loads) == 1
    assert "could not be read" not in explorer.status.value


def test_a_folder_stands_alone_and_a_searcher_does_not(searcher, tmp_path):
    with pytest.raises(ValueError, match="Fix: pass a folder alone, or a searcher and"):
        search_photos(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="Fix: pass a folder alone, or a searcher and"):
        search_photos(searcher)


def test_an_upload_with_the_name_of_a_database_photo_is_not_that_photo(uploader):
    upload(uploader.upload, "0.png", png(worlds.draw(2)))
    assert results(uploader)[0].startswith("1  2: ")
    assert not any("the query itself" in each for each in results(uploader))


@pytest.mark.parametrize(
    "changes",
    [
        {"neighbors": 1},
        {"neighbors": 3, "distance": 0.9},
        {"neighbors": 60},
        {"verification": False},
    ],
)
def test_results_are_those_of_a_searcher_with_the_same_settings(explorer, searcher, changes):
    for control, value in changes.items():
        getattr(explorer, control).value = value
    expected = Searcher(searcher.database, searcher.index, explorer.config)(place(1)).ranking
    for part in ("images", "inliers", "votes"):
        found = getattr(explorer._result.ranking, part)
        np.testing.assert_array_equal(found, getattr(expected, part))


def test_a_database_can_have_fewer_features_than_neighbors():
    database = Database.from_features(["square"], [place(0, count=7)])
    small = Searcher(database, config=CONFIG)
    assert len(results(search_photos(small, load, {"square": place(0)}))) == 1


def test_message_is_shown_until_the_widget_is_ready(searcher, monkeypatch):
    calls = []
    rank = Searcher.rank
    monkeypatch.setattr(Searcher, "rank", lambda *each: calls.append("searched") or rank(*each))
    monkeypatch.setattr(retrieval_explorer, "display", lambda shown: calls.append(shown.value))
    monkeypatch.setattr(retrieval_explorer, "clear_output", lambda: calls.append("cleared"))
    assert isinstance(search_photos(searcher, load, {"square": place(1)}), RetrievalExplorer)
    assert "Compiling the search" in calls[0]
    assert calls[1:] == ["searched", "searched", "cleared"]


def test_message_is_shown_during_a_slow_search_only(explorer, monkeypatch):
    monkeypatch.setattr(retrieval_explorer, "MESSAGE_DELAY", 0.0)
    original = Searcher.rank

    def slow_search(searcher, query, neighbors):
        end = time.monotonic() + 30
        while "Searching" not in explorer.summary.value:
            assert time.monotonic() < end, "no message within 30 seconds"
            time.sleep(0.01)
        return original(searcher, query, neighbors)

    monkeypatch.setattr(Searcher, "rank", slow_search)
    explorer.neighbors.value = 5
    assert "have votes" in explorer.summary.value


def test_pages_without_widgets_show_the_figure(explorer):
    bundle, metadata = explorer._repr_mimebundle_()
    assert metadata["image/jpeg"]["width"] > 400
    assert bundle["image/jpeg"].startswith(b"\xff\xd8")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    explorer.verification.value, explorer.distance.value = False, 0.9
    titles = [ax.get_title(loc="left") for ax in explorer.figure().axes]
    expected = "the query, 12 neighbors per feature within distance 0.90, ranked by votes"
    assert titles[0] == expected
    assert "square and result 1" in titles[1]


# --- uploaded photos


@pytest.fixture
def uploader():
    """Return an explorer of drawn photos, with features of the small network."""
    model = worlds.extractor()
    names = [f"{seed}.png" for seed in range(4)]
    photos = [model(worlds.draw(seed)) for seed in range(4)]
    searcher = Searcher(Database.from_features(names, photos), config=CONFIG)
    return search_photos(searcher, lambda name: worlds.draw(int(name[0])), ["0.png"], model=model)


def test_uploaded_photo_is_searched_and_added_to_the_queries(uploader):
    upload(uploader.upload, "mine.png", png(worlds.draw(2)))
    assert uploader.query == "mine.png"
    assert len(uploader.query_grid.cards) == 2
    assert uploader.query_grid.selected == 1
    assert results(uploader)[0].startswith("1  2: ")
    upload(uploader.upload, "mine.png", png(worlds.draw(3)))  # replaces the first one
    assert results(uploader)[0].startswith("1  3: ")
    assert uploader.upload.value == ()
    assert uploader.status.value == ""


def test_unreadable_upload_shows_a_message_and_keeps_the_view(uploader):
    uploader.neighbors.value = 5
    before = shown(uploader), uploader.summary.value, uploader.query_grid.cards
    upload(uploader.upload, "notes<b>.txt", b"not a photo")
    assert "<b>notes&lt;b&gt;.txt is not an image; expected JPEG" in uploader.status.value
    assert (shown(uploader), uploader.summary.value, uploader.query_grid.cards) == before
    upload(uploader.upload, "mine.png", png(worlds.draw(1)))
    assert uploader.status.value == ""


def test_descriptors_of_another_size_show_a_message(searcher):
    explorer = search_photos(searcher, load, {"square": place(1)}, model=worlds.extractor())
    before = shown(explorer)
    upload(explorer.upload, "mine.png", png(worlds.draw(1)))
    assert "64 dimensions" in explorer.status.value
    assert shown(explorer) == before
    assert len(explorer.query_grid.cards) == 1


def test_without_a_model_there_is_no_upload_button(explorer):
    assert explorer.upload.layout.display == "none"
