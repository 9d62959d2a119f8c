"""Large files over HTTP: a download that was cut goes on where it stopped, and arrives whole or not.

Not in the paper. pooch, which fetches the weights, starts anew each time; Oxford5k has 2 GB,
Google-Landmarks 100 GB. Bytes go to ``<name>.part``; ``<name>.part.json`` remembers what the server
calls the file, so that halves of two versions are never joined. ``<name>.sha256`` stays beside the
file: where its publisher gives no checksum, the first download's is what later ones are held to.
"""

import errno
import hashlib
import json
import re
import time
from pathlib import Path
from typing import NamedTuple

import requests
from tqdm.auto import tqdm

from delfjax.datasets.benchmark import DatasetError
from delfjax.files import sha256

TIMEOUT = (20, 60)  # seconds to connect, and between two pieces
CHUNK = 1 << 14  # bytes; of a cut connection the last piece, not whole, is lost
ATTEMPTS = 5  # in a row that bring nothing
PAUSE = 1.0  # seconds before the second attempt; doubled before each further one
TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")


class DownloadError(DatasetError):
    """A file that could not be fetched, or is not what was expected: which, why, and the mend."""


class _Transient(Exception):  # noqa: N818 - not an error yet
    """What may go well at the next attempt."""


TRANSIENT = (
    _Transient,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


class _Origin(NamedTuple):
    """What bytes are of: the address, the server's name for this version, and its length."""

    url: str
    version: str | None
    size: int | None


def fetch(url: str, path: Path, *, size: int | None = None, checksum: str | None = None) -> Path:
    """Download a file, or go on with it; a file that is there is only checked.

    Args:
        url: Where it is, by http or https.
        path: Where it goes; folders are made.
        size: Its bytes, if known for certain.
        checksum: ``md5:...`` or ``sha256:...`` in hex. None: that in ``<name>.sha256``, if any.

    Returns:
        The path.

    Raises:
        DownloadError: The server does not answer, or not with this file, or the disk is full. What
            has arrived stays for the next call, but for a file of another checksum or size.
    """
    if checksum is not None and not CHECKSUM.fullmatch(checksum):
        raise ValueError(f"checksum {checksum!r}: expected md5: or sha256: and hex digits")
    if path.exists():
        _check(path, path, size, checksum)
        return path
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _complete(url, part)
        _check(part, path, size, checksum)
        path.with_name(f"{path.name}.sha256").write_text(sha256(part) + "\n")
        part.replace(path)
        _notes(part).unlink(missing_ok=True)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        mend = "free some room" if full else "check your rights to the folder"
        why = "the disk is full" if full else error.strerror or error
        raise DownloadError(f"{path}: cannot be written ({why}); {mend} and go on") from error
    return path


def _complete(url: str, part: Path) -> None:
    """Ask for the rest until all is there, with patience as long as each time some more arrives."""
    most, failures = _length(part), 0
    while True:
        try:
            return _continue(url, part)
        except TRANSIENT as error:
            why = error
        except requests.RequestException as error:
            raise DownloadError(f"{url}: {error}; check the address and the network") from error
        grown = _length(part) > most
        most, failures = max(most, _length(part)), 1 if grown else failures + 1
        if failures >= ATTEMPTS:
            raise DownloadError(
                f"{url}: {_worded(why)}; given up after {ATTEMPTS} attempts with {_length(part):,} "
                "bytes here, which stay: the same command goes on later"
            ) from why
        time.sleep(PAUSE * 2 ** (failures - 1))


def _worded(error: Exception) -> str:
    match error:
        case requests.exceptions.ChunkedEncodingError():
            return "the connection was cut"
        case requests.Timeout():
            return "the server does not answer in time"
        case requests.ConnectionError():
            return f"no connection ({error})"
    return str(error)


def _continue(url: str, part: Path) -> None:
    """Make one request: for what is missing, or for all where what is here cannot be gone on with."""
    here, known = _length(part), _read_notes(part)
    if known is None or known.url != url or known.version is None:
        here, known = 0, None
    elif here == known.size:
        return
    headers = {"Accept-Encoding": "identity"}
    if here:
        headers |= {"Range": f"bytes={here}-", "If-Range": known.version}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        _check_status(answer, part)
        origin = _origin(url, answer)
        if answer.status_code == requests.codes.partial_content:
            if not here or origin.version != known.version or not _starts_at(answer, here):
                _discard(part)
                raise _Transient("the file has changed since the download began")
        else:
            here = 0
            part.write_bytes(b"")
            _notes(part).write_text(json.dumps(origin._asdict()))
        _append(answer, part, here, origin.size)
    if origin.size is not None and _length(part) != origin.size:
        raise _Transient(f"the connection was cut at {_length(part):,} of {origin.size:,} bytes")


def _append(answer: requests.Response, part: Path, here: int, size: int | None) -> None:
    # Some servers call a .tgz a tar that is only sent compressed: it is kept as it is sent.
    answer.raw.headers.pop("Content-Encoding", None)
    progress = {"unit": "B", "unit_scale": True, "desc": part.stem}
    with part.open("ab") as file, tqdm(total=size, initial=here, **progress) as bar:
        for piece in answer.iter_content(CHUNK):
            file.write(piece)
            bar.update(len(piece))


def _check_status(answer: requests.Response, part: Path) -> None:
    status = f"{answer.status_code} {answer.reason}"
    if answer.status_code == requests.codes.requested_range_not_satisfiable:
        _discard(part)
        raise _Transient(f"the server has no more of the file ({status})")
    if answer.status_code in TRANSIENT_STATUS:
        raise _Transient(f"the server answers {status}")
    if answer.status_code not in (requests.codes.ok, requests.codes.partial_content):
        raise DownloadError(
            f"{answer.url}: the server answers {status}; expected the file. It may have moved: see "
            "its publisher's page"
        )
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadError(
            f"{answer.url}: the server answers with a page; expected the file. Open the address in a "
            "browser: it may ask for a log-in, or to accept terms"
        )


def _origin(url: str, answer: requests.Response) -> _Origin:
    """Return what an answer says it is a part of, or all of."""
    tag = answer.headers.get("ETag", "")
    # A weak tag, W/"...", may stand for files of different bytes.
    version = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
    if answer.status_code == requests.codes.partial_content:
        size = answer.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        size = answer.headers.get("Content-Length", "")
    return _Origin(url, version, int(size) if size.isdecimal() else None)


def _starts_at(answer: requests.Response, here: int) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {here}-")


# --- what is on disk --------------------------------------------------------------------------------


def _check(found: Path, path: Path, size: int | None, checksum: str | None) -> None:
    """Compare a file with what is known of it; one that has just arrived and differs is deleted."""
    stamp = path.with_name(f"{path.name}.sha256")
    mend = "fetch it again"
    if checksum is None and stamp.exists():
        checksum = f"sha256:{stamp.read_text().strip()}"
        mend = (
            f"fetch it again, or if its publisher has changed it and you trust it, remove {stamp}"
        )
    differences = []
    if size is not None and _length(found) != size:
        differences.append(f"{_length(found):,} bytes, expected {size:,}")
    if checksum is not None and (digest := _digest(found, checksum)) != checksum:
        differences.append(f"{digest}, expected {checksum}")
    if not differences:
        return
    if found == path:
        mend = f"remove it and {mend}"
    else:
        _discard(found)
        mend = f"it was deleted; {mend}"
    raise DownloadError(f"{path}: has {'; '.join(differences)}; {mend}")


def _digest(path: Path, like: str) -> str:
    kind = like.partition(":")[0]
    with path.open("rb") as stream:
        return f"{kind}:{hashlib.file_digest(stream, kind).hexdigest()}"


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_notes(part: Path) -> _Origin | None:
    try:
        return _Origin(**json.loads(_notes(part).read_text()))
    except (OSError, ValueError, TypeError):  # none, or not whole
        return None


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)
