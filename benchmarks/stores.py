"""The features of a collection on disk: one file a photo, against shards of hundreds in six formats.

Features are made: random numbers in the shape of real ones, which no format can compress. Every format
but the first (what the store did once) gets the same shards, in files that are never written again, so that
a kill harms none that is there. All is read from the page cache, and only our own store waits for the disk
when it writes: what is timed is the format. Our store and the first give single precision, as search wants
it, which is most of what our store takes to read; the others give what is kept. Peers that are not installed
are left out, and named.
"""

import importlib
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from delfjax.features.store import SHARD_PHOTOS, FeatureStore
from delfjax.types import Features

PHOTOS, FEATURES, DIMENSIONS = 2000, 1000, 40  # features and dimensions: the paper's
RANDOM = 200  # photos that are read one by one
ROUNDS = 5
WIDTHS = {"descriptors": DIMENSIONS, "positions": 2, "scales": 1, "scores": 1}
PARTS = tuple(WIDTHS)
SIZE = (480, 640)

Photo = dict[str, np.ndarray]  # the parts of one photo; of several, end to end
Read = Callable[[int], Photo]  # a photo, by its number in the collection
ReadAll = Callable[[], list[Photo]]  # all of them, in pieces


def made(seed: int) -> Photo:
    """The features of one photo, as extraction hands them over."""
    random = np.random.default_rng(seed)
    photo = {
        part: random.standard_normal((FEATURES, width), np.float32).squeeze()
        for part, width in WIDTHS.items()
    }
    return photo | {"descriptors": photo["descriptors"].astype(np.float16)}


def name(number: int) -> str:
    """A name of usual length, in one of 100 folders."""
    return f"landmark_{number % 100:03d}/photo_{number:012d}.jpg"


# --- formats: a writer of shards, and an opener that gives a reader of one photo and one of all


def write_npz(folder: Path, number: int, photos: list[Photo]) -> None:
    for row, photo in enumerate(photos, start=number * SHARD_PHOTOS):
        path = folder / (name(row) + ".npz")
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **photo, image_size=np.array(SIZE))


def open_npz(folder: Path) -> tuple[Read, ReadAll]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.npz")}

    def read(row: int) -> Photo:
        with np.load(files[name(row) + ".npz"]) as arrays:
            photo = {part: arrays[part] for part in PARTS}
            return photo | {"descriptors": photo["descriptors"].astype(np.float32)}

    return read, lambda: [joined(0, [read(row) for row in range(len(files))])[0]]


def joined(number: int, photos: list[Photo]) -> tuple[Photo, np.ndarray, list[str]]:
    """A shard: its features end to end, where each photo begins and the last ends, names."""
    parts = {part: np.concatenate([photo[part] for photo in photos]) for part in PARTS}
    offsets = np.cumsum([0, *(len(photo["scales"]) for photo in photos)])
    names = [name(row) for row in range(number * SHARD_PHOTOS, number * SHARD_PHOTOS + len(photos))]
    return parts, offsets, names


def by_slices(shards: list[tuple[dict, np.ndarray]]) -> tuple[Read, ReadAll]:
    """Readers of shards whose parts are arrays, or are sliced like them."""
    places = [(shard, *ends) for shard, offsets in shards for ends in pairwise(offsets.tolist())]

    def read(row: int) -> Photo:
        shard, start, end = places[row]
        return {part: np.array(shard[part][start:end]) for part in PARTS}

    def read_all() -> list[Photo]:
        return [{part: np.array(shard[part][:]) for part in PARTS} for shard, _ in shards]

    return read, read_all


def write_safetensors(folder: Path, number: int, photos: list[Photo]) -> None:
    parts, offsets, names = joined(number, photos)
    sizes = np.tile(np.int32(SIZE), (len(photos), 1))
    tensors = parts | {"offsets": offsets, "image_sizes": sizes}
    save_file(tensors, folder / f"{number:06d}.safetensors", {"names": "\n".join(names)})


def open_safetensors(folder: Path) -> tuple[Read, ReadAll]:
    shards = []
    for path in sorted(folder.iterdir()):
        with safe_open(path, "np") as file:
            file.metadata()["names"].split("\n")
            parts = {part: file.get_slice(part) for part in PARTS}
            shards.append((parts, file.get_tensor("offsets")))
    return by_slices(shards)


def write_npy(folder: Path, number: int, photos: list[Photo]) -> None:
    parts, offsets, names = joined(number, photos)
    sizes = np.tile(np.int32(SIZE), (len(photos), 1))
    others = {"offsets": offsets, "image_sizes": sizes, "names": np.array(names)}
    for part, array in (parts | others).items():
        np.save(folder / f"{number:06d}.{part}.npy", array)


