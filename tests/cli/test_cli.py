"""The command line: output, files and exit codes of each command, with a tiny network."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import fakes
import numpy as np
import pytest
from PIL import Image
from worlds import classes, draw, head, network, save

import delfjax
from delfjax.cli import search
from delfjax.cli.main import COMMANDS, main
from delfjax.cli.search import _default_index
from delfjax.features.extraction import Extractor
from delfjax.features.factory import load
from delfjax.features.store import FeatureStore
from delfjax.models import checkpoints, weights
from delfjax.provenance import config_to_dict, write_result

MODEL = ["--longest", "64", "--max-features", "60"]
RANSAC = ["--hypotheses", "64", "--residual", "2"]

pytestmark = pytest.mark.usefixtures("tiny_network")


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def strict(text: str):
    """Parse JSON that has neither Infinity nor NaN."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return classes(tmp_path_factory.mktemp("cli") / "photos")


@pytest.fixture
def store(photos, tmp_path, capsys):
    """A store of all photos."""
    assert run("extract", photos.root, tmp_path / "store", *MODEL, "--dimensions", 8) == 0
    capsys.readouterr()
    return tmp_path / "store"


# --- match


def test_match_reports_features_matches_and_inliers(photos, capsys, tiny_network):
    pair = photos.path("a/0.png"), photos.path("a/1.png")
    assert run("match", *pair, *MODEL, *RANSAC, "--weights", "file.h5") == 0
    out, err = capsys.readouterr()
    lines = dict(line.split(maxsplit=1) for line in out.splitlines()[:4])
    assert lines["features"] == "60 and 60"
    assert 3 <= int(lines["inliers"]) <= int(lines["matches"]) <= 60
    assert lines["verdict"].endswith("%)")
    assert "affine    from (y, x, 1) of the first photo to (y, x) of the second" in out
    assert "extract" in err  # the progress
    assert [(str(each.file), each.spec) for each in tiny_network] == [("file.h5", "resnet50_v1")]


def test_match_of_a_photo_with_itself_is_the_identity(photos, capsys):
    photo = photos.path("a/0.png")
    assert run("match", photo, photo, *MODEL, *RANSAC, "--json", "-") == 0
    result = strict(capsys.readouterr().out)
    assert result["photos"] == [str(photo)] * 2
    assert (result["features"], result["matches"], result["inliers"]) == ([60, 60], 60, 60)
    assert result["verdict"]["label"] == "same place"
    assert 0.95 <= result["verdict"]["probability"] <= 1
    np.testing.assert_allclose(result["affine"], np.eye(2, 3), atol=1e-3)
    assert result["config"]["extraction"]["pyramid"]["longest"] == 64
    assert result["config"]["ransac"]["hypotheses"] == 64


def test_match_writes_json_and_a_figure(photos, tmp_path, capsys):
    pair = photos.path("a/0.png"), photos.path("b/0.png")
    outputs = "--json", tmp_path / "new" / "match.json", "--figure", tmp_path / "match.png"
    assert run("match", *pair, *MODEL, *RANSAC, *outputs) == 0
    assert "matches" in capsys.readouterr().out
    result = strict((tmp_path / "new" / "match.json").read_text())
    assert result["features"] == [60, 60]
    with Image.open(tmp_path / "match.png") as figure:
        assert figure.width > figure.height > 100


def test_match_uses_the_pca_of_a_store(photos, store, capsys):
    pair = photos.path("a/0.png"), photos.path("a/2.png")
    assert run("match", *pair, "--store", store, *RANSAC, "--json", "-") == 0
    # The extraction settings are those of the store, not the defaults of the command.
    assert strict(capsys.readouterr().out)["config"]["extraction"]["max_features"] == 60


# --- extract


