"""Rows of the comparison of speed: what a ratio means, and which rows a run keeps."""

import time
from pathlib import Path

import pytest

from benchmarks import speed
from benchmarks.speed import conv4
from benchmarks.speed.race import race
from delfjax.provenance import read_result


def test_a_ratio_above_one_means_that_ours_is_faster() -> None:
    ours, peers = {"ours": lambda: None}, {"slow": lambda: time.sleep(0.01)}
    (row,) = race("work", ours, peers, rounds=3, factors={"slow": 2.0})
    assert row["ratio"] > 1
    assert row["values"][0] < row["values"][1]
    assert row["values"][1] >= 0.02
    assert speed.markdown([row]).startswith("| work | delfjax | its time or memory | slow |")


@pytest.mark.parametrize("measured", [[], [{"work": "w", "ours": "o", "peer": "p"}]])
def test_a_part_without_peers_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list
) -> None:
    path = tmp_path / "bench.json"
    values = {"ratio": 1.0, "values": [1.0, 1.0], "unit": "s", "runs": 5}
    monkeypatch.setattr(speed, "RESULT", path)
    monkeypatch.setattr(conv4, "run", lambda: [row | values for row in measured])
    first = [{"work": "first", "ours": "o", "peer": "p"} | values]
    with monkeypatch.context() as patch:
        patch.setattr(conv4, "run", lambda: first)
        speed.run(["conv4"])
    speed.run(["conv4"])
    (row,) = read_result(path)["rows"]
    assert row["work"] == ("w" if measured else "first")
    assert row["part"] == "conv4"
