"""The retrieval explorer, driven as a visitor drives it, but for the browser."""

import io
import time

import numpy as np
import pytest
import worlds
from PIL import Image
from places import place, view
from uploads import png, upload

from delfjax.datasets.truth import Truth
from delfjax.features.database import Database
from delfjax.features.region import inside
from delfjax.geometry.ransac import RansacConfig
from delfjax.search.searcher import SearchConfig, Searcher
from delfjax.widgets import retrieval_explorer
from delfjax.widgets.retrieval_explorer import RetrievalExplorer, search_photos
from delfjax.widgets.retrieval_state import Inquiry, ask

CONFIG = SearchConfig(neighbors=12, ransac=RansacConfig(hypotheses=256))
COUNT = 8
NONE = np.array([], int)
TRUTHS = {
    "square": Truth(np.array([2]), np.array([3])),
    "tower": Truth(np.array([4]), NONE),
}


def load(name):
    """Any photo, at another size than its features come from."""
    return worlds.draw(sum(name.encode()))


@pytest.fixture(scope="module")
def searcher():
    """Photos 0, 2, 4, 6 are views of places 0 to 3; of 1, 3, 5, 7 the geometry is wrong."""
    photos = [view(place(n // 2), n, geometry=n % 2 == 0, share=0.9 - n / 20) for n in range(COUNT)]
    names = [f"folder/photo_{n}.jpg" for n in range(COUNT)]
    return Searcher(Database.of(names, photos), config=CONFIG)


@pytest.fixture
def made(searcher):
    queries = {"square": place(1), "tower": place(2), "unknown": place(9)}
    return search_photos(searcher, load, queries, truths=TRUTHS)


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.image)))


def shown(made):
    """What is seen of the answer."""
    return made.ranking.image, made.ranking.alt, made.pair.image, made.caption.value


def test_at_first_the_first_query_is_answered_with_the_searchers_settings(made, searcher):
    ranking = searcher(place(1)).ranking
    assert made.controls.config == CONFIG
    first = made.ranking.alt.removeprefix("results: ").split("; ")[0]
    assert first == f"1  photo_2: ✓ right, {ranking.inliers[0]} inliers"
    assert "photo_3: ○ junk" in made.ranking.alt
    assert "✗ wrong" in made.ranking.alt or len(ranking) == 2
    assert f"{len(ranking)} of 8 photos have votes" in made.summary.value
    assert "average precision 100.0%" in made.summary.value
    assert "square and result 1, photo_2" in made.caption.value
    assert made.status.value == ""


@pytest.mark.parametrize(
    ("control", "value", "words"),
    [
        ("neighbors", 1, "12 neighbors"),
        ("distance", 0.1, "1 of 8 photos have votes"),
        ("verification", False, "ranked by votes alone"),
        ("results", 1, "have votes"),
        ("rank", 2, "have votes"),
    ],
)
def test_every_control_changes_what_is_seen_and_back(made, control, value, words):
    before, old = shown(made), getattr(made.controls, control).value
    getattr(made.controls, control).value = value
    assert shown(made) != before
    if control != "neighbors":
        assert words in made.summary.value
    getattr(made.controls, control).value = old
    assert shown(made) == before


def test_neighbors_are_searched_once_for_a_query_and_a_box(made, searcher, monkeypatch):
    searched = []
    real = searcher.index.search
    monkeypatch.setattr(
        searcher.index, "search", lambda queries, k: searched.append(k) or real(queries, k)
    )
    made.controls.neighbors.value, made.controls.distance.value = 3, 0.9
    made.controls.verification.value, made.controls.rank.value = False, 2
    assert not searched
    made.picture.box = (0.0, 0.0, 300.0, 400.0)
    assert searched == [made.controls.neighbors.max]
    made.controls.neighbors.value = 5
    made.photo.value = "tower"
    assert len(searched) == 2  # taking the box away with the query is no search of its own


def test_a_box_asks_by_what_is_in_it_and_a_click_by_all(made, searcher):
    before = shown(made)
    height, width = pixels(made.picture).shape[:2]
    made.picture.box = (0.1 * height, 0.2 * width, 0.6 * height, 0.7 * width)
    box = made.box
    np.testing.assert_allclose(box, (48, 128, 288, 448), rtol=1e-6)  # of 480 x 640
    part = inside(place(1), box)
    assert f"{len(part)} of 60 features" in made.heading.value
    ranking = ask(searcher, place(1), box).answer(CONFIG).ranking
    assert f": ✓ right, {ranking.inliers[0]} inliers" in made.ranking.alt
    assert shown(made) != before
    with made.picture.hold_trait_notifications():  # as the browser tells a click
        made.picture.clicked, made.picture.clicks, made.picture.box = (3.0, 3.0), 1, None
    assert shown(made) == before
    assert "60 features" in made.heading.value


def test_a_box_without_features_is_explained(made):
    made.picture.box = (0.0, 0.0, 0.5, 0.5)
    assert "No photo has a vote" in made.summary.value
    assert made.ranking.layout.display == "none"
    assert "nothing was found" in made.caption.value
    assert made.figure().encoded("jpeg")
    made.picture.box = None
    assert made.ranking.layout.display is None


def test_queries_are_picked_on_the_strip_or_the_menu_and_lose_the_box(made):
    made.picture.box, made.controls.rank.value = (0.0, 0.0, 300.0, 400.0), 2
    made.strip.chosen = 1
    assert made.photo.value == "tower"
    assert (made.picture.box, made.controls.rank.value) == (None, 1)
    assert "tower" in made.heading.value
    assert "1  photo_4: ✓ right" in made.ranking.alt
    made.photo.value = "unknown"
    assert made.strip.chosen == 2
    assert "right" not in made.ranking.alt
    assert "precision" not in made.summary.value