def test_extract_adds_what_the_store_lacks(tmp_path, capsys):
    photos = classes(tmp_path / "photos", count=2, views=2)
    command = "extract", photos.root, tmp_path / "store", *MODEL, "--dimensions", 8
    assert run(*command) == 0
    counts = "4 added, 0 changed, 0 kept, 0 failed, 0 gone"
    assert capsys.readouterr().out.splitlines()[0] == f"{tmp_path / 'store'}: {counts}"
    save(photos.root / "new.png", draw(9))
    assert run(*command) == 0
    assert "1 added, 0 changed, 4 kept, 0 failed, 0 gone" in capsys.readouterr().out
    assert FeatureStore(tmp_path / "store").names == [
        "a/0.png",
        "a/1.png",
        "b/0.png",
        "b/1.png",
        "new.png",
    ]


def test_broken_photos_exit_with_3(tmp_path, capsys):
    photos = classes(tmp_path / "photos", count=2, views=2)
    photos.path("a/1.png").write_text("no photo")
    assert run("extract", photos.root, tmp_path / "store", *MODEL, "--dimensions", 8) == 3
    out, err = capsys.readouterr()
    assert "3 added, 0 changed, 0 kept, 1 failed, 0 gone" in out
    assert "1 photos could not be read:\n" in err
    assert f"{photos.path('a/1.png')} is not an image" in err
    assert run("evaluate", photos.root, *MODEL, *RANSAC, "--dimensions", 8) == 3
    assert "a/1.png is not an image" in capsys.readouterr().err


class LocalClient:
    """A cluster client that works in this process."""

    def submit(self, work, *arguments, pure):
        given = (each.result() if hasattr(each, "result") else each for each in arguments)
        done = work(*given)
        return SimpleNamespace(result=lambda timeout=None: done)

    def nthreads(self):
        return {"here": 1}


def test_extract_on_a_cluster_fills_the_same_store(photos, store, tmp_path, capsys, monkeypatch):
    connected = []

    @contextmanager
    def connect_cluster(**options):
        connected.append(options)
        yield LocalClient()

    monkeypatch.setattr(search, "connect_cluster", connect_cluster)
    command = "extract", photos.root, tmp_path / "other", *MODEL, "--dimensions", 8
    assert run(*command, "--workers", 2) == 0
    assert connected == [{"scheduler": None, "workers": 2}]
    assert "9 added, 0 changed, 0 kept, 0 failed, 0 gone" in capsys.readouterr().out
    ours, theirs = FeatureStore(tmp_path / "other").gather(), FeatureStore(store).gather()
    assert ours.checksum == theirs.checksum


# --- index and search


def test_index_reports_cost_and_recall(store, capsys):
    assert run("index", store) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (lines["kind"], lines["photos"], lines["descriptors"]) == ("exact", "9", "540")
    assert lines["recall_at_60"] == "1.0"
    assert run("index", store, "--index", "exact", "--json", "-") == 0
    assert strict(capsys.readouterr().out)["photos"] == 9


def test_search_uses_the_saved_index(photos, store, tmp_path, capsys, monkeypatch):
    command = "search", store, photos.path("b/1.png"), "--neighbors", 20, *RANSAC, "--top", 4
    assert run(*command) == 0
    expected = capsys.readouterr().out
    assert run("index", store, "--kind", "sharded", "--json", "-") == 0
    assert strict(capsys.readouterr().out)["saved"] == f"{store}.index"
    assert run("index", store, "--kind", "exact", "--out", tmp_path / "other") == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(search, "build_index", None)
        for saved in ((), ("--saved", tmp_path / "other")):
            assert run(*command, *saved) == 0
            assert capsys.readouterr().out == expected


def test_search_refuses_the_index_of_another_database(photos, store, tmp_path, capsys):
    command = "search", store, photos.path("a/0.png"), "--neighbors", 20, *RANSAC
    assert run("index", store) == 0
    for surplus in ("--truncate", 4), ("--features", 20), ("--index", "exact"):
        assert run(*command, "--saved", f"{store}.index", *surplus) == 2
        assert "Fix: leave out --saved, or leave out the other" in capsys.readouterr().err
    for cut in ("--truncate", 4), ("--features", 20):
        assert run(*command, *cut) == 0
    assert run(*command, "--saved", tmp_path / "nowhere") == 1
    assert "nowhere: this folder holds no index" in capsys.readouterr().err
    more = save(tmp_path / "more" / "photo.png", draw(9)).parent
    assert run("extract", more, store, *MODEL, "--dimensions", 8) == 0
    assert run(*command) == 1, "a photo more"
    error = capsys.readouterr().err
    assert f"{store}.index: " in error
    assert error.endswith("Fix: build the index again (delfjax index)\n")
    assert run(*command, "--index", "exact") == 0
    assert run("index", store) == 0
    assert run(*command) == 0


