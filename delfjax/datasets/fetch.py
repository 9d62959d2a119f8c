"""Download the files of a data set, verify the checksums, and unpack the archives.

After an interruption, call `fetch_dataset` again. Complete files are kept.

Limitation: a slow download has no time limit if it receives some bytes every minute.
"""

from pathlib import Path

import pooch
import requests

from delfjax.datasets.archives import is_unpacked, unpack
from delfjax.datasets.benchmark import DatasetError, invalid
from delfjax.datasets.catalog import (
    DATASETS,
    UNFINISHED,
    RemoteFile,
    missing_message,
    missing_parts,
)
from delfjax.files import atomic_write, check_regular, lock_folder

ARCHIVE_SUFFIXES = (".tar", ".tgz", ".tar.gz")
DOWNLOADS = "downloads"  # sub-folder of a data set, for archives and published checksums
TIMEOUT = (20, 60)  # seconds to wait for a connection, and for each chunk
WAIT = 6 * 3600  # seconds to wait for another process that downloads into the same folder
BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"  # byte order marks and white space before a web page
RETRIES = 2  # number of retries after a failed connection or a wrong checksum


def fetch_dataset(name: str, root: Path) -> bool:
    """Download and unpack the missing files of a data set. Return whether files were missing.

    ``root`` holds one sub-folder per data set. Archives are deleted after unpacking.

    Raises:
        DatasetError: If a file cannot be downloaded or unpacked, or has to be downloaded by hand.
        StoreError: If the folder cannot be written, or another process uses it for over 6 hours.
    """
    entry, folder = DATASETS[name], root / name
    if not (missing := missing_parts(name, root)):
        return False
    if not entry.files:
        raise DatasetError(missing_message(name, root))
    with lock_folder(folder, WAIT, ".fetching.lock"):
        missing = missing_parts(name, root)  # another process may have fetched them
        with atomic_write(folder / UNFINISHED) as temporary:
            temporary.write_text("\n".join(missing))
        for file in entry.files:
            if file.part in missing:
                _fetch_file(file, folder)
        if entry.photos_from and missing:
            fetch_dataset(entry.photos_from, root)
            _link_photos(root / entry.photos_from / "jpg", folder / "jpg")
        (folder / UNFINISHED).unlink()
    return bool(missing)


def download_file(url: str, path: Path, md5: str | None = None) -> None:
    """Download a file over HTTP or HTTPS, unless it exists.

    ``md5`` is the expected MD5 checksum in hexadecimal. An existing file with another checksum is
    downloaded again. A failed download leaves no incomplete file.

    Raises:
        DatasetError: If the file cannot be downloaded or written, or the checksum differs.
    """
    registry = {path.name: f"md5:{md5}" if md5 is not None else None}
    source = pooch.create(
        path.parent, "", registry=registry, urls={path.name: url}, retry_if_failed=RETRIES
    )
    downloader = pooch.HTTPDownloader(
        progressbar=True,
        chunk_size=1 << 18,
        timeout=TIMEOUT,
        hooks={"response": _check_response},
        headers={"Accept-Encoding": "identity"},
    )
    try:
        if path.exists():
            check_regular(path)
        source.fetch(path.name, downloader=downloader)
        with path.open("rb") as stream:
            is_web_page = stream.read(512).lstrip(BEFORE_TEXT).startswith(b"<")
        if is_web_page:  # such as a login form
            path.unlink()
            raise ValueError(
                "the server sent a web page instead of the file; open the address in a browser"
            )
    except (OSError, ValueError) as error:  # includes the errors of requests
        fix = "check the address, the network, the disk space and the permissions of the folder"
        raise DatasetError(
            f"{path}: cannot be downloaded from {url} ({error}). "
            f"Fix: {fix}; then download the file again"
        ) from error


def _check_response(response: requests.Response, **_: object) -> None:
    """Refuse a reply whose end is unknown, because an incomplete file could not be noticed."""
    ends = {"Content-Length", "Transfer-Encoding"}
    if response.ok and not response.is_redirect and ends.isdisjoint(response.headers):
        raise ValueError("the server sent no length; expected the header Content-Length")


def _fetch_file(file: RemoteFile, folder: Path) -> None:
    target = folder / file.folder
    if not file.name.endswith(ARCHIVE_SUFFIXES):
        download_file(file.url, target / file.name)
    elif not is_unpacked(file.name, target):
        archive, md5 = folder / DOWNLOADS / file.folder / file.name, None
        if file.md5_url is not None:
            checksum = archive.with_name(file.md5_url.rpartition("/")[2])
            download_file(file.md5_url, checksum)
            md5 = checksum.read_text(errors="replace").partition(" ")[0].strip()
        download_file(file.url, archive, md5)
        unpack(archive, target, flat=file.flat)
        archive.unlink()


def _link_photos(photos: Path, link: Path) -> None:
    """Create a link to the photos of another data set, as Radenovic et al. (2018) do."""
    if any(link.glob("*.jpg")):
        return
    if not any(photos.glob("*.jpg")):
        names = f"{link.parent.name} uses the photos of {photos.parent.name}"
        fix = f"move the photos of {photos.parent.name} into {photos}, without sub-folders"
        raise invalid(photos, f"holds no .jpg files, but {names}", fix=fix)
    target = Path("..", photos.parent.name, photos.name)  # relative: the root may be moved
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:  # on Windows, some users may not create links
        found = f"holds no .jpg files, and cannot be linked to {target} ({error.strerror})"
        raise invalid(link, found, fix=f"remove {link}, or copy {photos} to this path") from error
