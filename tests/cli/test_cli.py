"""The command line: output, files and exit codes of each command, with a tiny network."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import fakes
import numpy as np
import pytest
from PIL import Image
from worlds import SMALL, classes, draw, head, network, save

from delfjax.cli import extract, search
from delfjax.cli.extract import default_index
from delfjax.cli.main import COMMANDS, EXAMPLES, main, parse
from delfjax.features.extraction import Extractor
from delfjax.features.factory import load
from delfjax.features.store import FeatureStore
from delfjax.models import checkpoints, weights
from delfjax.plots.retrieval import VERDICT_MARKS
from delfjax.provenance import config_to_dict, write_result
from delfjax.search import photo_search

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
    """A store of all photos, extracted once and copied."""
    extracted = photos.root.with_name("store")
    if not extracted.exists():
        assert run("extract", photos.root, extracted, *MODEL, "--dimensions", 8) == 0
        capsys.readouterr()
    return shutil.copytree(extracted, tmp_path / "store")


@pytest.fixture
def query(photos, tmp_path):
    """A photo with the pixels of b/1.png, in a file with another content."""
    path = tmp_path / "query.png"
    Image.open(photos.path("b/1.png")).save(path, compress_level=1)
    assert path.read_bytes() != photos.path("b/1.png").read_bytes()
    return path


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
    points = np.array(result["coordinates"])
    assert points.shape == (60, 4)
    np.testing.assert_array_equal(points[:, :2], points[:, 2:])
    assert result["is_inlier"] == [True] * 60
    assert result["config"]["extraction"]["pyramid"]["longest"] == 64
    assert result["config"]["ransac"]["hypotheses"] == 64


def test_match_without_inliers_has_no_map(photos, capsys):
    pair = photos.path("a/0.png"), photos.path("b/0.png")
    command = "match", *pair, *MODEL, "--max-distance", 0.001
    assert run(*command) == 0
    assert capsys.readouterr().out.endswith("\naffine    none, because no matches agree\n")
    assert run(*command, "--json", "-") == 0
    assert strict(capsys.readouterr().out)["affine"] is None


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


# --- export


def test_export_writes_the_three_files_of_hloc(store, tmp_path, capsys):
    assert run("export", store, tmp_path / "hloc", "--top", 2, *RANSAC) == 0
    assert {path.name for path in (tmp_path / "hloc").iterdir()} == {
        "features.h5",
        "matches.h5",
        "pairs.txt",
    }
    assert "features and matches of 9 photos" in capsys.readouterr().out


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
    assert "photos that could not be read (1):\n" in err
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

    monkeypatch.setattr(extract, "connect_cluster", connect_cluster)
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


def test_search_uses_the_saved_index(photos, store, capsys, monkeypatch):
    command = "search", store, photos.path("b/1.png"), "--neighbors", 20, *RANSAC, "--top", 4
    assert run(*command) == 0
    expected = capsys.readouterr().out
    assert run("index", store, "--kind", "sharded", "--json", "-") == 0
    assert strict(capsys.readouterr().out)["saved"] == f"{store}.index"
    monkeypatch.setattr(search, "build_index", None)
    assert run(*command) == 0
    assert capsys.readouterr().out == expected


def test_search_refuses_the_index_of_another_database(photos, store, tmp_path, capsys):
    command = "search", store, photos.path("a/0.png"), "--neighbors", 20, *RANSAC
    assert run("index", store) == 0
    for cut in ("--truncate", 4), ("--features", 20):
        assert run(*command, *cut) == 0
    more = save(tmp_path / "more" / "photo.png", draw(9)).parent
    assert run("extract", more, store, *MODEL, "--dimensions", 8) == 0
    assert run(*command) == 1, "a photo more"
    error = capsys.readouterr().err
    assert f"{store}.index: " in error
    assert error.endswith("Fix: build the index again (delfjax index)\n")
    assert run(*command, "--index", "exact") == 0
    assert run("index", store) == 0
    assert run(*command) == 0


def test_search_ranks_the_store(query, store, capsys):
    command = "search", store, query, "--neighbors", 20, *RANSAC, "--top", 4
    assert run(*command) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["verdict", "score", "inliers", "votes", "photo"]
    assert len(rows) == 4
    assert rows[0].startswith(tuple(VERDICT_MARKS))
    assert rows[0].split()[-3:] == ["60", "60", "b/1.png"]
    assert run(*command, "--json", "-") == 0
    result = strict(capsys.readouterr().out)
    assert (result["query"], result["copies_of_query"]) == (str(query), [])
    for row, found in zip(rows, result["results"], strict=True):
        assert found["verdict"]["label"] in VERDICT_MARKS
        assert 0 <= found["verdict"]["probability"] <= 1
        score, *others = row.split()[-4:]
        assert float(score) == pytest.approx(found["score"], abs=0.05)
        assert others == [str(found[name]) for name in header.split()[2:]]
    assert run(*command, "--score", "inliers") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-4:] == ["60.0", "60", "60", "b/1.png"]
    assert run(*command, "--verified", 0) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("not verified")


def test_search_in_a_store_without_pca(photos, tmp_path, capsys):
    model = load("resnet50_v1", SMALL)
    settings = {"backbone": model.name, "model": model.checksum}
    settings["extraction"] = config_to_dict(model.config)
    with FeatureStore(tmp_path / "store", settings) as store:
        for name in photos.names[:4]:
            store.write(name, model(photos.load(name)))
    assert run("search", store.path, photos.path(photos.names[2]), *RANSAC, "--top", 1) == 0
    assert capsys.readouterr().out.split()[-1] in photos.names[:4]


def test_other_weights_than_those_of_the_store_are_refused(photos, store, capsys, monkeypatch):
    monkeypatch.setattr(weights, "load_backbone", lambda spec, *, file=None: network(1))
    assert run("search", store, photos.path("a/0.png")) == 1
    assert "the features were extracted by a model with the backbone" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["match", "index", "search"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_an_unfinished_store_is_named(photos, store, tmp_path, capsys, command, is_empty):
    """An interrupt while the PCA is learned leaves such a store."""
    full, bare = FeatureStore(store), tmp_path / "bare"
    with FeatureStore(bare, full.made_by) as unfinished:
        if not is_empty:
            unfinished.write("a", full.read("a/0.png"))
    found = "store is empty" if is_empty else "extraction was interrupted before the PCA was"
    photo = photos.path("a/0.png")
    arguments = {
        "match": (photo, photo, "--store", bare),
        "index": (bare,),
        "search": (bare, photo),
    }
    assert run(command, *arguments[command]) == 1
    error = capsys.readouterr().err
    assert f"{bare}: the {found}" in error
    assert error.endswith(f"Fix: run delfjax extract FOLDER {bare}\n")


# --- search in a folder of photos

SEARCH = *MODEL, "--dimensions", 8, "--neighbors", 20, *RANSAC


def found(out):
    """Return the names of the results that the command printed."""
    return [line.split()[-1] for line in out.splitlines()[1:] if "left out" not in line]


def cached_store(tmp_path):
    (folder,) = (tmp_path / "cache" / "stores").iterdir()
    return folder


def test_search_in_a_folder_keeps_its_features(query, tmp_path, capsys, monkeypatch):
    folder = classes(tmp_path / "my photos").root
    (folder / "notes.txt").write_text("no photo")
    command = "search", folder, query, *SEARCH
    assert run(*command) == 0
    out, err = capsys.readouterr()
    assert found(out)[0] == "b/1.png"
    store = cached_store(tmp_path)
    assert store.name.startswith("my photos-")
    assert err.splitlines()[0] == f"{folder}: the features are kept in {store}"
    assert "photos: 9 extracted, 0 kept, 0 removed" in err
    assert "1 files are not photos and were skipped (1 .txt)" in err
    launches = []
    launch = Extractor._launch
    monkeypatch.setattr(Extractor, "_launch", lambda *each: launches.append(each) or launch(*each))
    assert run("search", os.path.relpath(folder), *command[2:]) == 0
    again, err = capsys.readouterr()
    assert again == out
    assert " extracted, " not in err
    assert len(launches) == 1, "only the query"
    assert [*store.parent.iterdir()] == [store]
    assert run(*command, "--max-features", 30) == 0, "other settings: another store"
    assert len([*store.parent.iterdir()]) == 2


def test_search_notices_changed_photos(query, tmp_path, capsys):
    photos = classes(tmp_path / "photos")
    command = "search", photos.root, query, *SEARCH, "--top", 20
    assert run(*command) == 0
    assert "b/1.png" in found(capsys.readouterr().out)
    photos.path("b/1.png").rename(photos.root / "moved.png")
    photos.path("b/0.png").unlink()
    save(photos.path("a/0.png"), draw(99))
    save(photos.path("c/broken.png"), draw(5)).write_text("no photo")
    assert run(*command) == 3
    out, err = capsys.readouterr()
    assert "photos: 2 extracted, 6 kept, 2 removed" in err
    assert f"{photos.path('c/broken.png')} is not an image" in err
    assert found(out)[0] == "moved.png"
    assert not {"b/0.png", "b/1.png"} & {*found(out)}
    assert sorted(FeatureStore(cached_store(tmp_path)).names) == [
        *("a/0.png", "a/1.png", "a/2.png", "b/2.png", "c/0.png", "c/1.png", "c/2.png", "moved.png")
    ]


def test_the_query_itself_is_left_out(photos, store, tmp_path, capsys):
    copy = tmp_path / "a copy.png"
    copy.write_bytes(photos.path("b/1.png").read_bytes())
    for folder, settings in ((photos.root, SEARCH), (store, SEARCH[6:])):
        assert run("search", folder, copy, *settings, "--page", tmp_path / "page.html") == 0
        out = capsys.readouterr().out
        assert out.splitlines()[-1] == "left out, because it is the query itself: b/1.png"
        assert "b/1.png" not in found(out)
        page = (tmp_path / "page.html").read_text()
        assert "<summary>Left out, because it is the query itself (1)</summary>" in page
        assert run("search", folder, copy, *settings, "--json", "-") == 0
        result = strict(capsys.readouterr().out)
        assert result["copies_of_query"] == ["b/1.png"]
        assert "b/1.png" not in [row["photo"] for row in result["results"]]


def test_an_interrupted_search_keeps_the_extracted_photos(query, tmp_path, capsys, monkeypatch):
    folder = classes(tmp_path / "photos").root
    launch, launches = Extractor._launch, []

    def interrupt(*arguments):
        if len(launches) == 5:
            raise KeyboardInterrupt
        launches.append(arguments)
        return launch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "_launch", interrupt)
        assert run("search", folder, query, *SEARCH) == 130
    err = capsys.readouterr().err
    assert "delfjax search: interrupted. Run the same command again to resume" in err
    launches = []
    monkeypatch.setattr(Extractor, "_launch", lambda *each: launches.append(each) or launch(*each))
    assert run("search", folder, query, *SEARCH) == 0
    assert 5 <= len(launches) <= 7, "at most two of five photos again, and the query"
    assert found(capsys.readouterr().out)[0] == "b/1.png"


def test_a_folder_that_has_grown_learns_its_pca_again(query, tmp_path, capsys):
    folder = tmp_path / "photos"
    for counts, extracted in (([*range(7)], 7), ([7], 8), ([8], 1)):
        for number in counts:
            save(folder / f"{number}.png", draw(number))
        assert run("search", folder, query, *SEARCH) == 0
        assert f"\nphotos: {extracted} extracted, " in capsys.readouterr().err
    for number in (7, 8):
        (folder / f"{number}.png").unlink()
    assert run("search", folder, query, *SEARCH) == 0
    assert " extracted, " not in capsys.readouterr().err, "the first store is used again"


@pytest.mark.parametrize("count", [1, 2])
def test_a_folder_may_have_few_photos(query, tmp_path, capsys, count):
    for number in range(count):
        save(tmp_path / "photos" / f"{number}.png", draw(number))
    assert run("search", tmp_path / "photos", query, *MODEL, *RANSAC) == 0, "a PCA of 40 dimensions"
    assert len(found(capsys.readouterr().out)) == count


def test_too_few_features_for_the_pca_are_named(query, tmp_path, capsys):
    save(tmp_path / "photos" / "0.png", draw(0))
    command = "search", tmp_path / "photos", query, "--longest", 64, "--max-features", 30, *RANSAC
    assert run(*command) == 1
    assert "cannot fit a PCA of 40 dimensions to 30 descriptors" in capsys.readouterr().err
    save(tmp_path / "photos" / "1.png", draw(1))
    assert run(*command) == 0, "more photos"


def test_photos_that_are_all_unreadable_are_named(query, tmp_path, capsys):
    photos = classes(tmp_path / "photos", count=1, views=2)
    command = "search", photos.root, query, *SEARCH
    for expected in (0, 1, 1):
        assert run(*command) == expected
        for name in photos.names:
            photos.path(name).write_text("no photo")
    assert "is not an image" in capsys.readouterr().err


def test_a_large_folder_has_a_saved_index(query, tmp_path, capsys, monkeypatch):
    photos = classes(tmp_path / "photos")
    builds = []
    build = photo_search.build_index

    def build_sharded(descriptors):
        builds.append(len(descriptors))
        return build(descriptors, "sharded")

    monkeypatch.setattr(photo_search, "build_index", build_sharded)
    command = "search", photos.root, query, *SEARCH
    for _ in range(2):
        assert run(*command) == 0
    assert builds == [540]
    save(photos.root / "new.png", draw(9))
    assert run(*command) == 0, "an index of other photos is built again"
    assert builds == [540, 600]
    assert found(capsys.readouterr().out)[0] == "b/1.png"
    assert run(*command, "--index", "exact") == 0
    assert builds == [540, 600]


def test_the_page_shows_the_results(query, tmp_path, capsys, monkeypatch):
    photos = classes(tmp_path / "photos")
    photos.path("a/1.png").write_text("no photo")
    (photos.root / "notes.txt").write_text("text")
    monkeypatch.setattr(sys, "argv", ["delfjax", "search", "my photos", "q.png"])
    command = "search", photos.root, query, *SEARCH, "--top", 3, "--page", tmp_path / "page.html"
    assert run(*command) == 3
    names = found(capsys.readouterr().out)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"<li style.*?<bdi>(.*?)</bdi>", page) == names
    assert "Photos that could not be read (1)" in page
    assert "Files that are not photos (1)</summary><ul><li><bdi>notes.txt</bdi>" in page
    assert "<code>delfjax search &#x27;my photos&#x27; q.png</code>" in page
    assert len(re.findall("<figure", page)) >= 1


def test_the_page_names_the_current_folder(photos, query, tmp_path, monkeypatch):
    monkeypatch.chdir(photos.root)
    assert run("search", ".", query, *SEARCH, "--page", tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"9 photos in the folder <bdi>{photos.root.name}</bdi>." in page


def test_the_page_of_a_store_finds_the_photos(query, photos, store, tmp_path, capsys):
    moved = photos.root.with_name("moved")
    command = "search", store, query, *SEARCH[6:], "--top", 3, "--page", tmp_path / "page.html"
    for root, pictures in ((photos.root, 3), (moved, 0)):
        photos.root.rename(root)
        assert run(*command) == 0
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert page.count('alt="result ') == pictures
        assert page.count("The file cannot be read.") == 3 - pictures
    moved.rename(photos.root)


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
    assert "the features were extracted by a model with the backbone" in capsys.readouterr().err


def test_a_trained_backbone_may_select_by_norm(photos, tmp_path, model):
    options = *MODEL, "--dimensions", 8, "--model", model, "--selection", "norm"
    assert run("extract", photos.root, tmp_path / "store", *options) == 0
    assert FeatureStore(tmp_path / "store").made_by["extraction"]["selection"] == "norm"


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


def test_a_folder_may_have_the_name_of_the_rendered_set(tmp_path, capsys):
    photos = classes(tmp_path / "rendered+places", count=2, views=2)
    assert run("evaluate", photos.root, *MODEL, *RANSAC, "--dimensions", 8, "--neighbors", 20) == 0
    assert "mAP  " in capsys.readouterr().out


@pytest.mark.parametrize("store", ["", ".", "..", "sub/..", "other/store"])
def test_the_index_lies_beside_the_store(store, tmp_path, monkeypatch):
    (tmp_path / "a" / "b" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    folder = (Path.cwd() / store).resolve()
    assert default_index(Path(store)).resolve() == folder.with_name(f"{folder.name}.index")


def test_a_store_serves_a_benchmark_with_distractors_too(tmp_path, capsys):
    fakes.revisited(tmp_path)
    fakes.revisitop1m(tmp_path)
    options = "--root", tmp_path, *MODEL, *RANSAC, "--dimensions", 8
    for name in ("roxford5k", "roxford5k+revisitop1m"):
        assert run("benchmark", name, *options) == 0
    (store,) = (tmp_path / "cache" / "stores").glob("[!.]*")
    assert store.name.startswith("roxford5k-")
    assert "holds" not in capsys.readouterr().err


def test_benchmark_with_optional_stages(tmp_path, capsys):
    fakes.revisited(tmp_path)
    command = "benchmark", "roxford5k", "--root", tmp_path, *MODEL, *RANSAC, "--dimensions", 8
    assert run(*command, "--global", "gem") == 0
    (vectors,) = (tmp_path / "cache" / "stores").glob("[!.]*")
    assert "global" in FeatureStore(vectors).made_by, "global descriptors alone: no local features"
    assert str(vectors) in capsys.readouterr().out
    around = "--global", "gem", "--fuse", 0.25, "--expand", "local", "--ratio", 0.95
    assert run(*command, *around, "--json", "-") == 0
    summary = strict(capsys.readouterr().out)
    assert "global gem, fused at 0.25, local expansion" in summary["what"]
    assert summary["config"]["search"]["ratio"] == 0.95
    assert run(*command, "--fuse", 0.25) == 2
    assert "a fusion weight needs global descriptors" in capsys.readouterr().err


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
def test_example_of_each_command_is_a_valid_command_line(command):
    options = parse([command, *shlex.split(EXAMPLES[command])])
    assert options.command == command


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(command, "--help")
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert f"delfjax {command}" in out
    assert "exit codes: 0 success" in out
    assert not re.search(r"default:\s+(None|False|\[\])", out)


def test_help_of_search_separates_basic_and_advanced_options(capsys):
    with pytest.raises(SystemExit):
        run("search", "--help")
    out = capsys.readouterr().out
    assert "example:\n  delfjax search PHOTOS QUERY.jpg --page found.html\n" in out
    basic, advanced = out.split("advanced options:")
    for option in ("--page", "--top", "--json", "--model"):
        assert f"\n  {option} " in basic
    for option in ("--neighbors", "--longest", "--dimensions", "--seed"):
        assert f"\n  {option} " in advanced


def test_help_shows_useful_defaults(capsys):
    with pytest.raises(SystemExit):
        run("match", "--help")
    out = " ".join(capsys.readouterr().out.split())
    assert "random seed of RANSAC (default: 0)" in out
    assert "maximum number of features per photo (default: 1000)" in out


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
        ("search none none.png", "none cannot be read (No such file or directory)"),
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


def test_an_interrupt_that_a_callback_ignores_is_repeated(capsys, monkeypatch):
    class Callback:
        def __del__(self):
            raise KeyboardInterrupt

    def command(_) -> int:
        Callback()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            time.sleep(0.01)
        return 0

    monkeypatch.setattr("delfjax.cli.main._run", command)
    hook = sys.unraisablehook
    # A shell that starts the tests in the background lets them ignore Ctrl-C.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run("models") == 130
    finally:
        signal.signal(signal.SIGINT, handler)
    assert capsys.readouterr().err.startswith("delfjax models: interrupted.")
    assert sys.unraisablehook is hook
