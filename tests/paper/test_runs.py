"""The table of runs: every row is a command that the command line takes, and each is asked once."""

import pytest

from delfjax import datasets, provenance
from delfjax.cli import main
from delfjax.cli.options import combined_config, index_config, search_config
from delfjax.paper.reproduce import Job, plan
from delfjax.paper.runs import (
    DIMENSIONS,
    PROFILES,
    RUNS,
    SEEDS,
    SWEEPS,
    by_row,
    command,
    files,
    sweep,
    title,
)
from delfjax.paper.values import fig5, table1

each_profile = pytest.mark.parametrize("profile", PROFILES)


@each_profile
def test_every_command_is_one_that_the_command_line_takes(profile):
    for job in plan(profile=profile):
        typed = job.command.split()[1:]
        read = vars(main.parser().parse_args(typed))
        assert read.pop("command") == "benchmark"
        ours = vars(job.options)
        ours.pop("typed")
        assert ours == {key: read[key] for key in ours}
        assert read["longest"] == PROFILES[profile].longest
        combined_config(job.options)
        index_config(job.options)
        search_config(job.options)


def test_no_two_runs_ask_the_same_but_the_sweeps_own():
    commands = {}
    for name, run in RUNS.items():
        job = Job(run=run, benchmark="rendered", profile=PROFILES["embedded"])
        commands.setdefault(tuple(job.arguments[:-2]), []).append(name)
    assert [names for names in commands.values() if len(names) > 1] == [["ft_att", "ft_att_100f"]]


def test_models_and_photos_are_there():
    for run in RUNS.values():
        options = Job(run=run, benchmark="rendered", profile=PROFILES["embedded"]).options
        assert options.model is None or options.model.is_file()
        assert options.global_whiten is None or options.global_whiten.is_dir()


def test_rows_of_the_paper_are_called_as_it_calls_them():
    rows = {run.row for run in RUNS.values()}
    assert {"DELF-noFT", "DELF+FT", "DELF-noFT+ATT", "DELF+FT+ATT"} <= rows & set(fig5().curves)
    assert rows & {*table1().rows} == {"DELF+FT+ATT"}, "nothing else in Table 1 is what we do"
    assert len(rows) == len(RUNS)


def test_the_readme_has_room_for_the_headline():
    assert 4 <= sum(run.headline for run in RUNS.values()) <= 12


def test_results_are_found_with_their_seeds(tmp_path):
    def keep(name, **config):
        benchmark = name.partition("_")[0]
        same = {"benchmark": benchmark if benchmark in datasets.NAMES else "rendered+places"}
        provenance.write(tmp_path / f"{name}.json", same | config)

    for name in ("ft_att", "ft_norm", "ft_att_20f", "ft_att_8d", "sift", "rootsift"):
        search = {"features": 20, "truncate": 8 if name.endswith("d") else None}
        config = {"search": search, "reduction": {"dimensions": 40}}
        keep(f"rendered+places_{name}", config=config)
        keep(f"rendered_{name}", config=config)
    for name in ("ftatt1_attention_100", "joint0_attention_100", "ftatt1_attention_1000"):
        keep(f"runs/{name}")

    def found(name, *benchmark):
        return [path.stem for path in files(name, tmp_path, *benchmark)]

    assert found("ft_att") == ["rendered+places_ft_att", "ftatt1_attention_100"]
    assert found("ft_att", "rendered") == ["rendered_ft_att"]
    assert files("joint", tmp_path, seeds=False) == []
    assert (found("joint"), found("norm")) == (["joint0_attention_100"], [])
    assert {row: len(paths) for row, paths in by_row(tmp_path).items()} == {
        **{"DELF+FT": 2, "DELF+FT+ATT": 3, "SIFT": 2, "RootSIFT": 2}
    }
    assert [*by_row(tmp_path, headline=True)] == ["DELF+FT", "DELF+FT+ATT", "RootSIFT"]
    assert list(sweep("features", tmp_path)) == [20]
    assert list(sweep("dimensions", tmp_path)) == [8, 40]
    assert all(title(name) for name in {*RUNS, *SEEDS})


def test_sweeps_by_recall_and_by_bits(tmp_path):
    """With the run of another kind that all are compared with, once there is one to compare."""

    def keep(name, recall=1.0, **index):
        config = {"search": {"truncate": None}, "reduction": {"dimensions": 40}} | index
        found = {"config": config, "index": {"recall_at_60": recall}}
        provenance.write(tmp_path / f"rendered+places_{name}.json", found)

    keep("ft_att")
    keep("ft_att_200f", 0.995)
    assert (sweep("bits", tmp_path), sweep("recall", tmp_path)) == ({}, {})
    for name, parts, bits in (("20b", 4, 5), ("80b", 10, 8)):
        settings = {"parts": parts, "bits": bits, "probes": 8192}
        keep(f"ft_att_{name}", index={"kind": "codes", "settings": settings})
    assert sorted(sweep("bits", tmp_path)) == [20, 80, 640]
    keep("ft_att_200f_4e", 0.7)
    keep("ft_att_200f_exact")
    assert sorted(sweep("recall", tmp_path)) == pytest.approx([70, 99.5, 100])


@pytest.mark.parametrize("kind", SWEEPS)
def test_a_sweep_names_the_command_that_makes_it(kind):
    read = main.parser().parse_args(command(kind).split()[1:])
    assert {RUNS[name].kind for name in read.only} == {kind}


def test_dimensions_are_fewer_than_the_papers():
    assert all(0 < size < 40 for size in DIMENSIONS)
