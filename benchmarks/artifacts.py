"""Files of every kind that delfjax reads: how to write and how to read them, and hostile contents."""

import json
import pickle
import struct
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image
from safetensors.numpy import save_file

from benchmarks.networks import random_network
from delfjax import provenance
from delfjax.datasets import google_landmarks, holidays, oxford, revisited
from delfjax.datasets.benchmark import DatasetError
from delfjax.features.pca import PCA
from delfjax.features.store import FeatureStore
from delfjax.files import HEADER, StoreError
from delfjax.images.folder import PhotoSource
from delfjax.images.reading import PhotoError, read_image
from delfjax.models.attention import Attention
from delfjax.models.backbone import ResNet
from delfjax.models.checkpoints import load_model, read_manifest, save_model
from delfjax.models.conversion import WeightsError, read_weights
from delfjax.models.resnet import RESNET_TINY
from delfjax.search.index import IndexFileError, build_index, load_index
from delfjax.training.run_folder import RunFolder
from delfjax.training.step import TrainState
from delfjax.types import Features

# --- contents that a file may have in place of its own


def header(content: object, body: bytes = b"") -> bytes:
    """Return a safetensors file with any header."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(dtype: str = "F32", shape: tuple = (2,), offsets: tuple = (0, 8)) -> dict:
    """Return the header of a safetensors file with one tensor."""
    return {"mean": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def manifest(text: str) -> bytes:
    """Return a safetensors file with one tensor and a text as our JSON object."""
    return header({"__metadata__": {HEADER: text}, **tensor()}, b"\0" * 8)


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
    "manifest_null": manifest("null"),
    "manifest_deep": manifest("[" * 100_000),
    "manifest_empty": manifest("{}"),
    "manifest_types": manifest('{"holds": 3, "backbone": [], "names": {"a": 1}}'),
    "pickle_call": b"cos\nsystem\n(S'exit 1'\ntR.",
    "jpeg_start": b"\xff\xd8\xff\xe0" + bytes(60),
    "png_bomb": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 50_000, 50_000) + bytes(9),
}

# --- kinds of files: how to write and how to read them


@dataclass(frozen=True)
class Kind:
    """Files that one reader reads together.

    Attributes:
        write: Function of a folder and a seed that writes them.
        read: Function of the folder that returns their content.
        error: Class of the errors of the reader.
        files: Pattern of the files to damage.
        kept: Pattern of files that may be missing.
        unchecked: Pattern of files without a checksum: damage can leave a valid file.
    """

    write: Callable[[Path, int], object]
    read: Callable[[Path], object]
    error: type[Exception]
    files: str = "**/*"
    kept: str = ""
    unchecked: str = ""


def descriptors(seed: int, count: int = 400) -> np.ndarray:
    """Make random descriptors."""
    return np.random.default_rng(seed).normal(size=(count, 20)).astype(np.float32)


def source(number: int) -> PhotoSource:
    """Return a source of a photo."""
    return PhotoSource("/photos", 1000 + number, 10**18, f"{number:064x}")


def write_store(folder: Path, seed: int) -> None:
    """Write a store of six photos."""
    with FeatureStore(folder, {"model": "tiny", "reduction": {"dimensions": 20}}) as store:
        store.reduce(PCA.fit(descriptors(seed), dimensions=20))
        for number in range(6):
            rows = descriptors(10 * seed + number, 4 + number)
            features = Features(
                positions=rows[:, :2],
                scales=rows[:, 2],
                scores=rows[:, 3],
                descriptors=rows,
                image_size=(60, 80),
            )
            store.write(f"{number}.jpg", features, source(number))


def read_store(folder: Path) -> object:
    """Read everything in a store."""
    store = FeatureStore(folder)
    photos = [(name, store.read(name), store.source(name)) for name in store.names]
    return store.made_by, photos, store.pca


def write_model(path: Path, seed: int) -> None:
    """Write a small model."""
    backbone = random_network(lambda: ResNet(RESNET_TINY, folded=True, rngs=nnx.Rngs(0)), seed)
    channels = RESNET_TINY.channels
    attention = random_network(lambda: Attention(channels, hidden=8, rngs=nnx.Rngs(0)), seed)
    save_model(path, backbone, attention, with_backbone=True, training={"seed": seed})


def read_model(path: Path) -> object:
    """Read the parameters and the manifest of a model."""
    return read_manifest(path), [jax.tree.leaves(nnx.state(part)) for part in load_model(path)]


def write_index(path: Path, seed: int, *, kind: str, **settings: object) -> None:
    """Write an index."""
    build_index(descriptors(seed), kind, **settings).save(path, database=f"abc{seed}")


def read_index(path: Path) -> object:
    """Read an index, and search with it."""
    index = load_index(path)
    found = index.search(descriptors(9, 3), 3)
    return index.kind, index.effort, index._content(), found


def state(seed: int) -> TrainState:
    """Make a small state of a training run."""
    values = jnp.asarray(descriptors(seed, 100))
    trainable = nnx.State({"attention": {"kernel": nnx.Param(values)}})
    return TrainState(jnp.int32(seed), trainable, (jnp.int32(seed), {"mu": values / 3}))


def write_run(folder: Path, seed: int) -> None:
    """Write the folder of a training run."""
    with RunFolder(folder, {"rate": 0.1}) as run:
        for step, loss in ((1, 3.0 + seed), (2, 1.0 + seed), (3, 2.0 + seed)):
            run.write_log({"step": step, "loss": loss})
            run.save(step, state(step + 10 * seed), loss=loss)


def read_run(folder: Path) -> object:
    """Read the log and the states of a training run."""
    with RunFolder(folder, {"rate": 0.1}) as run:
        states = [run.restore(step, state(0)) for step in (run.last_step, run.best_step)]
        return run.log, run.last_step, run.best_step, jax.tree.leaves(states)


def write_h5(path: Path, seed: int) -> None:
    """Write weights in the format of Keras."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1_conv"]
        layer = file.create_group("conv1_conv")
        layer.attrs["weight_names"] = [b"conv1_conv/kernel", b"conv1_conv/bias"]
        layer["conv1_conv/kernel"], layer["conv1_conv/bias"] = (
            descriptors(seed),
            descriptors(seed)[0],
        )


