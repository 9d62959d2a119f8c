"""Archives of photos, unpacked so that they can do no harm, whole or not at all. Not in the paper.

An archive names the files that it wants written. Only regular files are taken, only below the folder
that was asked for, and only as many bytes as a data set has. They are written to a folder aside and
moved into place when all are there. A mark remembers the archive by its SHA-256: what was unpacked
is not unpacked again.
"""

import errno
import filecmp
import gzip
import io
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from tqdm.auto import tqdm

from delfjax.datasets.benchmark import DatasetError
from delfjax.files import sha256

# Google-Landmarks' tars have 1 GB and 8,000 photos each, Oxford5k's 2 GB and 5,000.
MAX_MEMBERS = 500_000
MAX_BYTES = 20_000_000_000
MAX_READ = 16_000_000  # of a tar at once: its readers take a header of any length into memory
FORBIDDEN = re.compile(r"[\\:\x00-\x1f\x7f]")  # in names: Windows' drives and separators, controls
MARKS, ASIDE = ".unpacked", ".unpacking-"  # folders: of marks, and of what is being written
END = bytes(512)  # a tar ends in blocks of zeros


class _Member(NamedTuple):
    """A regular file of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, folder: Path, *, flat: bool = False) -> bool:
    """Unpack a tar, tar.gz or zip into a folder, beside what is there; not twice the same archive.

    Args:
        archive: The file; its content, not its name, says what it is.
        folder: Made if missing. It may be a link, but a link within it is never followed.
        flat: Leave out the archive's own folders.

    Returns:
        Whether there was anything to do.

    Raises:
        DatasetError: The archive is damaged, cut short, or over `MAX_MEMBERS` or `MAX_BYTES`; holds
            links, devices, a file twice, or a name that leads out of the folder; or the folder has
            another file, or a link, in the place of one of its files. Nothing was written then.
    """
    try:
        digest = sha256(archive)
        if is_unpacked(digest, folder):
            return False
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f"{ASIDE}{digest[:16]}"
        shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
        aside.mkdir()
        try:
            _write(archive, aside, flat=flat)
            _move(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        mark = folder / MARKS / digest
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(archive.name + "\n")
        return True
    except DatasetError:
        raise
    except Exception as error:  # on damaged archives their readers raise all kinds
        raise _unreadable(archive, error) from error


def is_unpacked(digest: str, folder: Path) -> bool:
    """Return whether the archive of this SHA-256 was unpacked into the folder."""
    return (folder / MARKS / digest).is_file()


def _unreadable(archive: Path, error: Exception) -> DatasetError:
    if getattr(error, "errno", None) == errno.ENOSPC:
        return DatasetError(f"{archive}: no room on the disk to unpack it; free some and go on")
    if getattr(error, "strerror", None):
        return DatasetError(f"{archive}: cannot be unpacked ({error}); check your rights to both")
    return DatasetError(
        f"{archive}: cannot be unpacked ({type(error).__name__}: {error}); expected a whole tar, "
        "tar.gz or zip. Remove it and fetch it again"
    )


def _refused(archive: Path, member: str, why: str) -> DatasetError:
    return DatasetError(
        f"{archive}: {member[:200]!r} {why}; nothing of the archive was unpacked. Get it from its "
        "publisher, or unpack it by hand if you trust it"
    )


# --- out of the archive -----------------------------------------------------------------------------


def _write(archive: Path, folder: Path, *, flat: bool) -> None:
    """Write an archive's files into an empty folder."""
    count = total = 0
    with closing(_members(archive)) as members:
        for member in members:
            count, total = count + 1, total + member.size
            if count > MAX_MEMBERS or total > MAX_BYTES:
                limits = f"{MAX_MEMBERS:,} files and {MAX_BYTES:,} bytes"
                raise _refused(archive, member.name, f"is more than an archive may hold ({limits})")
            path = _below(archive, member.name)
            target = folder / (path.name if flat else path)
            if target.exists():
                raise _refused(archive, member.name, "is in it twice")
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, target.open("xb") as file:
                shutil.copyfileobj(source, file)
            if target.stat().st_size != member.size:
                raise EOFError(f"{member.name} ends early")


