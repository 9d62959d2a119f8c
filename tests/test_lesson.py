"""Tools of the notebooks: source code without docstrings, photos, logs, and the checks of exercises."""

import jax.numpy as jnp
import numpy as np
import pytest

from delfjax.images.folder import scan
from notebooks import exercises, lesson

CHECKS = [getattr(exercises, name) for name in dir(exercises) if name.startswith("check_")]


def test_source_has_no_docstring_and_names_the_file():
    shown = lesson.source("delfjax.models.attention.weighted_pool").data
    assert "`delfjax/models/attention.py`" in shown
    assert "def weighted_pool(" in shown
    assert "l2_normalize(maps)" in shown
    assert '"""' not in shown


@pytest.mark.parametrize(
    "name", ["delfjax.training.step.train_step", "delfjax.models.attention.Attention.__call__"]
)
def test_source_of_compiled_functions_and_methods(name):
    assert f"def {name.rpartition('.')[2]}(" in lesson.source(name).data


def test_time_is_measured_after_the_first_call():
    calls = []
    assert lesson.milliseconds(lambda x: calls.append(x) or jnp.ones(3), 7) > 0
    assert calls == [7] * (lesson.REPEATS + 1)


@pytest.mark.parametrize("name", ["berlin_01", "lund_09", "pavilion", "flower"])
def test_real_photos(name):
    photo = lesson.real_photo(name)
    assert photo.dtype == np.uint8
    assert max(photo.shape) == 640


def test_real_photos_are_small_and_have_their_license():
    photos = sorted(lesson.REAL_PHOTOS.glob("*.jpg"))
    assert sum(path.stat().st_size for path in photos) < 1_000_000
    readme = (lesson.REAL_PHOTOS / "README.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in readme for path in photos)
    notice = (lesson.REAL_PHOTOS / "LICENSE").read_text(encoding="utf-8")
    assert "Copyright (c) 2014, mapillary" in notice


def test_square_photos_keep_the_order_of_the_names():
    names = ["berlin_02.jpg", "lund_05.jpg"]
    squares = lesson.square_photos(scan(lesson.REAL_PHOTOS), names, 32)
    assert squares.shape == (2, 32, 32, 3)
    turned = lesson.square_photos(scan(lesson.REAL_PHOTOS), names[::-1], 32)
    assert (turned[::-1] == squares).all()


def test_enlarged_scores_have_the_size_of_the_photo():
    heat = lesson.enlarge(np.eye(3, dtype=np.float32), (48, 40))
    assert heat.shape == (48, 40)
    assert heat[0, 0] > 0.9  # the center of the first cell is pixel 0


@pytest.mark.parametrize("name", ["delf_att", "att2_stuck"])
def test_training_logs(name):
    assert all("step" in record for record in lesson.training_log(name))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_check_knows_unsolved_and_wrong_functions(check, capsys):
    check(lambda *arguments: None)
    assert capsys.readouterr().out == "Not solved yet.\n"
    with pytest.raises(AssertionError):
        check(lambda *arguments: 123.456)
