"""Indexes on disk: same results after loading, damage is refused, a killed process leaves no half index."""

import json
from pathlib import Path

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES
from safetensors.numpy import load_file
from test_product_quantization import INDEX_KINDS, needs_faiss

from delfjax.features.store import FeatureStore
from delfjax.files import CHECKSUM, Lock, StoreError, with_checksum
from delfjax.search import index_files
from delfjax.search.exact import ExactIndex
from delfjax.search.index import build_index, load_index
from delfjax.search.index_files import MANIFEST, IndexFileError

V0_1_0 = Path(__file__).parents[1] / "data" / "v0_1_0"
SETTINGS = {
    "exact": {},
    "nndescent": {"beam": 70},
    "sharded": {"size": 1000, "inner": "nndescent"},
    "pq": {"probes": 20},
}


@pytest.mark.parametrize("kind", INDEX_KINDS)
def test_a_loaded_index_gives_the_same_results(kind, tmp_path):
    index = build_index(DATABASE, kind, **SETTINGS.get(kind, {}))
    index.save(tmp_path / "index")
    loaded = load_index(tmp_path / "index")
    assert type(loaded) is type(index)
    assert loaded.kind == kind
    assert (len(loaded), loaded.effort) == (3000, index.effort)
    for ours, theirs in zip(index.search(QUERIES), loaded.search(QUERIES), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    loaded.save(tmp_path / "again")
    files = [
        sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("index", "again")
    ]
    assert files[0] == files[1], "files are named after their content"


@pytest.mark.parametrize("kind", ["exact", "sharded"])
def test_an_index_of_version_0_1_0_gives_the_same_results(kind):
    database = FeatureStore(V0_1_0 / "store").gather()
    index = load_index(V0_1_0 / f"index_{kind}", database=database.checksum)
    expected = json.loads((V0_1_0 / f"index_{kind}.search.json").read_text())
    found = index.search(database.descriptors[:5], 3)
    assert found.rows.tolist() == expected["rows"]
    np.testing.assert_allclose(found.distances, expected["distances"], atol=1e-3)


@pytest.mark.parametrize("kind", ["nndescent", "codes"])
def test_other_indexes_of_version_0_1_0_are_refused(kind):
    with pytest.raises(IndexFileError, match=r"written by delfjax 0\.1\.0\. Fix: build") as error:
        load_index(V0_1_0 / f"index_{kind}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["nndescent", pytest.param("pq", marks=needs_faiss)])
def test_effort_and_settings_are_kept_separately(kind, tmp_path):
    index = build_index(DATABASE, kind)
    index.effort = 123
    index.save(tmp_path)
    loaded = load_index(tmp_path)
    assert (loaded.effort, loaded.config) == (123, index.config)


@pytest.mark.parametrize(
    "settings",
    [{}, {"config": {"unheard_of": 1}, "effort": 3}, {"config": {"beam": 0}, "effort": 3}],
)
def test_unknown_settings_are_an_error_of_one_line(tmp_path, settings):
    build_index(DATABASE[:50], "nndescent").save(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    del manifest[CHECKSUM]
    changed = with_checksum(manifest | {"settings": settings})
    (tmp_path / MANIFEST).write_text(json.dumps(changed))
    with pytest.raises(
        IndexFileError, match=r"cannot be read .* written by delfjax .*Fix"
    ) as error:
        load_index(tmp_path)
    assert "\n" not in str(error.value)


def test_the_manifest_holds_kind_settings_and_versions(tmp_path):
    build_index(DATABASE[:50], "nndescent", seed=4).save(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert (manifest["kind"], manifest["descriptors"]) == ("nndescent", 50)
    assert manifest["settings"]["config"]["seed"] == 4
    assert {"delfjax", "numpy", "python"} <= set(manifest["versions"])


def test_an_index_of_another_database_is_an_error(tmp_path):
    ExactIndex(DATABASE).save(tmp_path, database="abc")
    assert len(load_index(tmp_path)) == len(load_index(tmp_path, database="abc")) == 3000
    with pytest.raises(
        IndexFileError, match=r"belongs to another database: .*build the index again"
    ):
        load_index(tmp_path, database="other")
    ExactIndex(DATABASE).save(tmp_path)
    with pytest.raises(IndexFileError, match="build the index again"):
        load_index(tmp_path, database="abc")


@pytest.mark.parametrize("exact", [True, False])
def test_half_precision_is_used_only_without_loss(tmp_path, exact):
    database = DATABASE.astype(np.float16).astype(np.float32) if exact else DATABASE
    ExactIndex(database).save(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    assert load_file(file)["descriptors"].dtype == (np.float16 if exact else np.float32)
    np.testing.assert_array_equal(load_index(tmp_path).descriptors, database)


def test_a_missing_file_is_an_error(tmp_path):
    ExactIndex(DATABASE).save(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    file.unlink()
    with pytest.raises(IndexFileError, match=f"{file.name}: the file is missing"):
        load_index(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "exact"}'])
def test_a_damaged_manifest_is_an_error(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(IndexFileError, match=r"index\.json: damaged; expected an index"):
        load_index(tmp_path)


def test_a_missing_index_is_an_error(tmp_path):
    with pytest.raises(IndexFileError, match="this folder holds no index"):
        load_index(tmp_path / "nowhere")


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(IndexFileError, match=r"letter\.txt is not part of an index"):
        ExactIndex(DATABASE).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_saving_again_replaces_all_files(tmp_path):
    ExactIndex(DATABASE).save(tmp_path)
    build_index(DATABASE[:500], "sharded", inner="exact", size=200).save(tmp_path)
    assert len(load_index(tmp_path)) == 500
    assert len(list(tmp_path.glob("[!.]*"))) == 1 + 3


def test_one_process_at_a_time_writes(tmp_path, monkeypatch):
    index = ExactIndex(DATABASE[:50])
    index.save(tmp_path)
    monkeypatch.setattr(index_files, "WRITE_SECONDS", 0)
    before = sorted(tmp_path.iterdir())
    with (
        Lock(tmp_path / index_files.LOCK),
        pytest.raises(StoreError, match="held by another process"),
    ):
        ExactIndex(DATABASE).save(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert len(load_index(tmp_path)) == 50


def test_an_index_that_is_replaced_meanwhile_is_read_again(tmp_path, monkeypatch):
    ExactIndex(DATABASE).save(tmp_path)
    original = index_files._read_tensors

    def replace_first(*arguments):
        monkeypatch.undo()
        ExactIndex(DATABASE[:50]).save(tmp_path)
        return original(*arguments)

    monkeypatch.setattr(index_files, "_read_tensors", replace_first)
    assert len(load_index(tmp_path)) == 50
