"""Making what is missing: what is there is kept, what is out of date is made again, what fails stops nothing."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from worlds import draw, extractor, save

from delfjax import datasets, fingerprint, provenance
from delfjax.datasets import catalog
from delfjax.cli import main
from delfjax.cli.evaluate import inputs_sha256, load_as_asked
from delfjax.datasets.labeled_folder import labeled
from delfjax.files import digest
from delfjax.images.reading import PhotoError, scan
from delfjax.paper import reproduce
from delfjax.paper.reproduce import LabeledFolder, lacking, plan, run_all
from delfjax.paper.runs import FOLDER, RUNS

NAMES = ["rendered_norm", "rendered_ft_norm"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A set of three drawn photos in the place of the rendered one, and a tiny network for each model."""
    for number in (0, 1, 2):
        save(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", draw(number % 2))
    loaded = replace(labeled(scan(tmp_path / "photos")), name="drawn")
    monkeypatch.setattr(datasets, "load", lambda name, root: loaded)
    monkeypatch.setattr(reproduce, "extractor_for", lambda options: extractor())
    monkeypatch.setenv("DELFJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(reproduce.Job, "arguments", property(small(reproduce.Job.arguments)))
    return tmp_path / "results"


def small(arguments: property):
    """Make commands of the same runs that take no time."""

    def made(job):
        return [*arguments.fget(job), "--dimensions", "8", "--hypotheses", "64"]

    return made


def states(outcomes):
    return [outcome.state for outcome in outcomes]


def reasons(outcomes):
    return [outcome.reason for outcome in outcomes]


def test_what_is_there_is_kept_and_what_is_old_is_made_again(world, monkeypatch):
    first = run_all(NAMES, world)
    assert states(first) == ["made", "made"]
    assert reasons(first) == ["missing", "missing"]
    path = world / "rendered_norm.json"
    kept, made = path.read_bytes(), provenance.read_result(path)
    assert made["code_sha256"] == fingerprint.code_sha256()
    assert set(made["inputs_sha256"]) == {"landmarks"}
    assert made["headline"] is False, "the rendered set alone is only a comparison"
    assert made["command"] == first[0].job.command
    assert "model" in provenance.read_result(world / "rendered_ft_norm.json")["inputs_sha256"]

    assert states(run_all(NAMES, world)) == ["kept", "kept"]
    assert path.read_bytes() == kept

    path.write_text("{")
    assert reasons(run_all(NAMES, world)) == ["damaged", ""]
    provenance.write_result(path, made | {"command": "delfjax benchmark rendered"})
    assert reasons(run_all(NAMES, world)) == ["another command", ""]
    monkeypatch.setattr(reproduce, "code_sha256", lambda: "0" * 64)
    assert reasons(run_all(NAMES, world)) == ["other code"] * 2


def test_another_model_makes_results_old(world, tmp_path, monkeypatch):
    run_all(["rendered_ft_norm"], world)
    (tmp_path / "data" / "checkpoints").mkdir(parents=True)
    shutil.copy("delfjax/models/zoo/delf_att.safetensors", tmp_path / RUNS["ft_norm"].arguments[1])
    monkeypatch.chdir(tmp_path)
    assert reasons(run_all(["rendered_ft_norm"], world)) == ["another model or set"]


def test_what_fails_is_told_and_stops_nothing(world, capsys, monkeypatch):
    def fail(options):
        if options.model is None:
            raise RuntimeError("no such luck")
        return extractor()

    monkeypatch.setattr(reproduce, "extractor_for", fail)
    command = ["reproduce", "--results", str(world), "--only", *NAMES]
    assert main.main(command) == 1
    assert "FAILED rendered_norm: RuntimeError: no such luck" in capsys.readouterr().out
    assert [path.name for path in world.iterdir()] == ["rendered_ft_norm.json"]
    monkeypatch.setattr(reproduce, "extractor_for", lambda options: extractor())
    assert main.main(command) == 0
    assert "1 made, 1 up to date, 0 failed" in capsys.readouterr().out


def test_an_interrupt_is_none_of_the_failures(world, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "evaluate_as_asked", interrupt)
    assert main.main(["reproduce", "--results", str(world), "--only", *NAMES]) == 130


def test_photos_that_cannot_be_read_are_told(world, tmp_path, capsys, monkeypatch):
    command = ["reproduce", "--results", str(world), "--only", "rendered_norm"]
    (tmp_path / "photos" / "a" / "0.png").write_text("no photo")
    assert main.main(command) == 1
    assert "no query has another readable photo" in capsys.readouterr().out
    save(tmp_path / "photos" / "b" / "3.png", draw(1))
    loaded = replace(labeled(scan(tmp_path / "photos")), name="drawn")
    monkeypatch.setattr(datasets, "load", lambda name, root: loaded)
    for told in ("1 made", "0 made, 1 up to date"):
        assert main.main(command) == 3
        out = capsys.readouterr().out
        assert told in out
        assert "rendered_norm.json: 1 photos could not be read; `failed` in it names them" in out


def test_each_network_is_loaded_once(world, monkeypatch):
    asked = []
    monkeypatch.setattr(
        reproduce, "extractor_for", lambda options: asked.append(options.model) or extractor()
    )
    run_all(["norm", "ft_norm"], world)
    assert len(asked) == 2


def test_the_list_shows_commands_beside_scores(capsys):
    assert main.main(["reproduce", "--list", "--only", "rendered+places_ft_att"]) == 0
    name, _, command = capsys.readouterr().out.splitlines()
    assert name == "rendered+places_ft_att  DELF+FT+ATT"
    assert command.strip().startswith(
        "delfjax benchmark rendered+places --longest 320 --features 100"
    )


def test_the_headline_is_of_the_set_with_distractors():
    shown = {job.name for job in plan() if job.headline}
    assert {"rendered+places_norm", "rendered+places_ft_att"} <= shown
    assert not [name for name in shown if name.startswith("rendered_")]


def test_names_choose_runs_benchmarks_and_results():
    assert len(plan()) == 2 * len(RUNS)
    assert [job.name for job in plan(["sift"])] == ["rendered_sift", "rendered+places_sift"]
    assert len(plan(["rendered"])) == len(RUNS)
    with pytest.raises(ValueError, match="no run, benchmark or result nonsense; expected a run"):
        plan(["nonsense"])


def test_real_sets_that_are_missing_are_named_with_how_to_get_them(tmp_path):
    told = lacking(tmp_path)
    assert len(told) == len(catalog.DATASETS)
    assert any("oxford5k" in words for words in told)
    assert {job.benchmark for job in plan(data=tmp_path)} == {*datasets.RENDERED}


def test_a_labeled_folder_is_a_benchmark_of_its_own(world, tmp_path):
    """With results apart from the checkout's; another photo makes them old."""
    cache = tmp_path / "cache"
    command = ["reproduce", "--labeled", str(tmp_path / "photos"), "--database=[012].*"]
    command += ["--only", "norm"]
    save(tmp_path / "photos" / "b" / "3.png", draw(1))
    assert main.main(command) == 0
    (path,) = (cache / "results").glob("photos-*/*.json")
    made = provenance.read_result(path)
    assert (path.name, made["benchmark"]) == ("labeled_norm.json", "photos")
    assert (made["queries"], made["database"]) == (4, 3)
    assert "curve" not in made
    assert main.main([*command, "--list"]) == 0
    assert main.main([*command, "--queries=0.*"]) == 0
    assert len([*(cache / "results").glob("photos-*/*.json")]) == 2, "other queries lie apart"
    assert main.main(["reproduce", "--queries=0.*"]) == 1, "of no folder"
    save(tmp_path / "photos" / "b" / "4.png", draw(1))
    folder = LabeledFolder(folder=tmp_path / "photos", database="[012].*")
    (job,) = plan(["norm"], path.parent, labeled=folder)
    assert job.outdated() == "another model or set"


def test_another_copy_of_the_rendered_set_is_the_one_that_counts(tmp_path):
    """`--root` names a folder that may have its own: its list of checksums is what a result keeps."""
    (tmp_path / "landmarks").mkdir()
    (tmp_path / "landmarks" / "SHA256SUMS").write_text("of the copy")
    options = plan(["rendered_norm"])[0].options
    ours = inputs_sha256(options)
    options.root = tmp_path
    assert inputs_sha256(options) == {"landmarks": digest(b"of the copy")} != ours
    with pytest.raises(PhotoError, match=str(tmp_path / "landmarks")):
        datasets.load("rendered", tmp_path)


def test_patterns_are_for_labeled_folders():
    options = plan(["rendered_norm"])[0].options
    options.queries = "0.*"
    with pytest.raises(ValueError, match="--queries and --database are for labeled, not rendered"):
        load_as_asked(options)


def test_results_of_the_papers_sizes_lie_apart():
    ours, theirs = (plan(["rendered_norm"], profile=name)[0] for name in ("embedded", "paper"))
    assert ours.path == FOLDER / "rendered_norm.json"
    assert theirs.path == FOLDER / "paper" / "rendered_norm.json"
    assert np.all([size in theirs.command for size in ("--longest 1024", "--features 1000")])
