"""Compare the time to read and write features in our feature store and in seven other file formats.

Features are random numbers with the shapes of real features, so no format can compress them. The first
format writes one .npz file per photo; the others write the same shards (groups of photos). Files are read
from the page cache, without the disk. Only our store waits for the disk when it writes. Our store and the
.npz files return descriptors as float32, as a search needs; the others return float16, as stored.
"""

import importlib
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from benchmarks.timing import measure
from delfjax.features.store import SHARD_PHOTOS, FeatureStore
from delfjax.types import Features

PHOTOS, FEATURES, DIMENSIONS = 2000, 1000, 40  # features per photo and dimensions: as in the paper
SINGLE_READS = 200  # number of photos to read one by one
ROUNDS = 5
WIDTHS = {"descriptors": DIMENSIONS, "positions": 2, "scales": 1, "scores": 1}
FIELDS = tuple(WIDTHS)
SIZE = (480, 640)
TIMES = ("write", "open", "read one photo", "read all")

Arrays = dict[str, np.ndarray]  # the fields of one photo, or of several photos concatenated
# Functions that read one photo by index, and all photos.
Readers = tuple[Callable[[int], Arrays], Callable[[], list[Arrays]]]


def random_photo(seed: int) -> Arrays:
    """Make random features of one photo, with the shapes and types that extraction returns."""
    random = np.random.default_rng(seed)
    photo = {
        field: random.standard_normal((FEATURES, width), np.float32).squeeze()
        for field, width in WIDTHS.items()
    }
    return photo | {"descriptors": photo["descriptors"].astype(np.float16)}


@cache
def random_shards() -> list[list[Arrays]]:
    """Make the features of all photos, as a list of shards (lists of photos)."""
    photos = [random_photo(number) for number in range(PHOTOS)]
    return [photos[start : start + SHARD_PHOTOS] for start in range(0, PHOTOS, SHARD_PHOTOS)]


def photo_name(number: int) -> str:
    """Return the path of the photo with this index: a name of usual length in one of 100 folders."""
    return f"landmark_{number % 100:03d}/photo_{number:012d}.jpg"


def concatenate(number: int, photos: list[Arrays]) -> tuple[Arrays, list[str]]:
    """Return all arrays of a shard, and the names of its photos.

    ``offsets`` are the first row of each photo, and the end. ``image_sizes`` are (height, width) in pixels.
    """
    arrays = {field: np.concatenate([photo[field] for photo in photos]) for field in FIELDS}
    arrays["offsets"] = np.cumsum([0, *(len(photo["scales"]) for photo in photos)])
    arrays["image_sizes"] = np.tile(np.int32(SIZE), (len(photos), 1))
    first = number * SHARD_PHOTOS
    return arrays, [photo_name(row) for row in range(first, first + len(photos))]


def slice_readers(shards: list[tuple[dict, np.ndarray]]) -> Readers:
    """Return readers of shards. A shard is a dict of arrays or array-like fields, and its offsets."""
    rows = [(shard, *ends) for shard, offsets in shards for ends in pairwise(offsets.tolist())]

    def read(number: int) -> Arrays:
        shard, start, end = rows[number]
        return {field: np.array(shard[field][start:end]) for field in FIELDS}

    def read_all() -> list[Arrays]:
        return [{field: np.array(shard[field][:]) for field in FIELDS} for shard, _ in shards]

    return read, read_all


# --- formats: each has a function that writes a shard, and one that opens all shards for reading


def write_npz(folder: Path, number: int, photos: list[Arrays]) -> None:
    for row, photo in enumerate(photos, start=number * SHARD_PHOTOS):
        path = folder / (photo_name(row) + ".npz")
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **photo, image_size=np.array(SIZE))


def open_npz(folder: Path) -> Readers:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.npz")}

    def read(number: int) -> Arrays:
        with np.load(files[photo_name(number) + ".npz"]) as arrays:
            photo = {field: arrays[field] for field in FIELDS}
            return photo | {"descriptors": photo["descriptors"].astype(np.float32)}

    return read, lambda: [concatenate(0, [read(number) for number in range(len(files))])[0]]


def write_safetensors(folder: Path, number: int, photos: list[Arrays]) -> None:
    tensors, names = concatenate(number, photos)
    save_file(tensors, folder / f"{number:06d}.safetensors", {"names": "\n".join(names)})