def open_npy(folder: Path) -> tuple[Read, ReadAll]:
    shards = []
    for path in sorted(folder.glob("*.offsets.npy")):
        stem = path.name.split(".")[0]
        np.load(folder / f"{stem}.names.npy").tolist()
        parts = {part: np.load(folder / f"{stem}.{part}.npy", mmap_mode="r") for part in PARTS}
        shards.append((parts, np.load(path)))
    return by_slices(shards)


def write_hdf5(folder: Path, number: int, photos: list[Photo]) -> None:
    h5py = importlib.import_module("h5py")
    parts, offsets, names = joined(number, photos)
    sizes = np.tile(np.int32(SIZE), (len(photos), 1))
    with h5py.File(folder / f"{number:06d}.h5", "w") as file:
        for part, array in (parts | {"offsets": offsets, "image_sizes": sizes}).items():
            file[part] = array
        file["names"] = names


def open_hdf5(folder: Path) -> tuple[Read, ReadAll]:
    h5py = importlib.import_module("h5py")
    shards = []
    for path in sorted(folder.iterdir()):
        file = h5py.File(path)
        file["names"].asstr()[:].tolist()
        shards.append(({part: file[part] for part in PARTS}, file["offsets"][:]))
    return by_slices(shards)


def write_zarr(folder: Path, number: int, photos: list[Photo]) -> None:
    zarr = importlib.import_module("zarr")
    parts, offsets, names = joined(number, photos)
    group = zarr.create_group(folder / f"{number:06d}", attributes={"names": names})
    sizes = np.tile(np.int32(SIZE), (len(photos), 1))
    for part, array in (parts | {"offsets": offsets, "image_sizes": sizes}).items():
        # One file an array, of one chunk a photo; rows are padded to whole chunks, here by none.
        rows = min(len(array), FEATURES)
        options = {"chunks": (rows, *array.shape[1:]), "shards": array.shape, "compressors": None}
        group.create_array(part, data=array, **options)


def open_zarr(folder: Path) -> tuple[Read, ReadAll]:
    zarr = importlib.import_module("zarr")
    shards = []
    for path in sorted(folder.iterdir()):
        group = zarr.open_group(path, mode="r")
        group.attrs["names"]
        shards.append(({part: group[part] for part in PARTS}, group["offsets"][:]))
    return by_slices(shards)


def arrow_table(number: int, photos: list[Photo]) -> object:
    """A row a photo, of lists of fixed-size lists."""
    pa = importlib.import_module("pyarrow")
    parts, offsets, names = joined(number, photos)
    columns = {"name": pa.array(names), "image_size": pa.array([SIZE] * len(photos))}
    for part, array in parts.items():
        values = pa.array(array.reshape(-1))
        if array.ndim == 2:
            values = pa.FixedSizeListArray.from_arrays(values, array.shape[1])
        columns[part] = pa.ListArray.from_arrays(offsets.astype(np.int32), values)
    return pa.table(columns)


def from_arrow(values: object, part: str) -> np.ndarray:
    """A copy of the numbers of one photo, or of several end to end."""
    if WIDTHS[part] == 1:
        return np.array(values.to_numpy())
    return np.array(values.flatten().to_numpy()).reshape(-1, WIDTHS[part])


def write_arrow(folder: Path, number: int, photos: list[Photo]) -> None:
    ipc = importlib.import_module("pyarrow.ipc")
    table = arrow_table(number, photos)
    with ipc.new_file(str(folder / f"{number:06d}.arrow"), table.schema) as file:
        file.write_table(table)


def open_arrow(folder: Path) -> tuple[Read, ReadAll]:
    pa, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    batches = []
    for path in sorted(folder.iterdir()):
        file = ipc.open_file(pa.memory_map(str(path)))
        batches += [file.get_batch(number) for number in range(file.num_record_batches)]
        batches[-1]["name"].to_pylist()
    places = [(batch, row) for batch in batches for row in range(len(batch))]

    def read(row: int) -> Photo:
        batch, inside = places[row]
        return {part: from_arrow(batch[part][inside].values, part) for part in PARTS}

    def read_all() -> list[Photo]:
        return [
            {part: from_arrow(batch[part].flatten(), part) for part in PARTS} for batch in batches
        ]

    return read, read_all


def write_lance(folder: Path, number: int, photos: list[Photo]) -> None:
    lance = importlib.import_module("lance")
    mode = "append" if number else "create"
    lance.write_dataset(arrow_table(number, photos), folder / "all.lance", mode=mode)


