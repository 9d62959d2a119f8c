"""Files that delfjax reads back: any other content is refused in one line, or changes nothing."""

import gc
import json
import os
import re
import resource
from contextlib import nullcontext

import numpy as np
import pytest
from denied import no_permission
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from worlds import head, network

from benchmarks.artifacts import KINDS, descriptors
from benchmarks.damaged import content, try_kind
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.google_landmarks import read_labels
from delfjax.datasets.revisited import load_plain
from delfjax.datasets.text_files import read_lines
from delfjax.features.pca import PCA
from delfjax.features.store import FILE, FeatureStore
from delfjax.files import (
    CHECKSUM,
    HEADER,
    StoreError,
    atomic_write,
    explain,
    read_tensors,
    write_tensors,
)
from delfjax.models.checkpoints import save_model
from delfjax.search.index import IndexFileError, build_index, load_index


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", KINDS)
def test_damage_is_refused_or_changes_nothing(name):
    """A sample of what `python -m benchmarks damaged` tries."""
    counts, wrong = try_kind(name, trials=12 if name == "training run" else 30)
    if name == "training run":
        gc.collect()  # Orbax leaves coroutines behind, whose errors belong to this test
    assert wrong == []
    assert counts["refused"]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("read", [read_lines, read_labels, load_plain, FeatureStore])
def test_only_regular_files_are_read(tmp_path, read, kind):
    """A pipe would never answer, and a device would never end."""
    path = odd = tmp_path / "odd"
    if read is FeatureStore:
        path.mkdir()
        odd = path / FILE
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "device":
        odd.symlink_to("/dev/zero")
    else:
        odd.mkdir()
    with pytest.raises(
        StoreError if read is FeatureStore else DatasetError, match=r"found (a folder|something)"
    ):
        read(path)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a file of each kind that has a checksum."""
    folder = tmp_path_factory.mktemp("written")
    for kind in ("model", "PCA"):
        KINDS[kind].write(folder, 0)
    return folder


@pytest.mark.parametrize(
    ("name", "kind"), [("model.safetensors", "model"), ("pca.safetensors", "PCA")]
)
def test_files_without_checksums_still_open(written, tmp_path, name, kind):
    """Version 0.1.0 wrote no checksums."""
    with safe_open(written / name, "np") as file:
        header = json.loads(file.metadata()[HEADER])
    old = {key: value for key, value in header.items() if key not in (CHECKSUM, "tensors")}
    save_file(load_file(written / name), tmp_path / name, {HEADER: json.dumps(old)} if old else {})
    read = KINDS[kind].read
    assert content(read(tmp_path)) == content(read(written))


@pytest.mark.parametrize("name", ["", FILE])
def test_a_missing_permission_is_named(shared_path, name):
    """It is neither damage nor an empty store."""
    store = shared_path / "store"
    KINDS["feature store"].write(store, 0)
    with no_permission(store / name), pytest.raises((OSError, StoreError)) as caught:
        FeatureStore(store)
    text = explain(caught.value) if isinstance(caught.value, OSError) else str(caught.value)
    assert "permissions" in text.partition("Fix: ")[2]
    assert "damaged" not in text


# --- an index whose checksums fit, but whose content does not


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A file with a graph of 400 descriptors."""
    folder = tmp_path_factory.mktemp("graph")
    KINDS["index nndescent"].write(folder, 0)
    return folder / "index"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A file with shards of 150 descriptors."""
    folder = tmp_path_factory.mktemp("shards")
    KINDS["index sharded"].write(folder, 0)
    return folder / "index"


def check_refused(index, path, change):
    """Copy an index with other tensors or another header, with new checksums, and read the copy."""
    tensors, header = read_tensors(index)
    change(tensors, header)
    write_tensors(path, {name: each for name, each in tensors.items() if each is not None}, header)
    with pytest.raises(IndexFileError, match="Fix: build the index again"):
        load_index(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"edges": np.full((400, 4), 400, np.int32)},
        {"edges": np.full((400, 4), -2, np.int32)},
        {"edges": np.full((399, 4), 0, np.int32)},
        {"edges": np.full((400, 9), 0, np.int32)},
        {"edges": np.zeros((400, 4), np.float32)},
        {"entries": np.array([400], np.int32)},
        {"entries": np.array([-1], np.int32)},
        {"entries": np.array([], np.int32)},
        {"descriptors": np.full((400, 20), np.nan, np.float32)},
        {"descriptors": np.zeros((3, 20), np.float32)},
        {"descriptors": np.zeros(400, np.float32)},
        {"descriptors": np.zeros((400, 20), np.int8)},
        {"descriptors": None},
        {"other": np.zeros(3, np.float32)},
    ],
)
def test_a_graph_with_other_tensors_is_refused(graph, tmp_path, changes):
    check_refused(graph, tmp_path / "index", lambda tensors, header: tensors.update(changes))


@pytest.mark.parametrize("effort", [0, -3, 1.5, "many", None, 2**40, [1], True])
def test_an_effort_out_of_range_is_refused(graph, tmp_path, effort):
    check_refused(
        graph, tmp_path / "index", lambda _, header: header["settings"].update(effort=effort)
    )


@pytest.mark.parametrize(
    "settings",
    [
        [],
        None,
        {"shards": []},
        {"size": "x", "settings": {}, "shards": [{"kind": "exact"}]},
        {"size": 3, "settings": {}, "shards": [{"kind": "exact", "settings": {"x": 3}}]},
    ],
)
def test_settings_of_shards_out_of_range_are_refused(shards, tmp_path, settings):
    check_refused(shards, tmp_path / "index", lambda _, header: header.update(settings=settings))


# --- writing


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_written_files_have_the_permissions_of_new_files(written, tmp_path, umask):
    old = os.umask(umask)
    try:
        PCA.load(written / "pca.safetensors").save(tmp_path / "pca")
        save_model(tmp_path / "model", network(), head(), with_backbone=True, training={})
        build_index(descriptors(0), "exact").save(tmp_path / "index")
    finally:
        os.umask(old)
    for path in filter(os.path.isfile, tmp_path.rglob("*")):
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask, path.name


@pytest.mark.parametrize("kind", ["model", "PCA", "index exact", "feature store"])
@pytest.mark.parametrize("reason", ["disk", "permission"])
def test_a_file_that_cannot_be_written_is_named(shared_path, kind, reason):
    """A full disk, and a folder without permission."""
    folder = shared_path / "new"
    folder.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 if reason == "disk" else soft, hard))
    try:
        with (
            no_permission(folder) if reason == "permission" else nullcontext(),
            pytest.raises((StoreError, PermissionError), match=re.escape(str(folder))),
        ):
            KINDS[kind].write(folder, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in folder.rglob("*") if path.name.endswith(".part")] == []


def test_a_link_in_place_of_a_temporary_file_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("delfjax.files.secrets.token_hex", lambda count: "known")
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / ".result.json.known.part").symlink_to(target)
    with (
        pytest.raises(StoreError, match="File exists"),
        atomic_write(tmp_path / "result.json") as temporary,
    ):
        temporary.write_text("overwritten")
    assert target.read_text() == "precious"
