"""Unpack archives of photos safely.

A downloaded archive could overwrite any file on disk. `unpack` therefore accepts only regular
files, paths inside the destination folder, and a limited total size. If one file is not allowed or
damaged, no file is unpacked. Otherwise, a marker file has the name of the archive.
"""

import filecmp
import gzip
import io
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from delfjax.datasets.benchmark import DatasetError, invalid
from delfjax.files import failure

# Limits per archive. An archive of Google-Landmarks has 1 GB and 8,000 photos, Oxford5k 2 GB.
MAX_FILES = 500_000
MAX_BYTES = 20_000_000_000
MARKERS, TEMPORARY = ".unpacked", ".unpacking-"  # (prefixes of) folder names in the destination


def unpack(archive: Path, folder: Path, *, flat: bool = False) -> None:
    """Unpack a tar or tar.gz archive into a folder. Existing files are kept.

    Args:
        archive: Path of the archive. Its format is detected from the content.
        folder: Destination folder. The folder may be a link, but links inside it are not followed.
        flat: Whether to drop the folders of the archive and unpack all files into ``folder``.

    Raises:
        DatasetError: The archive is damaged, exceeds a limit, or holds a link, a device, the same
            path twice, or a path outside the folder. Or a file would replace a link or a different
            file. In all these cases, no file is unpacked.
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
        (folder / MARKERS).mkdir(exist_ok=True)
        (folder / MARKERS / archive.name).touch()
    except DatasetError:
        raise
    except Exception as error:  # the readers raise all kinds of errors on damaged archives
        found = f"cannot be unpacked ({failure(error)}); expected a complete tar or tar.gz archive"
        fix = "remove this file and download it again"
        if getattr(error, "errno", None):  # of the operating system
            fix = "check the path, the permissions and the free disk space, or unpack it by hand"
        raise invalid(archive, found, fix=fix) from error


def is_unpacked(name: str, folder: Path) -> bool:
    """Return whether an archive with this file name was unpacked into the folder."""
    return (folder / MARKERS / name).is_file()


def _write_members(archive: Path, folder: Path, *, flat: bool) -> None:
    total = 0
    progress = {"unit": "B", "unit_scale": True, "desc": f"unpack {archive.name}"}
    with archive.open("rb") as file, tqdm(total=archive.stat().st_size, **progress) as bar:
        stream = gzip.GzipFile(fileobj=file) if file.read(2) == b"\x1f\x8b" else file
        file.seek(0)
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for count, member in enumerate(tar, start=1):
                total += member.size
                path = PurePosixPath(member.name)
                target = folder / (path.name if flat else path)
                problem = None if member.isdir() else _problem(member, target, folder)
                if count > MAX_FILES or total > MAX_BYTES:
                    problem = f"exceeds the limit of {MAX_FILES:,} files and {MAX_BYTES:,} bytes"
                if problem:
                    found = f"the member {member.name[:200]!r} {problem}. No file was unpacked"
                    fix = "download the archive again, or unpack it by hand if you trust it"
                    raise invalid(archive, found, fix=fix)
                if member.isdir():  # folders are created only for files
                    continue
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
            while stream.read(1 << 20):  # at the end, gzip verifies the checksum
                pass


def _problem(member: tarfile.TarInfo, target: Path, folder: Path) -> str | None:
    """Return why a member of an archive must not be unpacked, or None if it is safe."""
    if not member.isreg() or member.issparse():
        return "is neither a regular file nor a folder"
    if not (folder / member.name).resolve().is_relative_to(folder.resolve()):
        return "is not a path inside the destination folder"
    return "is in the archive twice" if target.exists() else None


def _move_files(temporary: Path, folder: Path, archive: str) -> None:
    """Move all files into the folder. Move none if one would replace a link or a different file."""
    paths = [path for path in temporary.rglob("*") if path.is_file()]
    moves = {path: folder / path.relative_to(temporary) for path in paths}
    for path, target in moves.items():
        if target.resolve() != folder.resolve() / path.relative_to(temporary):
            found = f"is a link, or in a link; expected a file, as in the archive {archive}"
            raise invalid(target, found, fix="remove this link")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not filecmp.cmp(path, target, shallow=False):
            found = f"exists and differs from the file in the archive {archive}"
            raise invalid(target, found, fix="move the existing file elsewhere")
    for path, target in moves.items():
        path.replace(target)