def open_safetensors(folder: Path) -> Readers:
    shards = []
    for path in sorted(folder.iterdir()):
        with safe_open(path, "np") as file:
            file.metadata()["names"].split("\n")
            fields = {field: file.get_slice(field) for field in FIELDS}
            shards.append((fields, file.get_tensor("offsets")))
    return slice_readers(shards)


def write_npy(folder: Path, number: int, photos: list[Arrays]) -> None:
    arrays, names = concatenate(number, photos)
    for field, array in (arrays | {"names": np.array(names)}).items():
        np.save(folder / f"{number:06d}.{field}.npy", array)


def open_npy(folder: Path) -> Readers:
    shards = []
    for path in sorted(folder.glob("*.offsets.npy")):
        stem = path.name.split(".")[0]
        np.load(folder / f"{stem}.names.npy").tolist()
        fields = {field: np.load(folder / f"{stem}.{field}.npy", mmap_mode="r") for field in FIELDS}
        shards.append((fields, np.load(path)))
    return slice_readers(shards)


def write_hdf5(folder: Path, number: int, photos: list[Arrays]) -> None:
    h5py = importlib.import_module("h5py")
    arrays, names = concatenate(number, photos)
    with h5py.File(folder / f"{number:06d}.h5", "w") as file:
        for field, array in arrays.items():
            file[field] = array
        file["names"] = names


def open_hdf5(folder: Path) -> Readers:
    h5py = importlib.import_module("h5py")
    shards = []
    for path in sorted(folder.iterdir()):
        file = h5py.File(path)
        file["names"].asstr()[:].tolist()
        shards.append(({field: file[field] for field in FIELDS}, file["offsets"][:]))
    return slice_readers(shards)


def write_zarr(folder: Path, number: int, photos: list[Arrays]) -> None:
    zarr = importlib.import_module("zarr")
    arrays, names = concatenate(number, photos)
    group = zarr.create_group(folder / f"{number:06d}", attributes={"names": names})
    for field, array in arrays.items():
        # One file per array, with one chunk per photo.
        rows = min(len(array), FEATURES)
        options = {"chunks": (rows, *array.shape[1:]), "shards": array.shape, "compressors": None}
        group.create_array(field, data=array, **options)


def open_zarr(folder: Path) -> Readers:
    zarr = importlib.import_module("zarr")
    shards = []
    for path in sorted(folder.iterdir()):
        group = zarr.open_group(path, mode="r")
        group.attrs["names"]
        shards.append(({field: group[field] for field in FIELDS}, group["offsets"][:]))
    return slice_readers(shards)


def arrow_table(number: int, photos: list[Arrays]) -> object:
    """Make a pyarrow table with one row per photo. Descriptors are lists of fixed-size lists."""
    pa = importlib.import_module("pyarrow")
    arrays, names = concatenate(number, photos)
    columns = {"name": pa.array(names), "image_size": pa.array([SIZE] * len(photos))}
    for field in FIELDS:
        values = pa.array(arrays[field].reshape(-1))
        if WIDTHS[field] > 1:
            values = pa.FixedSizeListArray.from_arrays(values, WIDTHS[field])
        columns[field] = pa.ListArray.from_arrays(arrays["offsets"].astype(np.int32), values)
    return pa.table(columns)


def from_arrow(values: object, field: str) -> np.ndarray:
    """Copy a field of one or several photos from a pyarrow array to a numpy array."""
    if WIDTHS[field] == 1:
        return np.array(values.to_numpy())
    return np.array(values.flatten().to_numpy()).reshape(-1, WIDTHS[field])


def write_arrow(folder: Path, number: int, photos: list[Arrays]) -> None:
    ipc = importlib.import_module("pyarrow.ipc")
    table = arrow_table(number, photos)
    with ipc.new_file(str(folder / f"{number:06d}.arrow"), table.schema) as file:
        file.write_table(table)


def open_arrow(folder: Path) -> Readers:
    pa, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    batches = []
    for path in sorted(folder.iterdir()):
        file = ipc.open_file(pa.memory_map(str(path)))
        batches += [file.get_batch(number) for number in range(file.num_record_batches)]
        batches[-1]["name"].to_pylist()
    rows = [(batch, row) for batch in batches for row in range(len(batch))]

    def read(number: int) -> Arrays:
        batch, row = rows[number]
        return {field: from_arrow(batch[field][row].values, field) for field in FIELDS}

    def read_all() -> list[Arrays]:
        return [
            {field: from_arrow(batch[field].flatten(), field) for field in FIELDS}
            for batch in batches
        ]

    return read, read_all


