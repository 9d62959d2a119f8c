"""Metrics of the revisited protocols as text: published form, round trip, errors."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delfjax.metrics import Scores
from delfjax.reports import read, write

# O9
TEXT = """hard
  mAP=70.0
  mP@k[1 5] [100.  80.]
  mR@k[1 5] [50. 80.]
medium
  mAP=82.35
  mP@k[1 5] [ 97.14 100.  ]
  mR@k[1 5] [12.5   33.333]
"""


def scores(average, ks, precision, recall) -> Scores:
    """The scores of one query."""
    return Scores(
        ks=tuple(ks),
        average_precision=np.array([average], float),
        precision_at=np.array([precision], float),
        recall_at=np.array([recall], float),
    )


def test_what_is_written(tmp_path):
    path = tmp_path / "metrics.txt"
    found = {
        "medium": scores(0.82349, (1, 5), [0.97143, 1], [0.125, 0.33333]),
        "hard": scores(0.7, (1, 5), [1, 0.8], [0.5, 0.8]),
    }
    write(found, path)
    assert path.read_text() == TEXT.replace("[12.5   33.333]", "[12.5  33.33]")


def test_what_is_read(tmp_path):
    path = tmp_path / "metrics.txt"
    path.write_text(TEXT)
    found = read(path)
    assert list(found) == ["hard", "medium"]
    assert found["hard"].mean_average_precision == pytest.approx(0.7)
    assert found["hard"].ks == (1, 5)
    np.testing.assert_allclose(found["hard"].mean_precision_at, [1, 0.8])
    np.testing.assert_allclose(found["medium"].mean_recall_at, [0.125, 0.33333])


def test_nothing(tmp_path):
    write({}, tmp_path / "metrics.txt")
    assert read(tmp_path / "metrics.txt") == {}


def test_a_protocol_without_positives(tmp_path):
    write({"easy": scores(np.nan, (1,), [np.nan], [np.nan])}, tmp_path / "metrics.txt")
    found = read(tmp_path / "metrics.txt")["easy"]
    assert np.isnan([found.mean_average_precision, *found.mean_precision_at]).all()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 1))
def test_round_trip(tmp_path, values, average):
    """To two decimals of a percent; however many cutoffs, on one line."""
    ks = tuple(range(1, len(values) + 1))
    write({"easy": scores(average, ks, values, values[::-1])}, tmp_path / "metrics.txt")
    found = read(tmp_path / "metrics.txt")["easy"]
    assert found.ks == ks
    assert found.mean_average_precision == pytest.approx(average, abs=0.5001e-4)
    np.testing.assert_allclose(found.mean_precision_at, values, atol=0.5001e-4)
    np.testing.assert_allclose(found.mean_recall_at, values[::-1], atol=0.5001e-4)


def test_a_long_table_is_written_whole(tmp_path):
    values = np.linspace(0, 1, 1500)
    write({"easy": scores(0.5, range(1, 1501), values, values)}, tmp_path / "metrics.txt")
    assert len((tmp_path / "metrics.txt").read_text().splitlines()) == 4
    np.testing.assert_allclose(
        read(tmp_path / "metrics.txt")["easy"].mean_recall_at, values, atol=1e-4
    )


def test_a_protocol_for_a_second_time(tmp_path):
    path = tmp_path / "metrics.txt"
    path.write_text(TEXT + TEXT)
    with pytest.raises(
        ValueError, match=r"Malformed input .*metrics.txt, line 9: hard for a second"
    ):
        read(path)


@pytest.mark.parametrize(
    "text",
    [
        "hard\n",
        TEXT.replace("medium\n", ""),
        TEXT.replace("mAP=70.0", "mAP 70.0"),
        TEXT.replace("70.0", "seventy"),
        TEXT.replace("  mP@k", "  mF@k"),
        TEXT.replace("mP@k[1 5] [100.  80.]", "mP@k[1 5] [100. 80. 3.]"),
        TEXT.replace("mR@k[1 5] [50. 80.]", "mR@k[1 2] [50. 80.]"),
        TEXT.replace("[100.  80.]", "[100.  x]"),
        TEXT.replace("[100.  80.]", "100. 80."),
        TEXT.replace("mP@", "m@").replace("mR@", "mP@").replace("m@", "mR@"),
    ],
)
def test_another_form(tmp_path, text):
    path = tmp_path / "metrics.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match="Malformed input"):
        read(path)
