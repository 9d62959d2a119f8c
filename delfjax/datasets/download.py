"""Download large files over HTTP, and resume after an interruption.

pooch, which fetches the weights, restarts each time; the data sets have up to 100 GB. Bytes go to
``NAME.part``. ``NAME.part.json`` records the version that the server reports, so that pieces of two
versions are never joined. ``NAME.sha256`` stays beside the finished file: if the publisher gives no
checksum, later downloads are checked against the first one.
"""

import errno
import hashlib
import json
import time
from pathlib import Path
from typing import NamedTuple

import requests
from requests.adapters import HTTPAdapter, Retry
from tqdm.auto import tqdm

from delfjax.datasets.benchmark import DatasetError
from delfjax.files import sha256

TIMEOUT = (20, 60)  # seconds: to connect, and between two chunks
CHUNK = 1 << 14  # bytes; the incomplete last chunk of a broken connection is lost
MAX_ATTEMPTS = 5  # consecutive requests that fail or bring no bytes
BACKOFF = 1.0  # seconds; urllib3 doubles the pause after each failed connection or status
TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)


class DownloadError(DatasetError):
    """Raised when a file cannot be downloaded, or differs from its checksum."""


class _Source(NamedTuple):
    """Origin of the bytes in a ``.part`` file.

    Attributes:
        url: Address of the file.
        version: Version that the server reports: the ETag or the date of the last change.
        size: Size of the complete file in bytes; None: unknown.
    """

    url: str
    version: str | None
    size: int | None


def download_file(url: str, path: Path, *, md5: str | None = None) -> Path:
    """Download a file, or resume a download; only check a file that exists already.

    Args:
        url: HTTP or HTTPS address.
        path: Destination; missing folders are created.
        md5: Expected MD5 checksum in hex. None: the SHA-256 in ``NAME.sha256``, if that file exists.

    Returns:
        The path.

    Raises:
        DownloadError: The server does not answer or does not send the file, the checksum differs, or
            the file cannot be written. Except after a wrong checksum, the next call resumes.
    """
    if path.exists():
        _check(path, path, md5)
        return path
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download_part(url, part)
        _check(part, path, md5)
        _checksum_file(path).write_text(sha256(part) + "\n")
        part.replace(path)
        _source_file(part).unlink(missing_ok=True)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        reason = "the disk is full" if full else error.strerror or error
        fix = "free some space" if full else "check the permissions of the folder"
        raise DownloadError(
            f"{path}: cannot be written ({reason}). Fix: {fix}, and retry"
        ) from error
    return path


def _download_part(url: str, part: Path) -> None:
    """Send requests until the file is complete; give up after several that bring no bytes."""
    most_bytes, failures = _size(part), 0
    with _session() as session:
        while failures < MAX_ATTEMPTS:
            time.sleep(BACKOFF * failures)
            try:
                if _resume(session, url, part):
                    return
            except requests.RequestException as error:
                raise DownloadError(
                    f"{url}: {error}. Fix: check the address and the network, and retry"
                ) from error
            failures = 0 if _size(part) > most_bytes else failures + 1
            most_bytes = max(most_bytes, _size(part))
    raise DownloadError(
        f"{url}: incomplete after {MAX_ATTEMPTS} attempts without progress, with {_size(part):,} bytes "
        "downloaded. Fix: run the same command later; it resumes"
    )


def _session() -> requests.Session:
    """Return a session that repeats a request if the connection fails or the server is busy."""
    retry = Retry(
        MAX_ATTEMPTS - 1,
        backoff_factor=BACKOFF,
        status_forcelist=TRANSIENT_STATUS,
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _resume(session: requests.Session, url: str, part: Path) -> bool:
    """Send one request: for the missing bytes, or for the whole file if it cannot be resumed.

    Returns:
        Whether the file is complete.
    """
    start, source = _size(part), _read_source(part)
    if source is None or source.url != url or source.version is None:
        start, source = 0, None
    elif start == source.size:
        return True
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": source.version}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        sent = _response_source(url, response)
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            _discard(part)
            return False
        _check_response(response)
        if response.status_code == requests.codes.partial_content:
            sent_range = response.headers.get("Content-Range", "")
            same_file = start and sent.version == source.version
            if not (same_file and sent_range.startswith(f"bytes {start}-")):
                _discard(part)
                return False
        else:
            start = 0
            part.write_bytes(b"")
            _source_file(part).write_text(json.dumps(sent._asdict()))
        ended = _append(response, part, start, sent.size)
    return ended and sent.size in (None, _size(part))


def _append(response: requests.Response, part: Path, start: int, size: int | None) -> bool:
    """Append the content of a response; return False if the connection breaks."""
    # Some servers declare a .tgz as a compressed tar; without this, requests would decompress it.
    response.raw.headers.pop("Content-Encoding", None)
    progress = {"unit": "B", "unit_scale": True, "desc": part.stem}
    with part.open("ab") as file, tqdm(total=size, initial=start, **progress) as bar:
        try:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError):
            return False
    return True


def _check_response(response: requests.Response) -> None:
    status = f"{response.status_code} {response.reason}"
    if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
        raise DownloadError(
            f"{response.url}: the server answers {status}; expected the file. Fix: retry later, or "
            "look for its new address on the publisher's page"
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadError(
            f"{response.url}: the server sends a web page; expected the file. Fix: open the address in a "
            "browser and log in or accept terms if needed"
        )


def _response_source(url: str, response: requests.Response) -> _Source:
    tag = response.headers.get("ETag", "")
    # A weak tag, W/"...", does not guarantee identical bytes.
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified")
    if response.status_code == requests.codes.partial_content:
        size = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        size = response.headers.get("Content-Length", "")
    return _Source(url, version, int(size) if size.isdecimal() else None)


# --- files on disk ----------------------------------------------------------------------------------


def _check(file: Path, path: Path, md5: str | None) -> None:
    """Compare a file with its checksum; delete it if it was just downloaded and differs.

    Args:
        file: The file to check: ``path``, or its ``.part``.
        path: Final path of the file.
        md5: As in `download_file`.
    """
    if md5 is not None:
        algorithm, expected = "md5", md5
    elif _checksum_file(path).exists():
        algorithm, expected = "sha256", _checksum_file(path).read_text().strip()
    else:
        return
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, algorithm).hexdigest()
    if found == expected:
        return
    fix = "download it again"
    if md5 is None:
        fix += (
            "; if its publisher has changed it and you trust it, first remove "
            f"{_checksum_file(path)}"
        )
    if file == path:
        fix = f"remove it and {fix}"
    else:
        _discard(file)
    raise DownloadError(f"{path}: {algorithm} is {found}; expected {expected}. Fix: {fix}")


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _source_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_source(part: Path) -> _Source | None:
    try:
        return _Source(**json.loads(_source_file(part).read_text()))
    except (OSError, ValueError, TypeError):  # missing or incomplete
        return None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _source_file(part).unlink(missing_ok=True)
