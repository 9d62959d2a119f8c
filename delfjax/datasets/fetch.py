"""Fetch a data set: download its files, verify and unpack them. An interrupted fetch resumes."""

import re
from pathlib import Path

from delfjax.datasets import archives, download
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.catalog import (
    PHOTOS,
    UNFINISHED,
    RemoteFile,
    get_entry,
    missing_message,
    missing_parts,
)

ARCHIVE_SUFFIXES = (".tar", ".tgz", ".tar.gz")
DOWNLOADS = "downloads"  # folder of archives and their checksums, in the folder of a data set
MD5 = re.compile(r"[0-9a-f]{32}")


def fetch_dataset(name: str, root: Path) -> bool:
    """Download and unpack the missing parts of a data set; delete archives after unpacking.

    Args:
        name: Name of the data set.
        root: Folder that holds the folders of all data sets.

    Returns:
        False if nothing was missing.

    Raises:
        DatasetError: The data set has to be fetched by hand; or a download or an archive failed, and
            the next call resumes.
    """
    entry, folder = get_entry(name), root / name
    if not (missing := missing_parts(name, root)):
        return False
    if not entry.files:
        raise DatasetError(missing_message(name, root, missing))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNFINISHED).write_text("\n".join(missing))
    for file in entry.files:
        if file.part in missing:
            _fetch_file(file, folder)
    if entry.photos_from:
        fetch_dataset(entry.photos_from, root)
        _link_photos(root / entry.photos_from / PHOTOS, folder / PHOTOS)
    (folder / UNFINISHED).unlink()
    return True


def _fetch_file(file: RemoteFile, folder: Path) -> None:
    target = folder / file.folder
    if not file.name.endswith(ARCHIVE_SUFFIXES):
        download.download_file(file.url, target / file.name)
        return
    archive = folder / DOWNLOADS / file.folder / file.name
    checksum = archive.with_name(f"{file.name}.sha256")
    if checksum.exists() and archives.is_unpacked(checksum.read_text().strip(), target):
        return
    download.download_file(file.url, archive, md5=_published_md5(file, archive.parent))
    archives.unpack(archive, target, flat=file.flat)
    archive.unlink()


def _published_md5(file: RemoteFile, folder: Path) -> str | None:
    if file.md5_url is None:
        return None
    path = download.download_file(file.md5_url, folder / file.md5_url.rpartition("/")[2])
    md5 = path.read_text(errors="replace").partition(" ")[0].strip()
    if not MD5.fullmatch(md5):
        raise DatasetError(
            f"{path}: expected it to begin with an MD5 checksum. Fix: remove it, and fetch again"
        )
    return md5


def _link_photos(photos: Path, link: Path) -> None:
    """Use the photos of another data set through a link, as the authors of revisitop do."""
    if link.exists() or link.is_symlink():
        return
    if next(photos.glob("*.jpg"), None) is None:
        raise DatasetError(
            f"{photos}: holds no photos, but {link.parent.name} uses those of {photos.parent.name}. "
            "Fix: move them there, without sub-folders"
        )
    target = Path("..", photos.parent.name, photos.name)  # relative, so that the root can be moved
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:  # on Windows, some users may not create links
        raise DatasetError(
            f"{link}: cannot be made a link to {target} ({error.strerror}). Fix: copy {photos} to {link}"
        ) from error