def test_a_click_on_a_result_shows_its_matches(made):
    first = shown(made)
    height, width = pixels(made.ranking).shape[:2]
    with made.ranking.hold_trait_notifications():
        made.ranking.clicked, made.ranking.clicks = (0.2 * height, 0.3 * width), 1
    assert made.controls.rank.value == 2
    assert "result 2, photo_0" in made.caption.value
    assert all(before != after for before, after in zip(first[::2], shown(made)[::2], strict=True))
    made.controls.rank.value = 1
    assert shown(made) == first


def test_what_was_not_verified_shows_its_putative_matches(made):
    made.controls.verification.value = False
    assert "putative matches, not verified" in made.caption.value


def test_the_threshold_of_the_searcher_is_offered(searcher):
    own = Searcher(searcher.database, searcher.index, SearchConfig(max_distance=0.83))
    made = search_photos(own, load, {"square": place(1)})
    assert made.controls.distance.value == 0.83
    assert made.controls.distance.options[-1] == ("any", float("inf"))
    assert made.controls.config == own.config


def test_a_searcher_that_verifies_nothing_may_be_asked_to(searcher):
    own = Searcher(searcher.database, searcher.index, SearchConfig(verified=0))
    made = search_photos(own, load, {"square": place(1)})
    assert made.controls.config == own.config
    assert "by votes alone" in made.summary.value
    made.controls.verification.value = True
    assert "8 verified" in made.summary.value


def test_queries_may_be_photos_of_the_database(searcher):
    made = search_photos(searcher, load, ["folder/photo_4.jpg"])
    assert "1  photo_4: 42 inliers" in made.ranking.alt
    with pytest.raises(ValueError, match=r"no photo 'nowhere\.jpg'; expected one of its names"):
        search_photos(searcher, load, ["nowhere.jpg"])
    with pytest.raises(ValueError, match="0 queries; expected one at least"):
        search_photos(searcher, load, {})


def test_the_visitor_is_told_to_wait_for_compilation(searcher, monkeypatch):
    said = []
    monkeypatch.setattr(retrieval_explorer, "display", lambda shown: said.append(shown.value))
    monkeypatch.setattr(retrieval_explorer, "clear_output", lambda: said.append("cleared"))
    assert isinstance(search_photos(searcher, load, {"square": place(1)}), RetrievalExplorer)
    assert "compiles" in said[0]
    assert said[1:] == ["cleared"]


def test_words_say_so_while_an_answer_takes_long_and_make_room_for_it(made, monkeypatch):
    monkeypatch.setattr(retrieval_explorer, "PATIENCE", 0.0)
    answered = Inquiry.answer

    def slow(inquiry, config):
        while "compiles" not in made.summary.value:
            time.sleep(0.01)
        return answered(inquiry, config)

    monkeypatch.setattr(Inquiry, "answer", slow)
    made.controls.neighbors.value = 5
    assert "have votes" in made.summary.value


def test_pages_without_widgets_show_the_figure(made):
    bundle = made._repr_mimebundle_()
    assert bundle["image/jpeg"].startswith(b"\xff\xd8")
    assert "application/vnd.jupyter.widget-view+json" in bundle
    made.controls.verification.value, made.controls.distance.value = False, 0.9
    titles = [ax.get_title(loc="left") for ax in made.figure().axes]
    assert titles[0] == "the query, 12 neighbors within 0.90 a feature, by votes"
    assert "square and result 1" in titles[1]


# --- a photo of one's own


@pytest.fixture
def own():
    """A database of drawn photos, whose features the tiny network made."""
    extract = worlds.extractor()
    names = [f"{seed}.png" for seed in range(4)]
    photos = [extract(worlds.draw(seed)) for seed in range(4)]
    searcher = Searcher(Database.of(names, photos), config=CONFIG)
    return search_photos(
        searcher, lambda name: worlds.draw(int(name[0])), ["0.png"], extractor=extract
    )


def test_an_uploaded_photo_is_searched_with_and_stays_on_the_strip(own):
    upload(own.upload, "mine.png", png(worlds.draw(2)))
    assert own.photo.value == "mine.png"
    assert own.photo.options == ("0.png", "mine.png")
    assert own.strip.chosen == 1
    assert "1  2: " in own.ranking.alt
    upload(own.upload, "mine.png", png(worlds.draw(3)))  # another one of that name
    assert "1  3: " in own.ranking.alt
    assert own.upload.value == ()
    assert own.status.value == ""


def test_a_file_that_is_no_photo_is_explained_and_nothing_is_lost(own):
    own.controls.neighbors.value = 5
    before = shown(own), own.summary.value, own.strip.image
    upload(own.upload, "notes<b>.txt", b"not a photo")
    assert "<b>notes&lt;b&gt;.txt is not an image; expected JPEG" in own.status.value
    assert (shown(own), own.summary.value, own.strip.image) == before
    assert own.photo.options == ("0.png",)
    upload(own.upload, "mine.png", png(worlds.draw(1)))
    assert own.status.value == ""


def test_descriptors_that_do_not_fit_the_database_are_explained(searcher):
    made = search_photos(searcher, load, {"square": place(1)}, extractor=worlds.extractor())
    before = shown(made)
    upload(made.upload, "mine.png", png(worlds.draw(1)))
    assert "64 dimensions, those of the database 40: reduce both by" in made.status.value
    assert shown(made) == before
    assert made.photo.options == ("square",)


def test_without_an_extractor_nothing_can_be_uploaded(made):
    assert made.upload.layout.display == "none"
