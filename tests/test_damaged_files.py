"""Files that delfjax reads back: any other content is refused in one line, or changes nothing."""

import json
import os
import shutil
import struct
from importlib.util import find_spec

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from worlds import classes, extractor, head, network

from delfjax import provenance
from delfjax.features.global_descriptors import (
    GlobalConfig,
    GlobalDescriptors,
    GlobalExtractor,
    extract_global_descriptors,
)
from delfjax.features.pca import PCA
from delfjax.files import CHECKSUM, HEADER, StoreError, atomic_write, with_checksum
from delfjax.models.checkpoints import load_model, read_manifest, save_model
from delfjax.models.conversion import WeightsError, read_weights
from delfjax.search.index import build_index, load_index
from delfjax.search.index_files import MANIFEST, IndexFileError
from delfjax.training.run_folder import RunFolder

needs_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="needs faiss")
RANDOM = np.random.default_rng(0)
DESCRIPTORS = RANDOM.normal(size=(400, 20)).astype(np.float32)
QUERIES = RANDOM.normal(size=(3, 20)).astype(np.float32)
INDEXES = {
    "exact": {},
    "nndescent": {"neighbors": 5, "degree": 4},
    "sharded": {"size": 150, "inner": "exact"},
    "pq": {"bits": 3, "parts": 4},
}


def read_index(path):
    index = load_index(path.parent)
    found = index.search(QUERIES, 3)
    return [index.kind, index.effort, index._settings(), found.rows, found.distances]


def read_model(path):
    backbone, attention = load_model(path)
    scores = attention(jnp.ones((1, 2, 2, 64)))
    return [read_manifest(path), backbone.spec.name, np.asarray(scores)]


def read_pca(path):
    return [*vars(PCA.load(path)).values()]


def read_global(path):
    found = GlobalDescriptors.load(path)
    return [found.names, found.vectors, found.made_by, dict(found.sources)]


