"""List the photos of a folder, and read them in background threads.

`scan` creates a `PhotoFolder`. A `PhotoSource` records the size, time and checksum of a file, so
that later runs notice changed photos. The paper does not cover this.
"""

import mimetypes
import os
import posixpath
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from delfjax.files import sha256
from delfjax.images.reading import (
    MAX_BYTES,
    MAX_PIXELS,
    PhotoError,
    count_pixels,
    image_format,
    photo_error,
    read_crop,
    read_image,
    unreadable,
)
from delfjax.types import Box, Photo

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_LINKS = 100  # links to one folder that `scan` follows
AHEAD = 4  # number of threads that read photos, and of photos read in advance
# A file with one of these suffixes is expected to be a photo, and is listed even if it cannot be read.
PHOTO_SUFFIXES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".jp2", ".jpx", ".j2k"),
        *(".heic", ".heif", ".hif", ".avif"),
        *(".pbm", ".pgm", ".ppm", ".pnm"),
        *(".bmp", ".gif", ".png", ".tif", ".tiff", ".webp"),
    ]
)
# A file with one of these suffixes is no photo. Pillow would read the thumbnail of a raw photo.
OTHER_SUFFIXES = frozenset(
    suffix
    for suffix, kind in mimetypes.MimeTypes().types_map[True].items()
    if not kind.startswith("image/")
) | frozenset([".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"])
IGNORED_NAMES = ("__macosx", "thumbs.db", "desktop.ini")  # files that operating systems create


class Crop(NamedTuple):
    """The rectangle ``box`` of the photo named ``photo``. A crop is used like a separate photo."""

    photo: str
    box: Box


class PhotoSource(NamedTuple):
    """Size, time and checksum of the file of a photo, by which later runs notice changes.

    Attributes:
        folder: Absolute path of the folder of photos.
        size: Size of the file in bytes.
        modified: Time of the last change of the file, in nanoseconds since 1970.
        sha256: SHA-256 of the content of the file, in hexadecimal.
        box: Box of a crop, ``[top, left, bottom, right]`` in pixels of the whole photo. None: no crop.
    """

    folder: str
    size: int
    modified: int
    sha256: str
    box: list[float] | None = None


