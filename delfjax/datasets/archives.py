"""Unpack archives of photos safely.

A downloaded archive could overwrite any file on disk. `unpack` therefore accepts only regular
files, paths inside the destination folder, and a limited total size. If one file is not allowed or
damaged, no file is unpacked. After success, an empty marker file records the name of the archive.
"""

import errno
import filecmp
import gzip
import io
import re
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from delfjax.datasets.benchmark import DatasetError, invalid

# Limits per archive. An archive of Google-Landmarks has 1 GB and 8,000 photos, Oxford5k 2 GB.
MAX_FILES = 500_000
MAX_BYTES = 20_000_000_000
MAX_READ = 16_000_000  # bytes per read; tarfile reads headers of any size into memory
FORBIDDEN = re.compile(r"[\\:\x00-\x1f\x7f]")  # in names: Windows drives and separators, controls
MARKERS, TEMPORARY = ".unpacked", ".unpacking-"  # (prefixes of) folder names in the destination
FIXES = {  # by error of the operating system
    errno.ENOSPC: "free disk space and unpack the archive again",
    errno.EACCES: "change the permissions and unpack the archive again",
    errno.ENOENT: "check the path of the archive",
}


def unpack(archive: Path, folder: Path, *, flat: bool = False) -> None:
    """Unpack a tar or tar.gz archive into a folder. Existing files are kept.

    Args:
        archive: Path of the archive. Its format is detected from the content.
        folder: Destination folder. The folder may be a link, but links inside it are not followed.
        flat: Whether to drop the folders of the archive and unpack all files into ``folder``.

    Raises:
        DatasetError: If the archive is damaged, exceeds a limit, or holds a link, a device, the same
            path twice, or a path outside ``folder``. Also if a file would replace a link or a
            different file in ``folder``. In all these cases, no file is unpacked.
    """
    try:
        temporary = folder / f"{TEMPORARY}{archive.name}"
        shutil.rmtree(temporary, ignore_errors=True)  # left by a run that was killed
        temporary.mkdir(parents=True)
        try:
            _write_members(archive, temporary, flat=flat)
            _move_files(temporary, folder, archive.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        marker = folder / MARKERS / archive.name
        marker.parent.mkdir(exist_ok=True)
        marker.touch()
    except DatasetError:
        raise
    except Exception as error:  # the readers raise all kinds of errors on damaged archives
        found = f"cannot be unpacked ({type(error).__name__}: {error})"
        if code := getattr(error, "errno", None):  # of the operating system
            fix = FIXES.get(code, "unpack the archive by hand")
            raise invalid(archive, found, fix=fix) from error
        found = f"{found}; expected a complete tar or tar.gz archive"
        raise invalid(archive, found, fix="remove this file and download it again") from error


def is_unpacked(name: str, folder: Path) -> bool:
    """Return whether an archive with this file name was unpacked into the folder."""
    return (folder / MARKERS / name).is_file()


def _write_members(archive: Path, folder: Path, *, flat: bool) -> None:
    total = 0
    progress = {"unit": "B", "unit_scale": True, "desc": f"unpack {archive.name}"}
    with archive.open("rb") as file, tqdm(total=archive.stat().st_size, **progress) as bar:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if compressed else file
        # To read an archive, tarfile does not call the methods write and close.
        with tarfile.TarFile(fileobj=_LimitedReads(stream)) as tar:  # type: ignore[arg-type]
            for count, member in enumerate(tar, start=1):
                if member.isdir() and count <= MAX_FILES:  # folders are created only for files
                    continue
                path = PurePosixPath(member.name)
                target = folder / (path.name if flat else path)
                total += member.size
                problem = _problem(member, path)
                if not problem and (count > MAX_FILES or total > MAX_BYTES):
                    problem = f"exceeds the limit of {MAX_FILES:,} files and {MAX_BYTES:,} bytes"
                if not problem and target.exists():
                    problem = "has the same path as an earlier member"
                if problem:
                    found = f"the member {member.name[:200]!r} {problem}. No file was unpacked"
                    fix = "download the archive again, or unpack it by hand if you trust it"
                    raise invalid(archive, found, fix=fix)
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member) or io.BytesIO()  # never None for a regular file
                with source, target.open("xb") as output:
                    shutil.copyfileobj(source, output)
                if target.stat().st_size != member.size:
                    raise EOFError(f"the archive is truncated within {member.name}")
                bar.update(file.tell() - bar.n)
            stream.seek(tar.offset)
            if stream.read(512) != bytes(512):  # tarfile mistakes a damaged header for the end
                raise EOFError("the archive is truncated: the end of the tar is missing")
            # Reading to the end of the padding also verifies the checksum of a gzip.
            if len(stream.read(MAX_READ)) == MAX_READ:
                raise EOFError(f"more than {MAX_READ:,} bytes follow the end of the tar archive")


def _problem(member: tarfile.TarInfo, path: PurePosixPath) -> str | None:
    """Return why a member of an archive must not be unpacked, or None if it is safe."""
    if not member.isreg() or member.issparse():
        return "is neither a regular file nor a folder"
    if path.is_absolute() or ".." in path.parts or FORBIDDEN.search(member.name) or not path.name:
        return "is not a valid path inside the destination folder"
    if any(part.startswith((MARKERS, TEMPORARY)) for part in path.parts):
        return "has a name that is reserved for delfjax"
    return None


class _LimitedReads:
    """Stream that refuses long reads, because tarfile reads headers of any size into memory."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int) -> bytes:
        if size > MAX_READ:
            raise EOFError(
                f"the archive has a header of {size:,} bytes; expected at most {MAX_READ:,}"
            )
        return self._read(size)


def _move_files(temporary: Path, folder: Path, archive: str) -> None:
    """Move all files into the folder. Move none if one would replace a link or a different file."""
    paths = [path for path in temporary.rglob("*") if path.is_file()]
    moves = {path: folder / path.relative_to(temporary) for path in paths}
    for path, target in moves.items():
        parents = [folder / parent for parent in target.relative_to(folder).parents]
        for step in [*parents[-2::-1], target]:  # outermost first, without `folder`
            if step.is_symlink():
                found = f"is a link; expected a file or folder, as in the archive {archive}"
                raise invalid(step, found, fix="remove this link")
            if step == target:
                fits = step.is_file() and filecmp.cmp(path, target, shallow=False)
            else:
                fits = step.is_dir()
            if step.exists() and not fits:
                found = f"exists and differs from the file or folder in the archive {archive}"
                raise invalid(step, found, fix="move the existing file or folder elsewhere")
    for path, target in moves.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