READERS = {
    "index.json": (read_index, IndexFileError),
    "model.safetensors": (read_model, WeightsError),
    "pca.safetensors": (read_pca, StoreError),
    "global.safetensors": (read_global, StoreError),
    "weights.safetensors": (read_weights, WeightsError),
    "weights.h5": (read_weights, WeightsError),
    "weights.tgz": (read_weights, WeightsError),
    "result.json": (provenance.read_result, ValueError),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with one good file of each kind that has a checksum."""
    folder = tmp_path_factory.mktemp("written")
    training = {"seed": 3}
    save_model(
        folder / "model.safetensors", network(), head(), with_backbone=True, training=training
    )
    PCA.fit(DESCRIPTORS, dimensions=4).save(folder / "pca.safetensors")
    photos = classes(folder / "photos", count=2, views=1)
    describe = GlobalExtractor(extractor(), GlobalConfig(longest=64))
    extract_global_descriptors(describe, photos, folder / "global.safetensors")
    return folder


def header(content, body=b""):
    """Return a safetensors file with any header."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"mean": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


CONTENTS = {
    "empty": b"",
    "list": b"[]",
    "null": b"null",
    "text": b"not a file of delfjax",
    "not_utf8": b"\xff\xfe{}",
    "deep": b"[" * 100_000,
    "object": b"{}",
    "kind": b'{"kind": "exact"}',
    "files": b'{"kind": [], "settings": null, "files": {"index": null}, "versions": {}}',
    "short": b"\x05\0\0",
    "no_tensors": header({}),
    "header_list": header(b"[]"),
    "header_deep": header(b"[" * 100_000),
    "header_10_gb": struct.pack("<Q", 10 * 2**30) + b"{}",
    "header_largest": b"\xff" * 8 + b"{}",
    "tensor_10_gb": header(tensor(shape=(2**31,), offsets=(0, 2**33))),
    "offsets_reversed": header(tensor(offsets=(8, 0)), b"\0" * 8),
    "offsets_outside": header(tensor(offsets=(4, 12)), b"\0" * 8),
    "shape_overflow": header(tensor(shape=(0, 2**62, 2**40), offsets=(0, 0))),
    "shape_negative": header(tensor(shape=(-2,)), b"\0" * 8),
    "bfloat16": header(tensor("BF16", offsets=(0, 4)), b"\0" * 4),
    "float8": header(tensor("F8_E4M3", offsets=(0, 2)), b"\0" * 2),
    "complex": header(tensor("C64", (1,)), b"\0" * 8),
    "not_a_number": header(tensor(), b"\xff" * 8),
    "manifest_null": header({"__metadata__": {HEADER: "null"}, **tensor()}, b"\0" * 8),
    "manifest_deep": header({"__metadata__": {HEADER: "[" * 100_000}, **tensor()}, b"\0" * 8),
    "manifest_empty": header({"__metadata__": {HEADER: "{}"}, **tensor()}, b"\0" * 8),
    "manifest_types": header(
        {"__metadata__": {HEADER: '{"holds": 3, "backbone": [], "names": {"a": 1}}'}, **tensor()},
        b"\0" * 8,
    ),
}
ACCEPTED = {  # contents that a file of this kind may have; only JSON objects are results
    "result.json": {"object", "kind", "files"},
    "weights.safetensors": {"manifest_empty"}
    | {"no_tensors", "bfloat16", "complex", "not_a_number", "manifest_types"},
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", READERS)
def test_other_content_is_an_error_of_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(CONTENTS[content])
    read, error = READERS[name]
    if content in ACCEPTED.get(name, ()):
        read(path)
        return
    with pytest.raises(error, match="Fix: ") as raised:
        read(path)
    assert type(raised.value) is error
    assert str(path.parent) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "no_permission", "loop"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_readable_file_is_refused_without_reading_it(tmp_path, name, kind):
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        if os.geteuid() == 0:
            pytest.skip("root may read every file")
        path.touch(0)
    read, error = READERS[name]
    with pytest.raises(error, match="no permission" if kind == "no_permission" else "Fix: "):
        read(path)


def flipped(path, target, positions):
    """Yield after each of many single bits of a file is flipped in its copy."""
    data = bytearray(path.read_bytes())
    for position in positions:
        data[position // 8] ^= 1 << position % 8
        target.write_bytes(data)
        yield position
        data[position // 8] ^= 1 << position % 8
    target.write_bytes(data)


def chosen(path, count, start=300):
    """Choose bits of a file: some at its start, and some anywhere."""
    bits = 8 * path.stat().st_size
    random = np.random.default_rng(1)
    return {*random.integers(0, min(8 * start, bits), count), *random.integers(0, bits, count)}


def assert_equal_or_refused(read, path, source, positions, error, flip=None):
    """Flip bits of a file. What is read stays equal, or is refused in one line."""
    expected, messages = repr_of(read(source)), []
    for position in flipped(flip or source, path, positions):
        try:
            found = repr_of(read(path.parent / source.name))
        except error as raised:
            messages.append(str(raised))
        else:
            assert found == expected, f"bit {position} changes what is read"
    assert len(messages) > 0.5 * len(positions)
    assert all("\n" not in message and "Fix: " in message for message in messages)


def repr_of(values):
    return repr([v.tobytes() if isinstance(v, np.ndarray) else v for v in values])


@pytest.mark.parametrize("name", ["model.safetensors", "pca.safetensors", "global.safetensors"])
def test_a_flipped_bit_of_a_tensor_file_is_refused_or_harmless(written, tmp_path, name):
    read, error = READERS[name]
    positions = chosen(written / name, 60, start=1200)
    assert_equal_or_refused(read, tmp_path / name, written / name, positions, error)


@pytest.mark.parametrize(
    "kind", ["exact", "nndescent", "sharded", pytest.param("pq", marks=needs_faiss)]
)
def test_a_flipped_bit_of_an_index_is_refused_or_harmless(tmp_path, kind):
    build_index(DESCRIPTORS, kind, **INDEXES[kind]).save(tmp_path, database="abc")
    copy = tmp_path.parent / f"copy_{kind}"
    shutil.copytree(tmp_path, copy)
    for file in tmp_path.iterdir():
        positions = chosen(file, 60 if file.name == MANIFEST else 15)
        manifest = tmp_path / MANIFEST
        assert_equal_or_refused(
            read_index, copy / file.name, manifest, positions, IndexFileError, file
        )


@pytest.mark.parametrize("name", ["model.safetensors", "pca.safetensors"])
def test_files_without_checksums_still_open(written, tmp_path, name):
    """Version 0.1.0 wrote no checksums."""
    with safe_open(written / name, "np") as file:
        content = json.loads(file.metadata()[HEADER])
    old = {key: value for key, value in content.items() if key not in (CHECKSUM, "tensors")}
    save_file(load_file(written / name), tmp_path / name, {HEADER: json.dumps(old)} if old else {})
    read, _ = READERS[name]
    assert repr_of(read(tmp_path / name)) == repr_of(read(written / name))


def test_global_descriptors_of_0_1_0_still_open(tmp_path):
    metadata = {"names": '["a", "b"]', "made_by": '{"model": "x"}'}
    save_file({"vectors": np.eye(2, dtype=np.float32)}, tmp_path / "old.safetensors", metadata)
    found = GlobalDescriptors.load(tmp_path / "old.safetensors")
    assert (found.names, found.made_by, dict(found.sources)) == (("a", "b"), {"model": "x"}, {})


# --- an index whose checksums fit, but whose content does not


def rewrite(folder, change):
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest[CHECKSUM]
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(with_checksum(manifest)))


@pytest.mark.parametrize(
    "name",
    ["/dev/zero", "../other.safetensors", "pipe", "", ".", 3, None, "a/b", ["x"], "index.json"],
)
def test_a_manifest_names_only_files_in_its_folder(tmp_path, name):
    build_index(DESCRIPTORS, "exact").save(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    rewrite(tmp_path, lambda manifest: manifest["files"]["index"].update(file=name))
    with pytest.raises(IndexFileError, match=r"index\.json: damaged"):
        load_index(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_files_of_an_index_are_regular_files_in_its_folder(tmp_path, kind):
    index = tmp_path / "index"
    build_index(DESCRIPTORS, "exact").save(index)
    (file,) = index.glob("*.safetensors")
    moved = file.rename(tmp_path / file.name)
    os.mkfifo(file) if kind == "pipe" else file.symlink_to(moved)
    with pytest.raises(IndexFileError, match="damaged; expected a part of an index"):
        load_index(index)


def edited(path, **changes):
    """Write an index file again with other tensors. Return its new name and checksum."""
    from delfjax.search.index_files import _write_tensors

    tensors = {**load_file(path), **changes}
    tensors = {name: value for name, value in tensors.items() if value is not None}
    return _write_tensors(path.parent, "index", tensors)


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
def test_a_graph_with_other_tensors_is_refused(tmp_path, changes):
    build_index(DESCRIPTORS, "nndescent", neighbors=5, degree=4).save(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    entry = edited(file, **changes)
    rewrite(tmp_path, lambda manifest: manifest["files"].update(index=entry))
    with pytest.raises(IndexFileError, match="Fix: build the index again"):
        load_index(tmp_path)


@pytest.mark.parametrize("effort", [0, -3, 1.5, "many", None, 2**40, [1], True])
def test_an_effort_out_of_range_is_refused(tmp_path, effort):
    build_index(DESCRIPTORS, "nndescent", neighbors=5, degree=4).save(tmp_path)
    rewrite(tmp_path, lambda manifest: manifest["settings"].update(effort=effort))
    with pytest.raises(IndexFileError, match="Fix: build the index again"):
        load_index(tmp_path)


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
def test_settings_of_shards_out_of_range_are_refused(tmp_path, settings):
    build_index(DESCRIPTORS, "sharded", **INDEXES["sharded"]).save(tmp_path)
    rewrite(tmp_path, lambda manifest: manifest.update(settings=settings))
    with pytest.raises(IndexFileError, match="Fix: build the index again"):
        load_index(tmp_path)


# --- writing


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_written_files_have_the_permissions_of_new_files(written, tmp_path, umask):
    old = os.umask(umask)
    try:
        PCA.load(written / "pca.safetensors").save(tmp_path / "pca")
        GlobalDescriptors.load(written / "global.safetensors").save(tmp_path / "global")
        save_model(tmp_path / "model", network(), head(), with_backbone=True, training={})
        build_index(DESCRIPTORS, "exact").save(tmp_path / "index")
    finally:
        os.umask(old)
    for path in filter(os.path.isfile, tmp_path.rglob("*")):
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask, path.name


def test_a_link_in_place_of_a_temporary_file_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("delfjax.files.secrets.token_hex", lambda count: "known")
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / ".result.json.known.part").symlink_to(target)
    with pytest.raises(FileExistsError), atomic_write(tmp_path / "result.json") as temporary:
        temporary.write_text("overwritten")
    assert target.read_text() == "precious"


# --- global descriptors of changed photos


def test_changed_photos_are_described_again(tmp_path):
    photos = classes(tmp_path / "photos", count=3, views=1)
    describe = GlobalExtractor(extractor(), GlobalConfig(longest=64))
    path = tmp_path / "global.safetensors"
    first = extract_global_descriptors(describe, photos, path)
    a, b, c = photos.names
    photos.path(a).write_bytes(photos.path(b).read_bytes())
    photos.path(c).write_text("no photo any more")
    again = extract_global_descriptors(describe, photos, path)
    report = again.report
    assert (report.extracted, report.changed, report.kept) == ([a], [a], [b])
    assert [*report.failed] == [c]
    np.testing.assert_array_equal(again.select([a]), first.select([b]))
    assert c not in again.names
    assert GlobalDescriptors.load(path).names == again.names


# --- training runs


@pytest.mark.parametrize("content", ["[]", "", "[" * 100_000, "null", "\udc80"])
def test_a_damaged_run_is_an_error_of_one_line(tmp_path, content):
    RunFolder(tmp_path / "run", {"rate": 1}).__exit__()
    for name in ("log.jsonl", "run.json"):
        (tmp_path / "run" / name).write_text(content + "\n", errors="surrogateescape")
        with pytest.raises(StoreError, match=f"{name}: damaged.*Fix: ") as raised:
            RunFolder(tmp_path / "run", {"rate": 1})
        assert "\n" not in str(raised.value)
        (tmp_path / "run" / name).write_text('{"rate": 1}' if name == "run.json" else "")