def test_search_ranks_the_store(photos, store, capsys):
    command = "search", store, photos.path("b/1.png"), "--neighbors", 20, *RANSAC, "--top", 4
    assert run(*command) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["score", "inliers", "votes", "photo"]
    assert len(rows) == 4
    assert rows[0].split() == ["120", "60", "60", "b/1.png"]
    assert run(*command, "--json", "-") == 0
    result = strict(capsys.readouterr().out)
    assert result["query"] == str(photos.path("b/1.png"))
    names = header.split()
    assert [[str(row[name]) for name in names] for row in result["results"]] == [
        row.split() for row in rows
    ]
    assert run(*command, "--score", "inliers") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["60", "60", "60", "b/1.png"]


def test_search_in_a_store_without_pca(photos, tmp_path, capsys):
    model = load()
    settings = {"backbone": model.name, "model": model.checksum}
    settings["extraction"] = config_to_dict(model.config)
    with FeatureStore(tmp_path / "store", settings) as store:
        for name in photos.names[:4]:
            store.write(name, model(photos.load(name)))
    assert run("search", store.path, photos.path(photos.names[2]), *RANSAC, "--top", 1) == 0
    assert capsys.readouterr().out.split()[-1] == photos.names[2]


def test_other_weights_than_those_of_the_store_are_refused(photos, store, capsys, monkeypatch):
    monkeypatch.setattr(weights, "load_backbone", lambda spec, *, file=None: network(1))
    assert run("search", store, photos.path("a/0.png")) == 1
    assert "the features were not extracted by" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["match", "index", "search"])
def test_an_empty_store_is_named(photos, store, tmp_path, capsys, command):
    """An interrupt while the PCA is learned leaves such a store."""
    bare = FeatureStore(tmp_path / "bare", FeatureStore(store).made_by).path
    photo = photos.path("a/0.png")
    arguments = {
        "match": (photo, photo, "--store", bare),
        "index": (bare,),
        "search": (bare, photo),
    }
    assert run(command, *arguments[command]) == 1
    assert (
        f"{bare}: the store is empty. Fix: run delfjax extract FOLDER {bare}"
        in capsys.readouterr().err
    )


# --- evaluate and table


def test_evaluate_prints_map_and_keeps_its_store(photos, tmp_path, capsys, monkeypatch):
    outputs = "--json", tmp_path / "run.json", "--page", tmp_path / "page.html"
    command = "evaluate", photos.root, *MODEL, *RANSAC, "--dimensions", 8, "--neighbors", 20
    assert run(*command, *outputs) == 0
    out = capsys.readouterr().out
    assert "mAP  " in out
    assert "queries     9, database 9 photos" in out
    assert "P@5 " in out
    summary = strict((tmp_path / "run.json").read_text())
    assert 0 <= summary["value"] <= 100
    assert f"mAP         {summary['value']:.1f}" in out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    (store,) = (tmp_path / "cache" / "stores").iterdir()
    assert str(store) in out
    # A second run reads everything from the same store.
    monkeypatch.setattr(Extractor, "_launch", None)
    assert run(*command, "--json", "-") == 0
    again = strict(capsys.readouterr().out)
    assert again["value"] == summary["value"]
    assert len(list((tmp_path / "cache" / "stores").glob("[!.]*"))) == 1


def test_patterns_separate_queries_from_the_database(photos, tmp_path, capsys):
    command = "evaluate", photos.root, *MODEL, *RANSAC, "--dimensions", 8, "--json", "-"
    parts = "--queries", "0.*", "--database", "[12].*", "--store", tmp_path / "store"
    assert run(*command, *parts) == 0
    summary = strict(capsys.readouterr().out)
    assert (summary["queries"], summary["database"]) == (3, 6)
    assert len(FeatureStore(tmp_path / "store")) == 9


