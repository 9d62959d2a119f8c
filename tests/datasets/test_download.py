"""Downloads: complete, resumed after an interruption, and never joined of two versions.

The publisher is a local server that misbehaves on request.
"""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from delfjax.datasets import download
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.download import DownloadError, download_file

BODY = bytes(range(256)) * 2048
CUT = 6 * download.CHUNK  # bytes after which a connection breaks


MD5 = hashlib.md5(BODY).hexdigest()


@dataclass
class Publisher:
    """Behavior of the server, and the requests it received.

    Attributes:
        body: Content of the file.
        headers: Headers of every response.
        ranges: Whether the server supports Range requests.
        checks_version: Whether it respects the header If-Range.
        extra_length: Bytes that it announces beyond the real length. None: it announces no length.
        cuts: For each of the next responses, the number of bytes after which the connection breaks.
        statuses: For each of the next responses, an error status to send instead.
        requests: Range header of each request.
        url: Address of the file.
    """

    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    ranges: bool = True
    checks_version: bool = True
    extra_length: int | None = 0
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    requests: list[str | None] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        publisher = self.server.publisher
        requested = self.headers.get("Range")
        publisher.requests.append(requested)
        if publisher.statuses:
            self.send_error(publisher.statuses.pop(0))
            return
        start, size = 0, len(publisher.body)
        version = publisher.headers.get("ETag") or publisher.headers.get("Last-Modified")
        same = self.headers.get("If-Range") == version or not publisher.checks_version
        if requested and publisher.ranges and same:
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        for name, value in publisher.headers.items():
            self.send_header(name, value)
        if publisher.extra_length is not None:
            self.send_header("Content-Length", str(size - start + publisher.extra_length))
        self.end_headers()
        end = publisher.cuts.pop(0) if publisher.cuts else None
        self.wfile.write(publisher.body[start:][:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def publisher(monkeypatch):
    monkeypatch.setattr(download, "BACKOFF", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.publisher = Publisher(url=f"http://127.0.0.1:{served.server_port}/data/images.tgz")
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served.publisher
        served.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "oxford5k" / "images.tgz"


def file_names(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


FINISHED = ["images.tgz", "images.tgz.sha256"]
UNFINISHED = ["images.tgz.part", "images.tgz.part.json"]


def interrupt(publisher, path, *, at: int = CUT):
    """Leave an unfinished download: the connection breaks after some bytes and is not retried."""
    publisher.cuts = [at]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "MAX_ATTEMPTS", 1)
        patch.setattr(download, "_size", lambda part: 0)  # as if no bytes had arrived
        with pytest.raises(DownloadError):
            download_file(publisher.url, path)
    assert file_names(path.parent) == UNFINISHED
    publisher.requests.clear()


# --- complete downloads


@pytest.mark.parametrize("md5", [None, MD5])
def test_a_complete_file(publisher, path, md5):
    assert download_file(publisher.url, path, md5=md5) == path
    assert path.read_bytes() == BODY
    assert file_names(path.parent) == FINISHED
    checksum = path.with_name("images.tgz.sha256").read_text()
    assert checksum == hashlib.sha256(BODY).hexdigest() + "\n"


def test_progress(publisher, path, capsys):
    download_file(publisher.url, path)
    assert "images.tgz: 100%" in capsys.readouterr().err


def test_an_empty_file(publisher, path):
    publisher.body = b""
    download_file(publisher.url, path)
    assert path.read_bytes() == b""


def test_an_existing_file_is_not_requested(publisher, path):
    for _ in range(2):
        download_file(publisher.url, path, md5=MD5)
        download_file(publisher.url, path)
    assert publisher.requests == [None]


def test_a_file_is_stored_as_it_is_sent(publisher, path):
    # Apache sends this header with a .tgz; a client that decompresses it has another file.
    publisher.headers |= {"Content-Encoding": "x-gzip"}
    download_file(publisher.url, path)
    assert path.read_bytes() == BODY


def test_an_unknown_length(publisher, path):
    publisher.extra_length = None
    download_file(publisher.url, path, md5=MD5)
    assert path.read_bytes() == BODY


# --- resumed downloads


def test_broken_connections_are_resumed(publisher, path):
    publisher.cuts = [CUT, CUT, 0, CUT]
    download_file(publisher.url, path)
    assert path.read_bytes() == BODY
    starts = [None, f"bytes={CUT}-", f"bytes={2 * CUT}-", f"bytes={2 * CUT}-", f"bytes={3 * CUT}-"]
    assert publisher.requests == starts
    assert file_names(path.parent) == FINISHED


@pytest.mark.parametrize(
    "headers", [{"ETag": '"one"'}, {"Last-Modified": "Mon, 01 Jan 2018 00:00"}]
)
def test_the_next_call_resumes(publisher, path, headers):
    publisher.headers = headers
    interrupt(publisher, path)
    download_file(publisher.url, path)
    assert publisher.requests == [f"bytes={CUT}-"]
    assert path.read_bytes() == BODY


def test_progress_starts_at_the_bytes_on_disk(publisher, path, capsys):
    interrupt(publisher, path, at=len(BODY) // 2)
    capsys.readouterr()
    download_file(publisher.url, path)
    assert "images.tgz:  50%" in capsys.readouterr().err


def test_a_complete_part_is_only_renamed(publisher, path):
    interrupt(publisher, path)
    path.with_name("images.tgz.part").write_bytes(BODY)
    download_file(publisher.url, path)
    assert publisher.requests == []
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("checks_version", [True, False])
def test_a_changed_file_restarts(publisher, path, checks_version):
    interrupt(publisher, path)
    publisher.body, publisher.headers = BODY[::-1], {"ETag": '"two"'}
    publisher.checks_version = checks_version  # not all servers respect If-Range
    download_file(publisher.url, path)
    assert path.read_bytes() == BODY[::-1]


def test_a_server_without_range_requests_restarts(publisher, path):
    publisher.ranges = False
    interrupt(publisher, path)
    download_file(publisher.url, path)
    assert publisher.requests == [f"bytes={CUT}-"]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"one"'}])
def test_a_file_without_a_version_restarts(publisher, path, headers):
    publisher.headers = headers
    interrupt(publisher, path)
    download_file(publisher.url, path)
    assert publisher.requests == [None]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("source", ["", "[]", "{}", '{"url": 1}', None])
def test_a_part_of_unknown_source_restarts(publisher, path, source):
    interrupt(publisher, path)
    file = path.with_name("images.tgz.part.json")
    file.unlink() if source is None else file.write_text(source)
    download_file(publisher.url, path)
    assert publisher.requests == [None]
    assert path.read_bytes() == BODY


def test_a_part_from_another_address_restarts(publisher, path):
    interrupt(publisher, path)
    download_file(f"{publisher.url}?mirror", path)
    assert publisher.requests == [None]


def test_a_part_that_is_too_long_restarts(publisher, path):
    interrupt(publisher, path)
    path.with_name("images.tgz.part").write_bytes(BODY + b"more")
    download_file(publisher.url, path)
    assert publisher.requests == [f"bytes={len(BODY) + 4}-", None]
    assert path.read_bytes() == BODY


def test_a_damaged_part_is_detected(publisher, path):
    interrupt(publisher, path)
    path.with_name("images.tgz.part").write_bytes(bytes(CUT))
    with pytest.raises(DownloadError, match=r"md5 is .* Fix: download it again"):
        download_file(publisher.url, path, md5=MD5)
    assert file_names(path.parent) == []


# --- failures of the server


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_transient_errors_are_retried(publisher, path, status):
    publisher.statuses = [status] * (download.MAX_ATTEMPTS - 1)
    download_file(publisher.url, path)
    assert path.read_bytes() == BODY


def test_pauses_grow(publisher, path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "BACKOFF", 1.0)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    publisher.statuses = [503] * 4
    download_file(publisher.url, path)
    assert [pause for pause in pauses if pause] == [2, 4, 8]


def test_a_server_that_stays_busy(publisher, path):
    publisher.statuses = [503] * 99
    with pytest.raises(DownloadError, match=r"the server answers 503 .*retry later"):
        download_file(publisher.url, path)
    assert len(publisher.requests) == download.MAX_ATTEMPTS


def test_connections_that_bring_no_bytes(publisher, path):
    publisher.cuts = [CUT] + [0] * 99
    message = rf"incomplete after 5 attempts without progress, with {CUT:,} bytes"
    with pytest.raises(DownloadError, match=message):
        download_file(publisher.url, path)
    assert len(publisher.requests) == 1 + download.MAX_ATTEMPTS


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_missing_file(publisher, path, status):
    publisher.statuses = [status]
    with pytest.raises(DownloadError, match=rf"images\.tgz: the server answers {status} .*address"):
        download_file(publisher.url, path)
    assert len(publisher.requests) == 1
    assert file_names(path.parent) == []


def test_a_web_page_instead_of_the_file(publisher, path):
    publisher.headers |= {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DownloadError, match=r"sends a web page; .*browser"):
        download_file(publisher.url, path)
    assert file_names(path.parent) == []


def test_an_unreachable_server(path, monkeypatch):
    monkeypatch.setattr(download, "BACKOFF", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        url = f"http://127.0.0.1:{served.server_port}/images.tgz"
    with pytest.raises(DownloadError, match=r"Fix: check the address and the network"):
        download_file(url, path)


@pytest.mark.parametrize("url", ["images.tgz", "file:///etc/passwd", "ftp://127.0.0.1/images.tgz"])
def test_addresses_that_are_not_http(path, url):
    with pytest.raises(DownloadError, match="check the address"):
        download_file(url, path)


def test_a_server_that_announces_too_many_bytes(publisher, path):
    publisher.extra_length = 10
    with pytest.raises(DownloadError, match="incomplete after 5 attempts without progress"):
        download_file(publisher.url, path)
    assert not path.exists()


def test_a_server_that_announces_too_few_bytes(publisher, path):
    publisher.extra_length = -10
    with pytest.raises(DownloadError, match=rf"md5 is .*; expected {MD5}"):
        download_file(publisher.url, path, md5=MD5)
    assert file_names(path.parent) == []


# --- checksums


def test_a_wrong_checksum(publisher, path):
    publisher.body = b"another file"
    found = hashlib.md5(publisher.body).hexdigest()
    match = rf"oxford5k/images\.tgz: md5 is {found}; expected {MD5}\. Fix: download it again$"
    with pytest.raises(DownloadError, match=match):
        download_file(publisher.url, path, md5=MD5)
    assert file_names(path.parent) == []


def test_an_existing_file_that_differs_is_kept(publisher, path):
    download_file(publisher.url, path)
    path.write_bytes(BODY[:-1])
    with pytest.raises(DownloadError, match=r"sha256 is .* Fix: remove it and download it again"):
        download_file(publisher.url, path)
    with pytest.raises(DownloadError, match=rf"md5 is .*; expected {MD5}\. Fix: remove it and"):
        download_file(publisher.url, path, md5=MD5)
    assert path.read_bytes() == BODY[:-1]


def test_later_downloads_are_checked_against_the_first(publisher, path):
    download_file(publisher.url, path)
    path.unlink()
    publisher.body, publisher.headers = b"another file", {"ETag": '"two"'}
    message = r"if its publisher has changed it .* first remove .*\.sha256"
    with pytest.raises(DownloadError, match=message):
        download_file(publisher.url, path)
    assert file_names(path.parent) == ["images.tgz.sha256"]
    path.with_name("images.tgz.sha256").unlink()
    assert download_file(publisher.url, path).read_bytes() == b"another file"


# --- failures of the disk


def test_a_full_disk(publisher, path, monkeypatch):
    interrupt(publisher, path)

    def fill_disk(self, size):
        yield BODY[CUT : 2 * CUT]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", fill_disk)
        with pytest.raises(
            DownloadError, match=r"images\.tgz: .*the disk is full.*free some space"
        ):
            download_file(publisher.url, path)
    publisher.requests.clear()
    download_file(publisher.url, path)
    assert publisher.requests == [f"bytes={2 * CUT}-"]
    assert path.read_bytes() == BODY


def test_a_folder_that_cannot_be_created(publisher, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"cannot be written .*check the permissions"):
        download_file(publisher.url, tmp_path / "file" / "images.tgz")


def test_a_keyboard_interrupt(publisher, path, monkeypatch):
    def stop(self, size):
        yield BODY[:CUT]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", stop)
        with pytest.raises(KeyboardInterrupt):
            download_file(publisher.url, path)
    assert file_names(path.parent) == UNFINISHED
    assert json.loads(path.with_name("images.tgz.part.json").read_text())["version"] == '"one"'
    download_file(publisher.url, path)
    assert publisher.requests == [None, f"bytes={CUT}-"]
    assert path.read_bytes() == BODY


def test_the_error_is_a_data_set_error():
    assert issubclass(DownloadError, DatasetError)