@dataclass(frozen=True, kw_only=True)
class PhotoFolder:
    """A folder of photos, each with a name. `scan` lists all photos of a folder.

    Attributes:
        root: The folder.
        names: Names of the photos, sorted by `scan`. A name is a path relative to ``root``, with
            ``/`` between folders. A crop may have any name.
        crops: Dict from the name of each crop to its `Crop`. All other names are whole photos.
        skipped: Sorted names of the files that are not photos, such as videos and text files.
    """

    root: Path
    names: tuple[str, ...]
    crops: Mapping[str, Crop] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Labels of the photos: sub-folders of the innermost folder that contains all photos.

        ``a/x/1.jpg`` and ``a/y/2.jpg`` have the labels ``x`` and ``y``, and ``a/3.jpg`` has ``""``.
        None if all labels are ``""``.
        """
        outer = posixpath.commonpath([posixpath.dirname(name) for name in self.names] or [""])
        inner = (name.removeprefix(f"{outer}/").partition("/") for name in self.names)
        labels = tuple(first if slash else "" for first, slash, _ in inner)
        return labels if any(labels) else None

    @property
    def landmarks(self) -> dict[str, str]:
        """Dict from name to landmark: the label of the photo, or its name if it has no label."""
        labels = self.labels or self.names
        return {name: label or name for name, label in zip(self.names, labels, strict=True)}

    @property
    def skipped_summary(self) -> str:
        """Sentence about the number and suffixes of the skipped files. Empty if there are none."""
        if not self.skipped:
            return ""
        suffixes = Counter(Path(name).suffix.lower() or "no suffix" for name in self.skipped)
        most = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5))
        return f"{len(self.skipped)} files are not photos and were skipped ({most})"

    def path(self, name: str) -> Path:
        """Return the path of a photo. For a crop, return the path of the whole photo."""
        return self.root / (self.crops[name].photo if name in self.crops else name)

    def _box(self, name: str) -> list[float] | None:
        return [*self.crops[name].box] if name in self.crops else None

    def source(self, name: str) -> PhotoSource | None:
        """Return size, time and checksum of the file of a photo. None if the file is unreadable."""
        path = self.path(name)
        with suppress(OSError):
            status = path.stat()
            if path.is_file() and status.st_size <= MAX_BYTES:  # `load` refuses any other file
                folder, box = str(self.root.resolve()), self._box(name)
                return PhotoSource(folder, status.st_size, status.st_mtime_ns, sha256(path), box)
        return None

    def current_sources(
        self, recorded: Mapping[str, PhotoSource | None]
    ) -> dict[str, PhotoSource | None]:
        """Return the source of each photo whose file has not changed since the source was recorded.

        The returned `PhotoSource` has the current folder and time of the file. Checksums are compared
        only if the time differs. If the source is None (unknown), or if the file cannot be read now, for
        example on a disconnected disk, the photo counts as unchanged, and its source is returned.
        """
        folder = str(self.root.resolve())
        current: dict[str, PhotoSource | None] = {}
        for name, source in recorded.items():
            path = self.path(name)
            with suppress(OSError):
                if source is not None:
                    status = path.stat()
                    is_same = (status.st_size, self._box(name)) == (source.size, source.box) and (
                        status.st_mtime_ns == source.modified or sha256(path) == source.sha256
                    )
                    if not is_same:
                        continue
                    source = source._replace(folder=folder, modified=status.st_mtime_ns)
            current[name] = source
        return current

    def load(self, name: str) -> Photo:
        """Read a photo or a crop by name, with `read_image` or `read_crop`."""
        if name in self.crops:
            return read_crop(self.path(name), self.crops[name].box)
        return read_image(self.path(name))


def scan(root: str | os.PathLike[str]) -> PhotoFolder:
    """List the photos in a folder and its sub-folders, without hidden files.

    A file is a photo if its suffix is one of `PHOTO_SUFFIXES`. Files with suffixes such as
    ``.json`` are not photos. A file with an unknown suffix is a photo if its first bytes are those
    of an image. Unreadable photos and broken links are listed. Reading them raises an error.

    Raises:
        PhotoError: If the folder does not exist, contains no photo, or has an unreadable sub-folder.
    """
    root = Path(root)
    photos: tuple[list[str], list[str]] = [], []
    for name in list_files(root):
        photos[_may_be_photo(root / name)].append(name)
    skipped, names = map(tuple, photos)
    folder = PhotoFolder(root=root, names=names, skipped=skipped)
    if not names:
        found = ": ".join(filter(None, ["contains no photos", folder.skipped_summary]))
        raise photo_error(root, found, "a folder of photos", "put photos into the folder")
    return folder


def list_files(root: str | os.PathLike[str]) -> list[str]:
    """List the files in a folder and its sub-folders as sorted paths relative to the folder.

    Hidden files and files of the operating system are left out. Links are followed, unless they
    lead to a folder that contains them. A broken link counts as a file.

    Raises:
        PhotoError: If a folder is missing or unreadable, or if too many links lead to a folder.
    """
    root, names = Path(root), []
    visits: Counter[tuple[int, int]] = Counter()
    # Each folder with the identities of the folders that contain it.
    pending: list[tuple[Path, frozenset[tuple[int, int]]]] = [(root, frozenset())]
    while pending:
        folder, parents = pending.pop()
        try:
            status = folder.stat()
            identity = status.st_dev, status.st_ino
            if identity in parents:
                continue
            visits[identity] += 1
            if visits[identity] > MAX_LINKS:
                found = f"is reached by more than {MAX_LINKS} paths, through links"
                raise photo_error(folder, found, "fewer links to this folder", "remove links")
            visible = filter(_is_visible, sorted(os.listdir(folder)))
        except OSError as error:
            raise unreadable(folder, error, "a folder") from error
        for name in visible:
            path = folder / name
            if os.path.isdir(path):
                pending.append((path, parents | {identity}))
            else:
                names.append(path.relative_to(root).as_posix())
    return sorted(names)


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.casefold() not in IGNORED_NAMES


def _may_be_photo(path: Path) -> bool:
    """Return whether a file may be a photo. Only files with an unknown suffix are opened."""
    suffix = path.suffix.lower()
    if suffix in PHOTO_SUFFIXES or suffix in OTHER_SUFFIXES:
        return suffix in PHOTO_SUFFIXES
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait forever
            return False
        with path.open("rb") as file:
            return image_format(file.read(64)) is not None
    except Exception:  # a broken link, a file without permission, or a fault of Pillow
        return True


def iter_photos(
    folder: PhotoFolder, names: Iterable[str], sources: dict[str, PhotoSource | None] | None = None
) -> Iterator[tuple[str, Photo | PhotoError]]:
    """Read photos in background threads. Yield ``(name, photo)``, or ``(name, error)``, in order.

    Very large photos are not read in advance, so that only one of them is in memory at a time. If
    ``sources`` is a dict, the `PhotoSource` of each photo is added to it. The source is determined
    before the photo is read, so that the next run notices if the file changes during this run.
    """

    def read(name: str) -> tuple[str, Photo | PhotoError]:
        try:
            if sources is None:
                return name, folder.load(name)
            source, photo = folder.source(name), folder.load(name)
            if source is None:
                found, fix = "could be read only at the second attempt", "read the photo again"
                raise photo_error(folder.path(name), found, "a readable photo", fix)
            sources[name] = source
            return name, photo
        except PhotoError as error:
            # A new exception: the traceback of the old one would keep the decoded photo in memory.
            return name, PhotoError(*error.args)

    def read_small(name: str) -> tuple[str, Photo | PhotoError | None]:
        with suppress(PhotoError):  # `read` reports it
            if count_pixels(folder.path(name)) > MAX_PIXELS // AHEAD:
                return name, None
        return read(name)

    for name, photo in prefetch(read_small, names):
        yield read(name) if photo is None else (name, photo)


def prefetch(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Call ``function(item)`` in threads, `AHEAD` items in advance. Yield the results in order.

    ``items`` may be endless.
    """
    remaining = iter(items)
    pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="photos")
    try:
        pending = deque(pool.submit(function, item) for item in islice(remaining, AHEAD))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