# --- trained models


@pytest.fixture
def model(tmp_path):
    """A trained model with attention, and its backbone inside."""
    path = tmp_path / "model.safetensors"
    checkpoints.save_model(path, network(1), head(1), with_backbone=True, training={})
    return path


def test_a_trained_model_selects_by_its_attention(photos, tmp_path, capsys, model):
    store = tmp_path / "store"
    assert run("extract", photos.root, store, *MODEL, "--dimensions", 8, "--model", model) == 0
    assert FeatureStore(store).made_by["extraction"]["selection"] == "attention"
    search = "search", store, photos.path("a/0.png"), "--neighbors", 20, *RANSAC
    assert run(*search, "--model", model) == 0
    assert "a/0.png" in capsys.readouterr().out
    assert run(*search) == 1
    assert "the features were not extracted by" in capsys.readouterr().err


def test_a_trained_backbone_may_select_by_norm(photos, tmp_path, model):
    options = *MODEL, "--dimensions", 8, "--model", model, "--selection", "norm"
    assert run("extract", photos.root, tmp_path / "store", *options) == 0
    assert FeatureStore(tmp_path / "store").made_by["extraction"]["selection"] == "norm"


def test_attention_needs_a_head(photos, capsys):
    pair = photos.path("a/0.png"), photos.path("a/1.png")
    assert run("match", *pair, *MODEL, "--selection", "attention") == 2
    assert "needs an attention head" in capsys.readouterr().err


# --- benchmark


def test_benchmark_scores_every_protocol(tmp_path, capsys):
    fakes.revisited(tmp_path)
    command = "benchmark", "roxford5k", "--root", tmp_path, *MODEL, *RANSAC, "--dimensions", 8
    assert run(*command, "--json", tmp_path / "run.json", "--page", tmp_path / "page.html") == 0
    out = capsys.readouterr().out
    protocols = [line.split()[1] for line in out.splitlines() if line.startswith("protocol")]
    assert sorted(protocols) == ["easy", "hard", "medium"]
    summary = strict((tmp_path / "run.json").read_text())
    assert summary["protocol"] == protocols[0] == "medium"
    assert set(summary["other_protocols"]) == {"easy", "hard"}
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["rendered", "rendered+places"])
def test_a_folder_may_have_the_name_of_the_rendered_set(tmp_path, capsys, name):
    photos = classes(tmp_path / name, count=2, views=2)
    assert run("evaluate", photos.root, *MODEL, *RANSAC, "--dimensions", 8, "--neighbors", 20) == 0
    assert "mAP  " in capsys.readouterr().out


