"""Results are made if they are missing or out of date; a run that fails stops no other."""

from dataclasses import replace

import pytest
from worlds import draw, extractor, save

from delfjax import datasets
from delfjax.cli.main import main
from delfjax.datasets import catalog, labeled
from delfjax.features.extract_folder import PCAConfig
from delfjax.geometry.ransac import RansacConfig
from delfjax.paper import reproduce
from delfjax.paper.reproduce import LabeledFolder, Reproduction, plan, run_all
from delfjax.paper.runs import RUNS, Run
from delfjax.provenance import RESULTS, read_result, write_result

NAMES = ["rendered_norm", "rendered_ft_norm"]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Replace the rendered set by three synthetic photos, and every model by a tiny network."""
    for number in (0, 1, 2):
        save(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", draw(number % 2))
    benchmark = replace(labeled(tmp_path / "photos"), name="synthetic")
    monkeypatch.setattr(datasets, "load", lambda name, root: benchmark)
    monkeypatch.setattr(reproduce, "load", tiny)
    monkeypatch.setenv("DELFJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Run, "at", quick(Run.at))
    return tmp_path / "results"


def tiny(model, backend="jax"):
    """Return a tiny network under the name of a model."""
    loaded = extractor()
    loaded.name = model
    return loaded


def quick(at):
    """Return the same configurations with small sizes."""

    def small(run, profile):
        config = at(run, replace(profile, longest=64))
        search = replace(config.search, ransac=RansacConfig(hypotheses=64))
        return replace(config, pca=PCAConfig(dimensions=8), search=search)

    return small


def states(folder, names=NAMES):
    return [outcome.state for outcome in run_all(plan(names, folder))]


def outdated(jobs):
    reproduction = Reproduction()
    return [reproduction.outdated(job) for job in jobs]


def test_results_are_kept_until_something_they_depend_on_changes(results, monkeypatch):
    jobs = plan(NAMES, results)
    assert [outcome.reason for outcome in run_all(jobs)] == ["missing", "missing"]
    path = results / "rendered_norm.json"
    kept, made = path.read_bytes(), read_result(path)
    assert made["config"] == jobs[0].config.to_dict()
    assert set(made["inputs_sha256"]) == {"model", "photos"}
    assert made["headline"] is False, "the README shows the set with distractors only"
    assert made["command"] == "delfjax reproduce --only rendered_norm"
    assert states(results) == ["kept", "kept"]
    assert path.read_bytes() == kept

    for change, reason in (
        ({"protocol_version": 0}, "another code version"),
        ({"config": made["config"] | {"shortlist": 3}}, "another configuration"),
        ({"inputs_sha256": made["inputs_sha256"] | {"photos": "0"}}, "other photos"),
    ):
        write_result(path, made | change)
        assert outdated(jobs) == [reason, None]
    path.write_text("{")
    assert [outcome.reason for outcome in run_all(jobs)] == ["damaged", ""]
    assert outdated(jobs) == [None, None]
    monkeypatch.setattr(reproduce, "model_sha256", lambda model: "0")
    assert outdated(jobs) == ["another model"] * 2


def test_a_failed_run_is_reported_and_stops_no_other(results, capsys, monkeypatch):
    def fail(model, backend):
        if model == "resnet50_v1":
            raise RuntimeError("out of memory")
        return tiny(model)

    monkeypatch.setattr(reproduce, "load", fail)
    command = ["reproduce", "--results", str(results), "--only", *NAMES]
    assert main(command) == 1
    assert "FAILED rendered_norm: RuntimeError: out of memory" in capsys.readouterr().out
    assert [path.name for path in results.iterdir()] == ["rendered_ft_norm.json"]
    monkeypatch.setattr(reproduce, "load", tiny)
    assert main(command) == 0
    assert "1 made, 1 up to date, 0 failed" in capsys.readouterr().out


def test_an_interrupt_ends_the_command(results, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "evaluate", interrupt)
    assert main(["reproduce", "--results", str(results), "--only", *NAMES]) == 130


def test_photos_that_cannot_be_read_are_counted(results, tmp_path, capsys, monkeypatch):
    command = ["reproduce", "--results", str(results), "--only", "rendered_norm"]
    (tmp_path / "photos" / "a" / "0.png").write_text("no photo")
    assert main(command) == 1
    assert "no query has a correct database photo" in capsys.readouterr().out
    save(tmp_path / "photos" / "b" / "3.png", draw(1))
    benchmark = replace(labeled(tmp_path / "photos"), name="synthetic")
    monkeypatch.setattr(datasets, "load", lambda name, root: benchmark)
    for state in ("1 made", "0 made, 1 up to date"):
        assert main(command) == 3
        out = capsys.readouterr().out
        assert state in out
        assert "rendered_norm.json: number of unreadable photos: 1;" in out


def test_each_model_is_loaded_once(results, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        reproduce, "load", lambda model, backend: loaded.append(model) or tiny(model)
    )
    run_all(plan(["norm", "ft_norm", *NAMES], results))
    assert loaded == ["resnet50_v1", "delf_ft"]


def test_the_backend_runs_networks_but_not_handcrafted_features(results, monkeypatch):
    loaded = {}
    monkeypatch.setattr(
        reproduce, "load", lambda model, backend: loaded.update({model: backend}) or tiny(model)
    )
    names = ["rendered_norm", "rendered_sift"]
    run_all(plan(names, results, backend="openvino"))
    assert loaded == {"resnet50_v1": "openvino", "sift": "jax"}
    command = "delfjax reproduce --only rendered_norm --backend openvino"
    assert read_result(results / "rendered_norm.json")["command"] == command


def test_the_full_profile_runs_on_the_large_rendered_set(results):
    jobs = plan(profile="full", folder=results)
    assert {job.benchmark for job in jobs} == {"rendered_large"}
    assert {job.path.parent for job in jobs} == {results / "full"}
    assert jobs[0].command == "delfjax reproduce --only rendered_large_norm --profile full"
    (named,) = plan(["rendered_large_ft_att"], results)
    assert not named.headline, "in the embedded profile, the README shows the small set"


def test_the_list_shows_scores_states_and_commands(capsys):
    assert main(["reproduce", "--list", "--only", "rendered+places_ft_att"]) == 0
    name, state, command = capsys.readouterr().out.splitlines()
    assert name == "rendered+places_ft_att  DELF+FT+ATT"
    assert state.startswith("  mAP ")
    assert command.strip() == "delfjax reproduce --only rendered+places_ft_att"


def test_every_committed_result_is_up_to_date():
    reproduction = Reproduction()
    outdated = {job.name: reproduction.outdated(job) for job in plan()}
    assert {name: reason for name, reason in outdated.items() if reason} == {}


def test_the_readme_shows_the_set_with_distractors():
    shown = {job.name for job in plan() if job.headline}
    assert {"rendered+places_norm", "rendered+places_ft_att"} <= shown
    assert not [name for name in shown if name.startswith("rendered_")]


def test_names_choose_runs_benchmarks_and_results():
    assert len(plan()) == len(plan(["rendered"])) == len(RUNS)
    assert [job.name for job in plan(["sift"])] == ["rendered+places_sift"]
    assert [job.name for job in plan(["sift", "rendered_norm"])] == [
        "rendered_norm",
        "rendered+places_sift",
    ]
    with pytest.raises(ValueError, match=r"unknown name nonsense; expected a run"):
        plan(["nonsense"])


def test_missing_data_sets_are_listed_with_the_way_to_get_them(results, tmp_path, capsys):
    command = ["reproduce", "--results", str(results), "--only", "rendered_norm"]
    assert main([*command, "--data", str(tmp_path / "none")]) == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not run: ")]
    assert len(listed) == len(catalog.DATASETS)
    assert {job.benchmark for job in plan(data=tmp_path)} == {"rendered+places"}


def test_a_labeled_folder_has_results_of_its_own(results, tmp_path):
    cache = tmp_path / "cache"
    command = ["reproduce", "--labeled", str(tmp_path / "photos"), "--database=[012].*"]
    command += ["--only", "norm"]
    save(tmp_path / "photos" / "b" / "3.png", draw(1))
    assert main(command) == 0
    (path,) = (cache / "results").glob("photos-*/*.json")
    made = read_result(path)
    assert (path.name, made["benchmark"]) == ("labeled_norm.json", "labeled")
    assert (made["queries"], made["database"]) == (4, 3)
    assert "curve" not in made
    assert main([*command, "--list"]) == 0
    assert main([*command, "--queries=0.*"]) == 0
    assert len([*(cache / "results").glob("photos-*/*.json")]) == 2, "one folder for each pattern"
    save(tmp_path / "photos" / "b" / "4.png", draw(1))
    folder = LabeledFolder(folder=tmp_path / "photos", database="[012].*")
    (job,) = plan(["norm"], path.parent, labeled=folder)
    assert Reproduction().outdated(job) == "other photos"


def test_patterns_need_a_labeled_folder(capsys):
    assert main(["reproduce", "--queries=0.*"]) == 2
    assert "Fix: add --labeled" in capsys.readouterr().err


def test_results_of_the_papers_sizes_have_a_folder_of_their_own():
    ours, papers = (plan(["rendered_norm"], profile=name)[0] for name in ("embedded", "paper"))
    assert ours.path == RESULTS / "rendered_norm.json"
    assert papers.path == RESULTS / "paper" / "rendered_norm.json"
    assert (papers.config.extraction.pyramid.longest, papers.config.search.features) == (1024, 1000)
