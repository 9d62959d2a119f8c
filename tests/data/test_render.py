"""The renderer's geometry, views and bookkeeping; pictures themselves need Blender and are not made here."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from render import publish, stock, surroundings, truth, views, worlds
from render.geometry import box
from render.landmarks import EVAL, LANDMARKS, LATER_LANDMARKS, model

SEED = 17
CAMERA = np.array([[100.0, 0, 60], [0, 100, 40], [0, 0, 1]])


def looking_north(distance: float) -> np.ndarray:
    """Return the pose of a camera south of the origin that looks north, level."""
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return np.column_stack([turn, -turn @ np.array([0, -distance, 0])])


# --- landmarks


def test_the_catalogue_is_what_the_card_says():
    assert Counter(mark.split for mark in LANDMARKS) == {"train": 49, "eval": 11}
    assert {mark.name for mark in LANDMARKS if mark.split == "eval"} == set(EVAL)
    assert len({mark.name for mark in LANDMARKS}) == 60
    assert len({mark.family for mark in LANDMARKS}) == 12


@pytest.mark.parametrize("mark", LANDMARKS[::7], ids=lambda mark: mark.name)
def test_a_landmark_follows_from_the_seed(mark):
    one, same, other = model(mark, SEED), model(mark, SEED), model(mark, SEED + 1)
    np.testing.assert_array_equal(one.shape.vertices, same.shape.vertices)
    assert one.palette == same.palette
    assert one.palette != other.palette
    assert np.isfinite(one.shape.vertices).all()
    low, high = one.shape.bounds()
    assert ((high - low) > 3).all(), "a landmark is larger than a man"


# --- the large world


def test_the_large_world_shares_no_landmark_and_no_family_with_training():
    large = worlds.LARGE
    assert large.landmarks["train"] == worlds.SMALL.landmarks["train"]
    assert len(large.landmarks["eval"]) == 40
    assert len({mark.family for mark in large.landmarks["eval"]}) == 10
    assert not {mark.family for mark in LATER_LANDMARKS} & {mark.family for mark in LANDMARKS}
    assert len({mark.number for mark in (*LANDMARKS, *LATER_LANDMARKS)}) == 60 + 40 + 10
    assert len({mark.name for mark in (*LANDMARKS, *LATER_LANDMARKS)}) == 60 + 40 + 10
    assert not set(large.places["distractors"]) & set(large.places["strangers"])
    assert len(large.landmarks["calibration"]) == 12
    assert not set(large.photos["calibration"]) & set(large.photos["train"])


@pytest.mark.parametrize("mark", LATER_LANDMARKS[::3], ids=lambda mark: mark.name)
def test_a_landmark_of_the_large_world_is_whole(mark):
    made = model(mark, SEED)
    assert set(made.shape.roles) <= set(made.palette)
    assert np.isfinite(made.shape.vertices).all()
    assert made.setting in surroundings.SETTINGS
    low, high = made.shape.bounds()
    assert ((high - low) > 8).all()
    assert ((high - low) < 130).all()
    assert -2 < low[2] < 0.5, "it stands on the ground"


@pytest.mark.parametrize(
    "mark", worlds.LARGE.landmarks["siblings"], ids=lambda mark: mark.sibling_of
)
def test_a_sibling_has_the_design_but_other_proportions_and_tones(mark):
    original = next(other for other in LATER_LANDMARKS if other.name == mark.sibling_of)
    one, other = model(mark, SEED), model(original, SEED)
    assert (mark.family, mark.variant) == (original.family, original.variant)
    assert set(one.palette) == set(other.palette)
    assert one.palette != other.palette
    assert one.shape.vertices.shape != other.shape.vertices.shape or not np.allclose(
        one.shape.vertices, other.shape.vertices, atol=0.1
    )


def test_stocks_are_interchangeable_and_share_nothing():
    """`surroundings` numbers the things of a kind without asking which stock they are from."""
    home, abroad = (stock.things(name) for name in stock.STOCKS)
    assert {kind: len(things) for kind, things in home.items()} == {
        kind: len(things) for kind, things in abroad.items()
    }
    for kind, things in abroad.items():
        for thing in things:
            assert set(thing.shape.roles) <= set(thing.palette), thing.name
            assert np.isfinite(thing.shape.vertices).all()
        shapes = {thing.shape.vertices.tobytes() for thing in home[kind]}
        assert not shapes & {thing.shape.vertices.tobytes() for thing in things}
    assert set(stock.ground_finishes("home")) == set(stock.ground_finishes("abroad"))


def test_kinds_of_shot_come_in_their_shares():
    habits = views.HABITS["large-hard"]
    for start in (0.0, 0.3, 0.77):
        drawn = Counter(views.even_shot(start, photo, habits) for photo in range(12))
        for shot, share in zip(views.SHOTS, habits.shots, strict=True):
            assert drawn[shot] == pytest.approx(12 * share, abs=1.6)


@pytest.mark.parametrize("habits", views.HABITS.values(), ids=[*views.HABITS])
def test_shares_sum_to_one(habits):
    for shares in (habits.shots, habits.passers, habits.skies):
        assert sum(shares) == pytest.approx(1)


def test_the_quality_of_a_photo_follows_from_its_view():
    low, high = np.array([-12.0, -8, 0]), np.array([12.0, 8, 30])
    for k in range(20):
        rng = views.generator(SEED, 1, 3, k)
        view = views.sample(rng, low, high, shot="whole", habits=views.HABITS["train"])
        assert worlds.SMALL.quality(view) == view.jpeg
        assert 76 <= worlds.LARGE.quality(view) <= 84


# --- views


@pytest.mark.parametrize("shot", views.SHOTS)
def test_a_view_follows_from_its_keys_and_looks_at_the_landmark(shot):
    low, high = np.array([-12.0, -8, 0]), np.array([12.0, 8, 30])
    drawn = [
        views.sample(
            views.generator(SEED, 1, 3, k), low, high, shot=shot, habits=views.HABITS["eval"]
        )
        for k in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    turn = drawn[0].rotation()
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    ahead = turn @ (np.array(drawn[0].target) - drawn[0].eye)
    assert ahead[2] > 0
    np.testing.assert_allclose(ahead[:2], 0, atol=1e-9)
    assert np.linalg.norm(np.array(drawn[0].eye)[:2]) > 8, "outside the landmark"


# --- truth


def test_the_silhouette_of_a_box_is_its_projection():
    """A box 2 m wide and high, its near face 9 m away: 100 * 2 / 9 = 22.2 pixels a side."""
    mask, framed = truth.silhouette(box(2, 2, 2, "stone"), CAMERA, looking_north(10), 120, 80)
    assert framed == pytest.approx(1)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert len(columns) == pytest.approx(22.2, abs=1.5)
    assert columns.mean() == pytest.approx(59.5, abs=1)
    assert rows[-1] == pytest.approx(40, abs=1), "the box stands on the horizon's height"


def test_what_is_cut_off_by_the_frame_is_not_framed():
    half = box(2, 2, 2, "stone").moved(x=-5.4)  # its middle projects to the left edge
    mask, framed = truth.silhouette(half, CAMERA, looking_north(10), 120, 80)
    assert 0.3 < framed < 0.7
    assert mask[:, 0].any()


def test_what_is_behind_the_camera_is_cut_away():
    corridor = box(2, 40, 2, "stone").moved(z=-3)
    mask, _ = truth.silhouette(corridor, CAMERA, looking_north(10), 120, 80)
    assert mask[-1].any(), "it runs below the camera, out of the frame"
    assert not mask[:40].any(), "nothing of it is above the horizon"


def test_visibility_multiplies():
    alone = np.ones((4, 4), bool)
    seen = truth.visibility(np.tri(4, dtype=bool), alone, 0.5)
    assert (seen.framed, seen.unhidden, seen.area) == (0.5, 10 / 16, 10 / 16)
    assert seen.shown == pytest.approx(0.5 * 10 / 16)


def test_masks_survive_packing():
    mask = np.random.default_rng(0).random((24, 32)) < 0.3
    np.testing.assert_array_equal(truth.decode(truth.encode(mask)), mask)


# --- publishing


def record(name: str, number: int, *, shown: float = 1.0, area: float = 0.2, split="eval"):
    mask = np.zeros((24, 32), bool)
    mask[6:18, 8:20] = True
    return {
        "photo": f"{split}/{name}/{number:03d}.jpg",
        "landmark": None if name.startswith("place") else name,
        "split": split,
        "width": 32,
        "height": 24,
        "view": {"night": False, "fog": 0.0, "clouds": 0.0},
        "camera": {},
        "visibility": {"shown": shown, "area": area},
        "mask": truth.encode(mask),
    }


@pytest.mark.parametrize(
    ("shown", "area", "grade"),
    [
        (0.7, 0.05, "good"),
        (0.69, 0.5, "ok"),
        (1.0, 0.049, "ok"),
        (0.25, 0.01, "ok"),
        (0.24, 0.5, "junk"),
        (1.0, 0.009, "junk"),
    ],
)
def test_grades(shown, area, grade):
    assert publish.grade(record("a", 0, shown=shown, area=area)) == grade


def test_a_querys_box_has_room_within_the_photo():
    mask = np.zeros((24, 32), bool)
    mask[6:18, 8:28] = True
    assert publish.query_box(mask) == pytest.approx((7.4, 5.4, 28.6, 18.6))
    assert publish.query_box(np.ones((24, 32), bool)) == (0, 0, 32, 24)


@pytest.fixture
def rendered(tmp_path):
    """A folder as the renderer leaves it, of grey photos."""
    records = {
        "train": [record("white_keep", k, split="train") for k in range(3)],
        "eval": [record("red_kremlin", k, shown=1 - k / 20) for k in range(9)],
        "distractors": [record("place_000", k, split="distractors") for k in range(2)],
        "strangers": [record("place_100", k, split="strangers") for k in range(2)],
    }
    for split, rows in records.items():
        for row in rows:
            path = tmp_path / "rendered" / row["photo"]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 24), (hash(split) % 255, 90, 90)).save(path)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "rendered" / f"{split}.jsonl").write_text(lines)
    return tmp_path / "rendered"


def test_the_set_is_published_in_oxfords_layout(rendered, tmp_path):
    publish.publish(rendered, tmp_path / "set", SEED)
    gt = tmp_path / "set" / "eval" / "gt"
    assert len(list(gt.glob("red_kremlin_?_query.txt"))) == 5
    good = (gt / "red_kremlin_1_good.txt").read_text().split()
    assert good == [f"red_kremlin_{k:03d}" for k in range(7)]
    for path in gt.glob("*_query.txt"):
        stem, *edges = path.read_text().split()
        assert stem in good
        assert [float(edge) for edge in edges] == pytest.approx([7.6, 5.6, 20.4, 18.4], abs=0.05)
    lines = (tmp_path / "set" / "eval" / "truth.jsonl").read_text().splitlines()
    photos = [json.loads(line)["photo"] for line in lines]
    assert len(photos) == 13
    assert all((tmp_path / "set" / "eval" / photo).exists() for photo in photos)


def test_publishing_again_changes_nothing(rendered, tmp_path):
    sums = []
    for _ in range(2):
        publish.publish(rendered, tmp_path / "set", SEED)
        sums.append((tmp_path / "set" / "SHA256SUMS").read_text())
    assert sums[0] == sums[1]
    assert "eval/truth.jsonl" in sums[0]


def test_a_split_that_is_not_rendered_is_named(rendered, tmp_path):
    (rendered / "strangers.jsonl").unlink()
    with pytest.raises(SystemExit, match=r"strangers\.jsonl is missing: render that split"):
        publish.publish(rendered, tmp_path / "set", SEED)


def test_too_few_good_photos_are_an_error_and_the_old_set_stays(rendered, tmp_path):
    publish.publish(rendered, tmp_path / "set", SEED)
    rows = [record("red_kremlin", k, shown=0.3) for k in range(9)]
    (rendered / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SystemExit, match="red_kremlin has 0 good photos, needs 5"):
        publish.publish(rendered, tmp_path / "set", SEED)
    assert len(list((tmp_path / "set" / "eval" / "images").iterdir())) == 11
    assert {path.name for path in (tmp_path / "set").iterdir()} == {
        "SHA256SUMS",
        "contact_sheet.jpg",
        "eval",
        "train",
    }


@pytest.fixture
def rendered_large(tmp_path):
    """A folder of the large world whose evaluation photos are rendered, without training photos."""
    records = {
        "eval": [record("pharos", k, shown=1 - k / 20) for k in range(9)],
        "siblings": [record("gopuram_sibling", k, split="siblings") for k in range(2)],
        "distractors": [record("place_500", k, split="distractors") for k in range(2)],
        "strangers": [record("place_600", k, split="strangers") for k in range(2)],
        "calibration": [record("red_minster", k, split="calibration") for k in (100, 101)],
    }
    for split, rows in records.items():
        write_records(tmp_path / "large", split, rows)
    return tmp_path / "large"


def write_records(folder, split, rows):
    for row in rows:
        row["photo"] = row["photo"].replace(".jpg", ".webp")
        path = folder / row["photo"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 24), (200, 90, 90)).save(path)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{split}.jsonl").write_text(lines)


def test_the_large_world_is_published_half_by_half(rendered_large, tmp_path):
    publish.publish(rendered_large, tmp_path / "set", SEED, world=worlds.LARGE)
    folder = tmp_path / "set"
    assert not (folder / "train").exists()
    assert len(list((folder / "eval" / "gt").glob("pharos_?_query.txt"))) == 4
    assert not list((folder / "eval" / "gt").glob("*sibling*"))
    assert (folder / "eval" / "images" / "gopuram_sibling_000.webp").exists()
    assert set(json.loads((folder / "eval" / "landmarks.json").read_text())) == {
        mark.name for mark in worlds.LARGE.landmarks["eval"]
    }
    lines = (folder / "eval" / "truth.jsonl").read_text().splitlines()
    truths = [json.loads(line) for line in lines]
    assert all((folder / "eval" / row["photo"]).exists() for row in truths)
    assert [row["photo"] for row in truths if row["landmark"] and "grade" not in row] == [
        "images/gopuram_sibling_000.webp",
        "images/gopuram_sibling_001.webp",
    ]

    only_train = tmp_path / "train"
    write_records(only_train, "train", [record("white_keep", 0, split="train")])
    publish.publish(only_train, folder, SEED, world=worlds.LARGE)
    assert (folder / "train" / "white_keep" / "000.webp").exists()
    assert (folder / "eval" / "truth.jsonl").exists(), "the other half stays"
    assert "train/white_keep/000.webp" in (folder / "SHA256SUMS").read_text()


def test_half_an_evaluation_set_is_not_published(rendered_large, tmp_path):
    (rendered_large / "siblings.jsonl").unlink()
    with pytest.raises(SystemExit, match=r"siblings\.jsonl is missing: render that split"):
        publish.publish(rendered_large, tmp_path / "set", SEED, world=worlds.LARGE)
    with pytest.raises(SystemExit, match=r"eval\.jsonl is missing"):
        publish.publish(tmp_path / "none", tmp_path / "set", SEED, world=worlds.LARGE)


def test_the_calibration_photos_are_published_alone(rendered_large, tmp_path):
    publish.publish(rendered_large, tmp_path / "set", SEED, world=worlds.LARGE, calibration=True)
    names = {path.name for path in (tmp_path / "set" / "eval" / "images").iterdir()}
    assert names == {"red_minster_100.webp", "red_minster_101.webp"}
    queries = list((tmp_path / "set" / "eval" / "gt").glob("*_query.txt"))
    assert len(queries) == 2, "as many as there are good photos, up to four"
