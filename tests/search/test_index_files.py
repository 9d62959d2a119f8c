"""Indexes on disk: same results after loading, and damage is refused."""

from pathlib import Path

import numpy as np
import pytest
from descriptors import DATABASE, QUERIES
from safetensors.numpy import load_file
from test_product_quantization import INDEX_KINDS, needs_faiss

from delfjax.files import read_header, read_tensors, write_tensors
from delfjax.search.exact import ExactIndex
from delfjax.search.index import IndexFileError, build_index, load_index

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
    assert (tmp_path / "again").read_bytes() == (tmp_path / "index").read_bytes()


@pytest.fixture
def path(tmp_path):
    """Path of an index."""
    return tmp_path / "store.index"


def test_an_index_of_version_0_1_0_is_refused():
    path = V0_1_0 / "index_exact"
    with pytest.raises(IndexFileError, match=r"found a folder, .* index of an earlier .*") as error:
        load_index(path)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(
        "Fix: remove the folder, and build the index again (delfjax index)"
    )
    with pytest.raises(IndexFileError, match="remove the folder"):
        ExactIndex(DATABASE).save(path)


@pytest.mark.parametrize(
    ("kind", "count"), [("nndescent", 300), pytest.param("pq", 3000, marks=needs_faiss)]
)
def test_effort_and_settings_are_kept_separately(kind, count, path):
    index = build_index(DATABASE[:count], kind)
    index.effort = 123
    index.save(path)
    loaded = load_index(path)
    assert (loaded.effort, loaded.config) == (123, index.config)


@pytest.mark.parametrize(
    "settings",
    [{}, {"config": {"unheard_of": 1}, "effort": 3}, {"config": {"beam": 0}, "effort": 3}],
)
def test_unknown_settings_are_an_error_of_one_line(path, settings):
    build_index(DATABASE[:50], "nndescent").save(path)
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"settings": settings})
    with pytest.raises(
        IndexFileError, match=r"damaged; expected an index of delfjax .*Fix: build"
    ) as error:
        load_index(path)
    assert "\n" not in str(error.value)


def test_the_header_holds_kind_settings_and_versions(path):
    build_index(DATABASE[:50], "nndescent", seed=4).save(path)
    header = read_header(path)
    assert (header["kind"], header["descriptors"]) == ("nndescent", 50)
    assert header["settings"]["config"]["seed"] == 4
    assert {"delfjax", "numpy", "python"} <= set(header["versions"])


def test_an_index_of_another_database_is_an_error(path):
    ExactIndex(DATABASE).save(path, database="abc")
    assert len(load_index(path)) == len(load_index(path, database="abc")) == 3000
    with pytest.raises(
        IndexFileError, match=r"belongs to another database: .*build the index again"
    ):
        load_index(path, database="other")
    ExactIndex(DATABASE).save(path)
    with pytest.raises(IndexFileError, match="build the index again"):
        load_index(path, database="abc")


@pytest.mark.parametrize("exact", [True, False])
def test_half_precision_is_used_only_without_loss(path, exact):
    database = DATABASE.astype(np.float16).astype(np.float32) if exact else DATABASE
    ExactIndex(database).save(path)
    assert load_file(path)["descriptors"].dtype == (np.float16 if exact else np.float32)
    np.testing.assert_array_equal(load_index(path).descriptors, database)


@pytest.mark.parametrize("text", ["", '{"kind": "exact"}'])
def test_a_damaged_index_is_an_error(path, text):
    path.write_text(text)
    with pytest.raises(IndexFileError, match=r"store\.index: damaged; expected an index"):
        load_index(path)


def test_a_missing_index_is_an_error(path):
    with pytest.raises(IndexFileError, match=r"store\.index: no index here\. Fix: build"):
        load_index(path)


def test_saving_again_replaces_the_index(path):
    ExactIndex(DATABASE).save(path)
    build_index(DATABASE[:500], "sharded", inner="exact", size=200).save(path)
    assert len(load_index(path)) == 500
    assert list(path.parent.iterdir()) == [path]