def write_lance(folder: Path, number: int, photos: list[Arrays]) -> None:
    lance = importlib.import_module("lance")
    mode = "append" if number else "create"
    lance.write_dataset(arrow_table(number, photos), folder / "all.lance", mode=mode)


def open_lance(folder: Path) -> Readers:
    lance = importlib.import_module("lance")
    dataset = lance.dataset(folder / "all.lance")
    dataset.to_table(columns=["name"])["name"].to_pylist()

    def photos(table: object) -> Iterator[Arrays]:
        for batch in table.to_batches():
            yield {field: from_arrow(batch[field].flatten(), field) for field in FIELDS}

    def read(number: int) -> Arrays:
        return next(photos(dataset.take([number], columns=list(FIELDS))))

    return read, lambda: list(photos(dataset.to_table(columns=list(FIELDS))))


def write_store(folder: Path, number: int, photos: list[Arrays]) -> None:
    with FeatureStore(folder / "store", {}) as store:
        for row, photo in enumerate(photos, start=number * SHARD_PHOTOS):
            store.write(photo_name(row), Features(**photo, image_size=SIZE))


def open_store(folder: Path) -> Readers:
    store = FeatureStore(folder / "store")
    return lambda number: vars(store.read(photo_name(number))), lambda: [vars(store.gather())]


FORMATS = {
    "npz per photo": (None, write_npz, open_npz),
    "delfjax": (None, write_store, open_store),
    "safetensors": (None, write_safetensors, open_safetensors),
    "npy": (None, write_npy, open_npy),
    "hdf5": ("h5py", write_hdf5, open_hdf5),
    "zarr": ("zarr", write_zarr, open_zarr),
    "arrow": ("pyarrow", write_arrow, open_arrow),
    "lance": ("lance", write_lance, open_lance),
}
BASELINE, OURS = list(FORMATS)[:2]


# --- measurement


def measure_format(write: Callable, open_: Callable) -> dict[str, float]:
    """Measure the time to write, open and read all photos in one format, and the size of the files."""
    with tempfile.TemporaryDirectory() as parent:
        folder, shards = Path(parent), random_shards()
        _, writing = measure(lambda: [write(folder, *shard) for shard in enumerate(shards)])
        files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        (read, read_all), opening = measure(lambda: open_(folder))
        numbers = np.random.default_rng(0).permutation(PHOTOS)[:SINGLE_READS].tolist()
        photos, single = measure(lambda: [read(number) for number in numbers])
        pieces, everything = measure(read_all)
        for number, photo in zip(numbers, photos, strict=True):
            written = shards[number // SHARD_PHOTOS][number % SHARD_PHOTOS]
            for field in FIELDS:
                np.testing.assert_array_equal(photo[field], written[field])
        assert sum(len(piece["positions"]) for piece in pieces) == PHOTOS * FEATURES
    seconds = dict(zip(TIMES, (writing, opening, single / SINGLE_READS, everything), strict=True))
    return seconds | {"MB": sum(files) / 1e6, "files": len(files)}


def run() -> dict:
    """Measure every format whose library is installed, and compare it with one .npz file per photo."""
    installed = {
        name: functions
        for name, (package, *functions) in FORMATS.items()
        if package is None or find_spec(package)
    }
    rounds = [
        {name: measure_format(*functions) for name, functions in installed.items()}
        for _ in range(ROUNDS)
    ]
    rows = []
    for name in installed:
        row = {"format": name, "files": rounds[0][name]["files"]}
        for what in ("MB", *TIMES):
            unit, factor = (what, 1) if what == "MB" else (f"{what} (ms)", 1000)
            row[unit] = round(factor * float(np.median([each[name][what] for each in rounds])), 3)
            ratios = [each[name][what] / each[BASELINE][what] for each in rounds]
            row[f"{what}, ratio"] = round(float(np.median(ratios)), 4)
        rows.append(row)
    ours = next(row for row in rows if row["format"] == OURS)
    return {
        "value": ours["read one photo, ratio"],
        "what": "time to read a photo's features from the store, relative to a .npz file per photo",
        "rows": rows,
        "not installed": sorted(FORMATS.keys() - installed.keys()),
        "config": {
            "photos": PHOTOS,
            "features": FEATURES,
            "dimensions": DIMENSIONS,
            "photos per shard": SHARD_PHOTOS,
            "rounds": ROUNDS,
        },
    }