@pytest.mark.parametrize("store", ["", ".", "..", "sub/..", "other/store"])
def test_the_index_lies_beside_the_store(store, tmp_path, monkeypatch):
    (tmp_path / "a" / "b" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    folder = (Path.cwd() / store).resolve()
    assert _default_index(Path(store)).resolve() == folder.with_name(f"{folder.name}.index")


def test_a_store_serves_a_benchmark_with_distractors_too(tmp_path, capsys):
    fakes.everything(tmp_path)
    options = "--root", tmp_path, *MODEL, *RANSAC, "--dimensions", 8
    for name in ("oxford5k", "oxford5k+flickr100k"):
        assert run("benchmark", name, *options) == 0
    (store,) = (tmp_path / "cache" / "stores").glob("[!.]*")
    assert store.name.startswith("oxford5k-")
    assert "holds" not in capsys.readouterr().err


def test_benchmark_with_optional_stages(tmp_path, capsys):
    fakes.revisited(tmp_path)
    command = "benchmark", "roxford5k", "--root", tmp_path, *MODEL, *RANSAC, "--dimensions", 8
    assert run(*command, "--global", "gem") == 0
    (vectors,) = (tmp_path / "cache" / "stores").glob("[!.]*")
    assert vectors.suffix == ".safetensors", "global descriptors alone: no local features"
    assert str(vectors) in capsys.readouterr().out
    around = "--global", "gem", "--fuse", 0.25, "--expand", "local", "--ratio", 0.95
    assert run(*command, *around, "--transform", "homography", "--json", "-") == 0
    summary = strict(capsys.readouterr().out)
    assert "global gem, fused at 0.25, local expansion" in summary["what"]
    assert summary["config"]["search"]["ratio"] == 0.95
    assert summary["config"]["search"]["ransac"]["model"] == "homography"
    assert run(*command, "--fuse", 0.25) == 2
    assert "a fusion weight needs global descriptors" in capsys.readouterr().err


def test_benchmark_names_missing_data_and_how_to_get_it(tmp_path, capsys):
    assert run("benchmark", "oxford5k", "--root", tmp_path) == 1
    assert "delfjax data fetch oxford5k" in capsys.readouterr().err


def test_table_lists_results(tmp_path, capsys):
    write_result(tmp_path / "run.json", {"value": 12.5, "what": "mAP"})
    assert run("table", "--results", tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["run", "12.5", "mAP"]


# --- help


def test_help_of_the_module():
    """Run in a process of its own, as users do."""
    command = [sys.executable, "-m", "delfjax", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(command in done.stdout for command in COMMANDS)
    assert "exit codes: 0 success" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(command, "--help")
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert f"delfjax {command}" in out
    assert "exit codes: 0 success" in out
    assert not re.search(r"default:\s+(None|False|\[\])", out)


def test_help_shows_useful_defaults(capsys):
    with pytest.raises(SystemExit):
        run("match", "--help")
    out = " ".join(capsys.readouterr().out.split())
    assert "random seed of RANSAC (default: 0)" in out
    assert "maximum number of features per photo (default: 1000)" in out


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        run("--version")
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"delfjax {delfjax.__version__}\n"


# --- errors


@pytest.mark.parametrize(
    "arguments",
    [
        *((), ("guess",), ("match", "one.jpg"), ("benchmark", "oxford")),
        *(("data",), ("data", "fetch"), ("data", "fetch", "oxford")),
        ("extract", "a", "b", "--workers", "2", "--scheduler", "tcp://host:8786"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(*arguments)
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: delfjax")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("match none.png none.png", "none.png cannot be read (No such file or directory)"),
        ("extract none store", "none cannot be read (No such file or directory)"),
        ("evaluate none", "none cannot be read"),
        ("index none", "none: no feature store here. Fix: create one with "),
        ("search none none.png", "none: no feature store here"),
        ("match {photo} {photo} --store none", "none: no feature store here"),
        ("table --results none", "none: the folder has no results. Fix: run `make reproduce`"),
        ("evaluate {photo}", "cannot be read"),
        ("evaluate {folder}/a", "expected at least two sub-folders, one per class"),
        ("evaluate {folder} --queries x", "file name matches"),
        ("extract {folder} {folder}", "neither empty nor a feature store"),
    ],
)
def test_failures_exit_with_1_and_a_reason(
    photos, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    arguments = arguments.format(photo=photos.path("a/0.png"), folder=photos.root).split()
    assert run(*arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"delfjax {arguments[0]}: " in err
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_weights_that_cannot_be_downloaded_exit_with_1(photos, capsys, monkeypatch):
    def load(spec, *, file=None):
        raise weights.WeightsError("could not download")

    monkeypatch.setattr(weights, "load_backbone", load)
    assert run("match", photos.path("a/0.png"), photos.path("a/1.png")) == 1
    assert capsys.readouterr().err.endswith("delfjax match: could not download\n")


@pytest.mark.parametrize("rows", [1, 5000])
def test_a_closed_pipe_is_no_error(tmp_path, capsys, monkeypatch, rows):
    """Short output breaks when it is flushed, long output when it is printed."""
    write_result(tmp_path / "row.json", {"value": 1, "what": "what" * rows})
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert run("table", "--results", tmp_path) == 1
    assert capsys.readouterr().err == ""


def test_an_interrupted_run_can_be_resumed(photos, tmp_path, capsys, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Extractor, "_launch", interrupt)
    assert run("extract", photos.root, tmp_path / "store", *MODEL) == 130
    assert (
        "delfjax extract: interrupted. Run the same command again to resume"
        in capsys.readouterr().err
    )