def open_lance(folder: Path) -> tuple[Read, ReadAll]:
    lance = importlib.import_module("lance")
    dataset = lance.dataset(folder / "all.lance")
    dataset.to_table(columns=["name"])["name"].to_pylist()

    def photos(table: object) -> Iterator[Photo]:
        for batch in table.to_batches():
            yield {part: from_arrow(batch[part].flatten(), part) for part in PARTS}

    def read(row: int) -> Photo:
        return next(photos(dataset.take([row], columns=list(PARTS))))

    return read, lambda: list(photos(dataset.to_table(columns=list(PARTS))))


def write_store(folder: Path, number: int, photos: list[Photo]) -> None:
    with FeatureStore(folder / "store", {}) as store:
        for row, photo in enumerate(photos, start=number * SHARD_PHOTOS):
            store.write(name(row), Features(**photo, image_size=SIZE))


def open_store(folder: Path) -> tuple[Read, ReadAll]:
    store = FeatureStore(folder / "store")
    return lambda row: vars(store.read(name(row))), lambda: [vars(store.gather())]


FORMATS = {
    "npz a photo": (None, write_npz, open_npz),
    "delfjax.features.store": (None, write_store, open_store),
    "safetensors": (None, write_safetensors, open_safetensors),
    "npy": (None, write_npy, open_npy),
    "hdf5": ("h5py", write_hdf5, open_hdf5),
    "zarr": ("zarr", write_zarr, open_zarr),
    "arrow": ("pyarrow", write_arrow, open_arrow),
    "lance": ("lance", write_lance, open_lance),
}
PEER, OURS = list(FORMATS)[:2]


# --- measurement


@cache
def collection() -> list[list[Photo]]:
    """All the photos, by shard."""
    photos = [made(number) for number in range(PHOTOS)]
    return [photos[start : start + SHARD_PHOTOS] for start in range(0, PHOTOS, SHARD_PHOTOS)]


def measure(write: Callable, open_: Callable) -> dict[str, float]:
    """Write, open and read a collection in one format."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        seconds = {}

        def timed(what: str, run: Callable) -> object:
            start = time.perf_counter()
            result = run()
            seconds[what] = time.perf_counter() - start
            return result

        shards = collection()
        timed("write", lambda: [write(folder, *shard) for shard in enumerate(shards)])
        files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        read, read_all = timed("open", lambda: open_(folder))
        rows = np.random.default_rng(0).permutation(PHOTOS)[:RANDOM].tolist()
        some = timed("read of a photo", lambda: [read(row) for row in rows])
        pieces = timed("read all", read_all)
        _check(some, rows, pieces)
    seconds["read of a photo"] /= RANDOM
    return seconds | {"MB": sum(files) / 1e6, "files": len(files)}


def _check(some: list[Photo], rows: list[int], pieces: list[Photo]) -> None:
    """Every format has to give back what was written."""
    for row, photo in zip(rows, some, strict=True):
        written = collection()[row // SHARD_PHOTOS][row % SHARD_PHOTOS]
        for part in PARTS:
            np.testing.assert_array_equal(photo[part], written[part])
    assert sum(len(piece["positions"]) for piece in pieces) == PHOTOS * FEATURES


def run() -> dict:
    """Measure every format that is installed, in turn, and compare with a file a photo."""
    there = {
        form: functions
        for form, (package, *functions) in FORMATS.items()
        if package is None or find_spec(package)
    }
    rounds = [
        {form: measure(*functions) for form, functions in there.items()} for _ in range(ROUNDS)
    ]
    rows = []
    for form in there:
        row = {"format": form, "files": rounds[0][form]["files"]}
        for what in ("MB", "write", "open", "read of a photo", "read all"):
            values = [each[form][what] for each in rounds]
            ratios = [each[form][what] / each[PEER][what] for each in rounds]
            unit = what if what == "MB" else f"{what} (ms)"
            scale = 1 if what == "MB" else 1000
            row[unit] = round(float(np.median(values)) * scale, 3)
            row[f"{what}, ratio"] = round(float(np.median(ratios)), 4)
        rows.append(row)
    ours = next(row for row in rows if row["format"] == OURS)
    return {
        "value": ours["read of a photo, ratio"],
        "what": "seconds to read a photo's features from the store, over a .npz a photo",
        "rows": rows,
        "left out": sorted(FORMATS.keys() - there.keys()),
        "config": {
            "photos": PHOTOS,
            "features": FEATURES,
            "dimensions": DIMENSIONS,
            "photos a shard": SHARD_PHOTOS,
            "rounds": ROUNDS,
        },
    }
