"""The runs of the table: each has a configuration of its own, and results are found by name."""

import pytest

from delfjax import datasets
from delfjax.features.factory import model_names
from delfjax.paper.runs import (
    PROFILES,
    RUNS,
    SEEDS,
    result_files,
    results_by_row,
    sweep,
    title,
)
from delfjax.paper.values import fig5, table1
from delfjax.provenance import write_result


@pytest.mark.parametrize("profile", PROFILES.values())
def test_every_run_has_the_sizes_of_the_profile(profile):
    for run in RUNS.values():
        config = run.at(profile)
        assert config.extraction.pyramid.longest == profile.longest
        assert config.model in model_names()
        if config.uses_local_features:
            assert config.search.features == (run.features or profile.features)
        if config.global_descriptor is not None:
            assert config.global_descriptor.longest == profile.longest


def test_no_two_runs_are_the_same_but_one():
    """With 100 features, the point of the sweep is the method itself."""
    names = {}
    for name, run in RUNS.items():
        names.setdefault(repr(run.at(PROFILES["embedded"])), []).append(name)
    assert [same for same in names.values() if len(same) > 1] == [["ft_att", "ft_att_100f"]]


def test_rows_have_the_names_of_the_paper():
    rows = {run.row for run in RUNS.values()}
    assert {"DELF-noFT", "DELF+FT", "DELF-noFT+ATT", "DELF+FT+ATT"} <= rows & set(fig5().curves)
    assert rows & {*table1().rows} == {"DELF+FT+ATT"}
    assert len(rows) == len(RUNS)


def test_the_readme_shows_every_method_and_its_votes():
    shown = [run.row for run in RUNS.values() if run.headline and run.features is None]
    assert len(shown) <= 16
    for row in ("DELF-noFT", "DELF+FT", "DELF-noFT+ATT", "DELF+FT+ATT", "RootSIFT"):
        assert shown[shown.index(row) + 1] == f"{row}, votes only"


def test_results_are_found_with_their_seeds(tmp_path):
    def keep(name, **fields):
        benchmark = name.partition("_")[0]
        benchmark = benchmark if benchmark in datasets.NAMES else "rendered+places"
        write_result(tmp_path / f"{name}.json", {"benchmark": benchmark} | fields)

    for name in ("ft_att", "ft_norm", "ft_att_20f", "ft_att_8d", "sift", "rootsift"):
        search = {"features": 20, "truncate": 8 if name.endswith("d") else None}
        config = {"search": search, "pca": {"dimensions": 40}}
        keep(f"rendered+places_{name}", config=config)
        keep(f"rendered_{name}", config=config)
    write_result(tmp_path / "full" / "rendered_large_ft_att.json", {"benchmark": "rendered_large"})
    for name in ("ftatt1_attention_100", "joint0_attention_100", "ftatt1_attention_1000"):
        keep(f"runs/{name}")

    def found(name, *benchmark):
        return [path.stem for path in result_files(name, tmp_path, *benchmark)]

    assert found("ft_att") == ["rendered+places_ft_att", "ftatt1_attention_100"]
    assert found("ft_att", "rendered") == ["rendered_ft_att"]
    assert result_files("joint", tmp_path, seeds=False) == []
    assert (found("joint"), found("norm")) == (["joint0_attention_100"], [])
    assert {row: len(paths) for row, paths in results_by_row(tmp_path).items()} == {
        **{"DELF+FT": 2, "DELF+FT+ATT": 3, "SIFT": 2, "RootSIFT": 2}
    }
    headline = results_by_row(tmp_path, headline=True)
    assert [*headline] == ["DELF+FT", "DELF+FT+ATT", "RootSIFT"]
    assert list(sweep("features", tmp_path)) == [20]
    assert list(sweep("dimensions", tmp_path)) == [8, 40]
    assert all(title(name) for name in {*RUNS, *SEEDS})


def test_a_sweep_has_the_run_of_another_kind_that_is_one_of_its_points(tmp_path):
    def keep(name, recall=1.0, **index):
        index = {"kind": "auto", "settings": {}} | index
        config = {"search": {"truncate": None}, "pca": {"dimensions": 40}, "index": index}
        result = {"config": config, "index": {"recall_at_60": recall}}
        write_result(tmp_path / f"rendered+places_{name}.json", result)

    keep("ft_att")
    keep("ft_att_200f", 0.995)
    assert (sweep("bits", tmp_path), sweep("recall", tmp_path)) == ({}, {})
    for name, parts, bits in (("20b", 4, 5), ("80b", 10, 8)):
        keep(f"ft_att_{name}", kind="pq", settings={"parts": parts, "bits": bits, "probes": 8192})
    assert sorted(sweep("bits", tmp_path)) == [20, 80, 640]
    keep("ft_att_200f_4e", 0.7)
    keep("ft_att_200f_exact")
    assert sorted(sweep("recall", tmp_path)) == pytest.approx([70, 99.5, 100])


def test_the_number_of_neighbors_is_varied_with_and_without_verification(tmp_path):
    for kind, base in {"neighbors": "ft_att", "neighbors, votes only": "ft_att_votes"}.items():
        for run in [RUNS[base], *(run for run in RUNS.values() if run.kind == kind)]:
            result = {"config": run.at(PROFILES["embedded"]).to_dict()}
            write_result(tmp_path / f"rendered+places_{run.name}.json", result)
        found = sweep(kind, tmp_path)
        assert sorted(found) == [30, 60, 120, 240]
        verified = {each["config"]["search"]["verified"] for each in found.values()}
        assert verified == ({100} if kind == "neighbors" else {0})
