"""Download the files of a data set, verify the checksums, and unpack the archives.

After an interruption, the next call keeps the finished files and continues with the next one. The
SHA-256 checksum of each download is kept in ``NAME.sha256``. If the publisher gives no checksum, later
downloads of a file must match the first one. Limitation: a download that receives some bytes every minute has
no time limit; interrupt it, and the next call starts this file again.
"""

import re
from pathlib import Path

import pooch
import requests

from delfjax.datasets.archives import is_unpacked, unpack
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.catalog import (
    DATASETS,
    UNFINISHED,
    RemoteFile,
    missing_message,
    missing_parts,
)
from delfjax.files import Lock, StoreError, sha256

ARCHIVE_SUFFIXES = (".tar", ".tgz", ".tar.gz")
DOWNLOADS = "downloads"  # sub-folder of a data set, for archives and their checksums
TIMEOUT = (20, 60)  # seconds to wait for a connection, and for each chunk
CHUNK = 1 << 18  # bytes per chunk of a download
WAIT = 6 * 3600  # seconds to wait for another process that downloads into the same folder
RETRIES = 2  # number of retries after a failed connection or a wrong checksum


def fetch_dataset(name: str, root: Path) -> bool:
    """Download and unpack the missing parts of a data set. Archives are deleted after unpacking.

    Args:
        name: Name of the data set, one of `DATASETS`.
        root: Folder that holds one sub-folder per data set.

    Returns:
        True if parts were missing and are now complete; False if nothing was missing.

    Raises:
        DatasetError: The data set has to be downloaded by hand. Or a file cannot be downloaded or
            unpacked; the next call continues with this file.
    """
    entry, folder = DATASETS[name], root / name
    if not (missing := missing_parts(name, root)):
        return False
    if not entry.files:
        raise DatasetError(missing_message(name, root))
    with _lock(folder, ".fetching.lock"):
        missing = missing_parts(name, root)  # another process may have fetched them
        (folder / UNFINISHED).write_text("\n".join(missing))
        for file in entry.files:
            if file.part in missing:
                _fetch_file(file, folder)
        if entry.photos_from and missing:
            fetch_dataset(entry.photos_from, root)
            _link_photos(root / entry.photos_from / "jpg", folder / "jpg")
        (folder / UNFINISHED).unlink()
    return bool(missing)


def download_file(url: str, path: Path, md5: str | None = None) -> None:
    """Download a file, unless it exists and matches its checksum.

    Args:
        url: HTTP or HTTPS address.
        path: Destination. Missing folders are created. An incomplete download leaves no file there.
        md5: Expected MD5 checksum in hex. None: the SHA-256 checksum in ``NAME.sha256`` beside the
            file is used, if it exists.

    Raises:
        DatasetError: The file cannot be downloaded or written, or the checksum differs.
    """
    with _lock(path.parent, ".download.lock"):
        _download(url, path, md5)


def _download(url: str, path: Path, md5: str | None) -> None:
    checksum, known_hash, hint = path.with_name(f"{path.name}.sha256"), None, ""
    if md5 is not None:
        known_hash = f"md5:{md5}"
    elif checksum.exists():
        known_hash = f"sha256:{checksum.read_text().strip()}"
        hint = f". If the publisher has changed the file and you trust it, first remove {checksum}"
    fields = {"registry": {path.name: known_hash}, "urls": {path.name: url}}
    source = pooch.create(path.parent, base_url="", retry_if_failed=RETRIES, **fields)
    hooks = {} if known_hash else {"hooks": {"response": _check_end}}
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=CHUNK, timeout=TIMEOUT, **hooks)
    try:
        source.fetch(path.name, downloader=downloader)
        with path.open("rb") as stream:
            is_web_page = stream.read(512).lstrip().startswith(b"<")
        if is_web_page:  # such as a login form
            path.unlink()
            raise ValueError("the server sends a web page, not the file; open the URL in a browser")
        checksum.write_text(sha256(path) + "\n")
    except (OSError, ValueError) as error:  # includes the errors of requests
        raise DatasetError(
            f"{path}: cannot be downloaded from {url} ({error}). Fix: check the address, the network, the "
            f"disk space and the permissions of the folder; then run the same command again{hint}"
        ) from error


def _lock(folder: Path, name: str) -> Lock:
    """Create a folder and lock it; wait for another process that downloads into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Lock(folder / name, wait=WAIT)
    except (OSError, StoreError) as error:
        raise DatasetError(
            f"{folder}: nothing can be downloaded into this folder ({error}). Fix: check its permissions, and "
            "whether another process downloads into it"
        ) from error


def _check_end(response: requests.Response, **_: object) -> None:
    """Refuse a file without checksum and without length: nobody could notice that its end is missing."""
    fields = response.headers
    if response.ok and not (
        response.is_redirect
        or "Content-Length" in fields
        or fields.get("Transfer-Encoding", "").casefold() == "chunked"
    ):
        raise ValueError("the server sends neither the length nor a checksum of the file")


def _fetch_file(file: RemoteFile, folder: Path) -> None:
    target = folder / file.folder
    if not file.name.endswith(ARCHIVE_SUFFIXES):
        download_file(file.url, target / file.name)
        return
    archive = folder / DOWNLOADS / file.folder / file.name
    checksum = archive.with_name(f"{file.name}.sha256")
    if checksum.exists() and is_unpacked(checksum.read_text().strip(), target):
        return
    md5 = None
    if file.md5_url is not None:
        md5_file = archive.with_name(file.md5_url.rpartition("/")[2])
        download_file(file.md5_url, md5_file)
        md5 = md5_file.read_text(errors="replace").partition(" ")[0].strip()
        if not re.fullmatch(r"[0-9a-f]{32}", md5):
            raise DatasetError(
                f"{md5_file}: begins with {md5[:40]!r}; expected an MD5 checksum of 32 hexadecimal digits. "
                "Fix: remove this file and run the same command again"
            )
    download_file(file.url, archive, md5)
    unpack(archive, target, flat=file.flat)
    archive.unlink()


def _link_photos(photos: Path, link: Path) -> None:
    """Create a link to the photos of another data set, as Radenovic et al. (2018) do."""
    if link.exists() or link.is_symlink():
        return
    if next(photos.glob("*.jpg"), None) is None:
        raise DatasetError(
            f"{photos}: holds no .jpg files, but {link.parent.name} uses the photos of "
            f"{photos.parent.name}. Fix: move its photos into {photos}, without sub-folders"
        )
    target = Path("..", photos.parent.name, photos.name)  # relative: the root may be moved
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:  # on Windows, some users may not create links
        raise DatasetError(
            f"{link}: a link to {target} cannot be created ({error.strerror}). Fix: copy {photos} to {link}"
        ) from error