def _below(archive: Path, name: str) -> PurePosixPath:
    """Return a member's path in the folder; refuse any that might lead elsewhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or FORBIDDEN.search(name) or not path.name:
        raise _refused(archive, name, "is no name for a file in the folder")
    if any(part.startswith((MARKS, ASIDE)) for part in path.parts):
        raise _refused(archive, name, "has a name that is kept for the marks of archives")
    return path


def _members(archive: Path) -> Iterator[_Member]:
    """Yield the regular files of an archive; refuse it at the first that is neither file nor folder."""
    progress = {"unit": "B", "unit_scale": True, "desc": f"unpack {archive.name}"}
    with archive.open("rb") as file, tqdm(total=archive.stat().st_size, **progress) as bar:
        start = file.read(4)
        file.seek(0)
        if start in (b"PK\3\4", b"PK\5\6"):  # not zipfile.is_zipfile: a tar may end in a zip
            members = _zip_members(archive, file)
        elif start[:2] == b"\x1f\x8b":
            members = _tar_members(archive, gzip.GzipFile(fileobj=file))
        else:
            members = _tar_members(archive, file)
        for member in members:
            yield member
            bar.update(file.tell() - bar.n)


def _tar_members(archive: Path, stream: io.BufferedIOBase) -> Iterator[_Member]:
    with tarfile.TarFile(fileobj=_ShortReads(stream)) as tar:
        for member in tar:
            if member.isdir():
                _check_folder(archive, member.name)
                continue
            if not member.isreg() or member.issparse():
                raise _refused(archive, member.name, "is neither a regular file nor a folder")
            _below(archive, member.name)
            if hasattr(tarfile, "data_filter"):  # Python's own checks, from 3.11.4: never alone
                tarfile.data_filter(member, "folder")
            yield _Member(member.name, member.size, lambda member=member: tar.extractfile(member))
        # Where a header is damaged, tarfile stops as if the archive ended there.
        stream.seek(tar.offset)
        if stream.read(len(END)) != END:
            raise EOFError("the tar has no end")
        if len(stream.read(MAX_READ)) == MAX_READ:  # to the padding's end, and a gzip's checksum
            raise EOFError("the tar's end has no end")


def _zip_members(archive: Path, stream: io.BufferedIOBase) -> Iterator[_Member]:
    with zipfile.ZipFile(stream) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the writer was no Unix
            if info.is_dir() and kind in (0, stat.S_IFDIR):
                _check_folder(archive, info.filename)
                continue
            if kind not in (0, stat.S_IFREG):
                raise _refused(archive, info.filename, "is neither a regular file nor a folder")
            yield _Member(info.filename, info.file_size, lambda info=info: file.open(info))


def _check_folder(archive: Path, name: str) -> None:
    """Check a folder's name, though none is made but for files: it shows what an archive is up to."""
    if PurePosixPath(name).name:
        _below(archive, name)


class _ShortReads:
    """A stream that is never read in long pieces: tarfile reads long names and tables at once."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int) -> bytes:
        if size > MAX_READ:
            raise EOFError(f"a header of {size:,} bytes; expected at most {MAX_READ:,}")
        return self._read(size)


# --- into the folder --------------------------------------------------------------------------------


def _move(aside: Path, folder: Path) -> None:
    """Move files into a folder, if every one of them may go there."""
    moves = {path: folder / path.relative_to(aside) for path in aside.rglob("*") if path.is_file()}
    for path, target in moves.items():
        _check_free(path, target, folder)
    for path, target in moves.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _check_free(path: Path, target: Path, folder: Path) -> None:
    steps = [folder / part for part in _prefixes(target.relative_to(folder))]
    if links := [step for step in steps if step.is_symlink()]:
        raise DatasetError(f"{links[0]}: is a link, where a file of an archive belongs; remove it")
    taken = [step for step in steps[:-1] if step.exists() and not step.is_dir()]
    if target.exists() and not (target.is_file() and filecmp.cmp(path, target, shallow=False)):
        taken.append(target)
    if taken:
        raise DatasetError(
            f"{taken[0]}: is there, but is not what the archive holds under this name; move it away"
        )


def _prefixes(path: Path) -> list[Path]:
    """Return ``a``, ``a/b``, ``a/b/c`` of ``a/b/c``."""
    return [*reversed(path.parents)][1:] + [path]