def write_tgz(path: Path, seed: int) -> None:
    """Write weights in the format of TensorFlow.js."""
    weights = [{"name": "conv1/kernel", "shape": [400, 20]}]
    model = {"weightsManifest": [{"paths": ["shard"], "weights": weights}]}
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {
            "model.json": json.dumps(model).encode(),
            "shard": descriptors(seed),
        }.items():
            data = bytes(data)
            entry = tarfile.TarInfo(f"package/ResNet50/{name}")
            entry.size = len(data)
            archive.addfile(entry, BytesIO(data))


def picture(seed: int, size: int = 64) -> Image.Image:
    """Draw a photo of smooth colors and noise."""
    seeded = np.random.default_rng(seed)
    colors = Image.fromarray(seeded.integers(0, 256, (6, 6, 3), np.uint8)).resize((size, size))
    noise = Image.fromarray(seeded.integers(0, 256, (size, size, 3), np.uint8))
    return Image.blend(colors, noise, 0.1)


def write_photos(folder: Path, names: Iterable[str]) -> None:
    """Draw photos."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(folder / name)


def write_oxford(folder: Path, seed: int) -> None:
    """Write photos and the texts of two queries, in the format of Oxford5k."""
    write_photos(folder, [f"hall_{number}.jpg" for number in range(6)])
    for query in (1, 2):
        files = {"query": f"oxc1_hall_{query} 4 2 60 46.5\n", "good": f"hall_{query}\nhall_0\n"}
        for kind, text in (files | {"ok": "hall_3\n", "junk": "hall_4\nhall_5\n"}).items():
            (folder / f"hall_{query}_{kind}.txt").write_text(text)


def write_revisited(folder: Path, seed: int) -> None:
    """Write photos and a pickle, in the format of Revisited Oxford."""
    names, queries = [f"hall_{number}" for number in range(5)], ["query_0", "query_1"]
    write_photos(folder, [f"jpg/{name}.jpg" for name in (*names, *queries)])
    annotation = {"bbx": [4.5, 2.0, 60.0, 46.5], "easy": [0, 1], "hard": [2], "junk": [3, 4]}
    truth = {"imlist": names, "qimlist": queries, "gnd": [annotation, annotation]}
    (folder / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth, protocol=2))


def write_holidays(folder: Path, seed: int) -> None:
    """Write photos and their list, in the format of Holidays."""
    names = ("100000.jpg", "100001.jpg", "100100.jpg", "100101.jpg")
    write_photos(folder, [f"jpg/{name}" for name in names])
    (folder / holidays.PHOTO_LIST).write_text("".join(f"{name}\n" for name in names))


def write_landmarks(folder: Path, seed: int) -> None:
    """Write the csv files of Google-Landmarks v2."""
    ids = [f"{number:016x}" for number in range(6)]
    (folder / "index.csv").write_text("id\n" + "".join(f"{each}\n" for each in ids[:4]))
    lines = f"{ids[4]},{ids[0]} {ids[1]},Public\n{ids[5]},{ids[2]},Private\n"
    (folder / "retrieval_solution_v2.1.csv").write_text("id,images,Usage\n" + lines)


def one_file(
    name: str, write: Callable, read: Callable, error: type, *, unchecked: str = ""
) -> Kind:
    """Make a kind with one file."""
    return Kind(
        lambda folder, seed: write(folder / name, seed),
        lambda folder: read(folder / name),
        error,
        unchecked=unchecked,
    )


def index_kind(kind: str, **settings: object) -> Kind:
    """Make a kind of index."""
    write = partial(write_index, kind=kind, **settings)
    return one_file("index", write, read_index, IndexFileError)


def read_oxford(folder: Path) -> object:
    """Read the texts of Oxford5k."""
    photos = sorted(path.name for path in folder.glob("*.jpg"))
    return oxford.read_ground_truth(folder, folder, photos)


def truth_kind(write: Callable, read: Callable, files: str) -> Kind:
    """Make a kind of published ground truth."""
    return Kind(write, read, DatasetError, files, unchecked="*")


def photo_kind(suffix: str, **options: object) -> Kind:
    """Make a kind of photo."""
    return one_file(
        f"photo.{suffix}",
        lambda path, seed: picture(seed).save(path, **options),
        read_image,
        PhotoError,
        unchecked="*",
    )


def write_result(path: Path, seed: int) -> None:
    """Write a result."""
    provenance.write_result(path, {"value": 71.3 + seed, "rows": [{"query": "hall", "ap": 0.5}]})


KINDS = {
    "feature store": Kind(write_store, read_store, StoreError),
    "PCA": one_file(
        "pca.safetensors",
        lambda path, seed: PCA.fit(descriptors(seed), dimensions=4).save(path),
        PCA.load,
        StoreError,
    ),
    "model": one_file("model.safetensors", write_model, read_model, WeightsError),
    "index exact": index_kind("exact"),
    "index nndescent": index_kind("nndescent", neighbors=5, degree=4),
    "index sharded": index_kind("sharded", size=150, inner="exact"),
    "index pq": index_kind("pq", bits=3, parts=4),
    "training run": Kind(write_run, read_run, StoreError, kept="log.jsonl", unchecked="log.jsonl"),
    "result": one_file(
        "result.json", write_result, provenance.read_result, ValueError, unchecked="*"
    ),
    "weights safetensors": one_file(
        "weights.safetensors",
        lambda path, seed: save_file({"conv1.weight": descriptors(seed)}, path),
        read_weights,
        WeightsError,
        unchecked="*",
    ),
    "weights h5": one_file("weights.h5", write_h5, read_weights, WeightsError, unchecked="*"),
    "weights tgz": one_file("weights.tgz", write_tgz, read_weights, WeightsError, unchecked="*"),
    "truth Oxford5k": truth_kind(write_oxford, read_oxford, "*.txt"),
    "truth Revisited Oxford": truth_kind(
        write_revisited, partial(revisited.load, "roxford5k"), "*.pkl"
    ),
    "truth Holidays": truth_kind(write_holidays, holidays.load, "*.dat"),
    "truth Google-Landmarks v2": truth_kind(write_landmarks, google_landmarks.load_v2, "*.csv"),
    "photo JPEG": photo_kind("jpg", quality=90),
    "photo progressive JPEG": photo_kind("jpg", quality=90, progressive=True),
    "photo PNG": photo_kind("png"),
    "photo WebP": photo_kind("webp"),
    "photo TIFF": photo_kind("tif", compression="tiff_lzw"),
    "photo GIF": photo_kind("gif"),
}
if find_spec("faiss") is None:
    del KINDS["index pq"]
