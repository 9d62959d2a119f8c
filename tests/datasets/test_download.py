"""Downloads: they arrive whole, go on where they were cut, and never join halves of two files.

The publisher is a server on this machine that keeps to no manners.
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
from delfjax.datasets.download import DownloadError, fetch

BODY = bytes(range(256)) * 2048
CUT = 6 * download.CHUNK  # bytes after which a connection is cut


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data).hexdigest()}"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Publisher:
    """What the server does, and what it was asked.

    Attributes:
        cuts: For each of the next answers, the bytes after which the connection is cut.
        statuses: For each of the next answers, a status in place of an answer.
    """

    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    ranges: bool = True
    checks_version: bool = True
    announces: int | None = 0  # more bytes than there are; None: no length at all
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        publisher = self.server.publisher
        asked = self.headers.get("Range")
        publisher.asked.append(asked)
        if publisher.statuses:
            self.send_error(publisher.statuses.pop(0))
            return
        start, size = 0, len(publisher.body)
        version = publisher.headers.get("ETag") or publisher.headers.get("Last-Modified")
        same = self.headers.get("If-Range") == version or not publisher.checks_version
        if asked and publisher.ranges and same:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        for name, value in publisher.headers.items():
            self.send_header(name, value)
        if publisher.announces is not None:
            self.send_header("Content-Length", str(size - start + publisher.announces))
        self.end_headers()
        self.wfile.write(
            publisher.body[start:][: publisher.cuts.pop(0) if publisher.cuts else None]
        )

    def log_message(self, *_):
        pass


@pytest.fixture
def publisher(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as served:
        served.publisher = Publisher(url=f"http://127.0.0.1:{served.server_port}/data/images.tgz")
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served.publisher
        served.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "oxford5k" / "images.tgz"


def left_in(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


DONE = ["images.tgz", "images.tgz.sha256"]
UNDER_WAY = ["images.tgz.part", "images.tgz.part.json"]


def cut_off(publisher, path, *, at: int = CUT):
    """Leave a download that was given up at some byte."""
    publisher.cuts = [at]
    publisher.statuses = []
    # Then the server is gone for good.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "ATTEMPTS", 1)
        with pytest.raises(DownloadError):
            fetch(publisher.url, path)
    assert left_in(path.parent) == UNDER_WAY
    publisher.asked.clear()


# What arrives


@pytest.mark.parametrize("checksum", [None, md5(BODY), sha256(BODY)])
@pytest.mark.parametrize("size", [None, len(BODY)])
def test_whole_file(publisher, path, size, checksum):
    assert fetch(publisher.url, path, size=size, checksum=checksum) == path
    assert path.read_bytes() == BODY
    assert left_in(path.parent) == DONE
    stamp = path.with_name("images.tgz.sha256").read_text()
    assert f"sha256:{stamp}" == f"{sha256(BODY)}\n"


def test_progress(publisher, path, capsys):
    fetch(publisher.url, path)
    assert "images.tgz: 100%" in capsys.readouterr().err


def test_empty_file(publisher, path):
    publisher.body = b""
    fetch(publisher.url, path)
    assert path.read_bytes() == b""


def test_file_that_is_there_is_not_asked_for(publisher, path):
    for _ in range(2):
        fetch(publisher.url, path, checksum=md5(BODY))
        fetch(publisher.url, path)
    assert publisher.asked == [None]


def test_file_is_kept_as_it_is_sent(publisher, path):
    # Apache calls a .tgz so; a client that unpacked it would have another file.
    publisher.headers |= {"Content-Encoding": "x-gzip"}
    fetch(publisher.url, path)
    assert path.read_bytes() == BODY


def test_length_that_is_not_announced(publisher, path):
    publisher.announces = None
    fetch(publisher.url, path, checksum=md5(BODY))
    assert path.read_bytes() == BODY


# What was cut


def test_cut_connections_go_on(publisher, path):
    publisher.cuts = [CUT, CUT, 0, CUT]
    fetch(publisher.url, path)
    assert path.read_bytes() == BODY
    starts = [None, f"bytes={CUT}-", f"bytes={2 * CUT}-", f"bytes={2 * CUT}-", f"bytes={3 * CUT}-"]
    assert publisher.asked == starts
    assert left_in(path.parent) == DONE


@pytest.mark.parametrize(
    "headers", [{"ETag": '"one"'}, {"Last-Modified": "Mon, 01 Jan 2018 00:00"}]
)
def test_next_call_goes_on(publisher, path, headers):
    publisher.headers = headers
    cut_off(publisher, path)
    fetch(publisher.url, path)
    assert publisher.asked == [f"bytes={CUT}-"]
    assert path.read_bytes() == BODY


def test_progress_begins_at_what_is_here(publisher, path, capsys):
    cut_off(publisher, path, at=len(BODY) // 2)
    capsys.readouterr()
    fetch(publisher.url, path)
    assert "images.tgz:  50%" in capsys.readouterr().err


def test_all_is_here_but_its_name(publisher, path):
    cut_off(publisher, path)
    path.with_name("images.tgz.part").write_bytes(BODY)
    fetch(publisher.url, path)
    assert publisher.asked == []
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("checks_version", [True, False])
def test_file_that_has_changed_starts_anew(publisher, path, checks_version):
    cut_off(publisher, path)
    publisher.body, publisher.headers = BODY[::-1], {"ETag": '"two"'}
    publisher.checks_version = checks_version  # not all servers heed If-Range
    fetch(publisher.url, path)
    assert path.read_bytes() == BODY[::-1]


def test_server_that_ignores_ranges_starts_anew(publisher, path):
    publisher.ranges = False
    cut_off(publisher, path)
    fetch(publisher.url, path)
    assert publisher.asked == [f"bytes={CUT}-"]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"one"'}])
def test_file_without_a_version_starts_anew(publisher, path, headers):
    publisher.headers = headers
    cut_off(publisher, path)
    fetch(publisher.url, path)
    assert publisher.asked == [None]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("notes", ["", "[]", "{}", '{"url": 1}', None])
def test_part_without_notes_starts_anew(publisher, path, notes):
    cut_off(publisher, path)
    file = path.with_name("images.tgz.part.json")
    file.unlink() if notes is None else file.write_text(notes)
    fetch(publisher.url, path)
    assert publisher.asked == [None]
    assert path.read_bytes() == BODY


def test_part_of_another_address_starts_anew(publisher, path):
    cut_off(publisher, path)
    fetch(f"{publisher.url}?mirror", path)
    assert publisher.asked == [None]


def test_part_that_is_too_long_starts_anew(publisher, path):
    cut_off(publisher, path)
    path.with_name("images.tgz.part").write_bytes(BODY + b"more")
    fetch(publisher.url, path)
    assert publisher.asked == [f"bytes={len(BODY) + 4}-", None]
    assert path.read_bytes() == BODY


def test_damaged_part_is_noticed(publisher, path):
    cut_off(publisher, path)
    path.with_name("images.tgz.part").write_bytes(bytes(CUT))
    with pytest.raises(DownloadError, match="it was deleted; fetch it again"):
        fetch(publisher.url, path, checksum=md5(BODY))
    assert left_in(path.parent) == []


# What cannot be had


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_transient_failures_are_tried_again(publisher, path, status):
    publisher.statuses = [status] * (download.ATTEMPTS - 1)
    fetch(publisher.url, path)
    assert path.read_bytes() == BODY


def test_pauses_grow_and_begin_anew_after_progress(publisher, path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "PAUSE", 1.0)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    publisher.statuses = [503] * 3
    publisher.cuts = [CUT, 0, 0]
    fetch(publisher.url, path)
    assert pauses == [1, 2, 4, 1, 2, 4]


def test_given_up_after_some_attempts(publisher, path):
    publisher.statuses = [503] * 99
    with pytest.raises(DownloadError, match=r"503 .*given up after 5 attempts with 0 bytes here"):
        fetch(publisher.url, path)
    assert len(publisher.asked) == download.ATTEMPTS


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_file_that_is_not_there(publisher, path, status):
    publisher.statuses = [status]
    with pytest.raises(DownloadError, match=rf"images\.tgz: the server answers {status} .*moved"):
        fetch(publisher.url, path)
    assert len(publisher.asked) == 1
    assert left_in(path.parent) == []


def test_page_in_place_of_the_file(publisher, path):
    publisher.headers |= {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DownloadError, match=r"answers with a page; .*browser"):
        fetch(publisher.url, path)
    assert left_in(path.parent) == []


def test_server_that_is_not_there(path, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as served:
        url = f"http://127.0.0.1:{served.server_port}/images.tgz"
    with pytest.raises(DownloadError, match="given up after 5 attempts"):
        fetch(url, path)


@pytest.mark.parametrize("url", ["images.tgz", "file:///etc/passwd", "ftp://127.0.0.1/images.tgz"])
def test_addresses_that_are_none(path, url):
    with pytest.raises(DownloadError, match="check the address"):
        fetch(url, path)


def test_server_that_announces_more_than_it_has(publisher, path):
    publisher.announces = 10
    with pytest.raises(DownloadError, match=r"given up after 5 attempts with 524,288 bytes here"):
        fetch(publisher.url, path)
    assert not path.exists()


def test_server_that_announces_less_than_it_has(publisher, path):
    publisher.announces = -10
    with pytest.raises(
        DownloadError, match=r"has 524,278 bytes, expected 524,288; md5:.*, expected"
    ):
        fetch(publisher.url, path, size=len(BODY), checksum=md5(BODY))
    assert left_in(path.parent) == []


# Checksums


@pytest.mark.parametrize("right", [md5(BODY), sha256(BODY)])
def test_wrong_checksum(publisher, path, right):
    publisher.body = b"another file"
    kind = right.partition(":")[0]
    found = {"md5": md5, "sha256": sha256}[kind](publisher.body)
    match = rf"oxford5k/images\.tgz: has {found}, expected {right}; it was deleted; fetch it again"
    with pytest.raises(DownloadError, match=match):
        fetch(publisher.url, path, checksum=right)
    assert left_in(path.parent) == []


def test_file_that_is_there_and_differs_stays(publisher, path):
    fetch(publisher.url, path)
    path.write_bytes(BODY[:-1])
    with pytest.raises(DownloadError, match=r"expected sha256:.*; remove it and fetch it again"):
        fetch(publisher.url, path)
    with pytest.raises(DownloadError, match=r"has 524,287 bytes, expected 524,288; md5:"):
        fetch(publisher.url, path, size=len(BODY), checksum=md5(BODY))
    assert path.read_bytes() == BODY[:-1]


def test_first_download_is_what_later_ones_are_held_to(publisher, path):
    fetch(publisher.url, path)
    path.unlink()
    publisher.body, publisher.headers = b"another file", {"ETag": '"two"'}
    with pytest.raises(
        DownloadError, match=r"if its publisher has changed it .* remove .*\.sha256"
    ):
        fetch(publisher.url, path)
    assert left_in(path.parent) == ["images.tgz.sha256"]
    path.with_name("images.tgz.sha256").unlink()
    assert fetch(publisher.url, path).read_bytes() == b"another file"


@pytest.mark.parametrize("checksum", ["md5", "md5:12", "sha1:" + "0" * 40, md5(BODY).upper(), ""])
def test_checksums_that_are_none(path, checksum):
    with pytest.raises(ValueError, match="expected md5: or sha256: and hex digits"):
        fetch("http://127.0.0.1/images.tgz", path, checksum=checksum)


# The disk


def test_full_disk_is_one_error_and_what_is_here_stays(publisher, path, monkeypatch):
    cut_off(publisher, path)

    def full(self, size):
        yield BODY[CUT : 2 * CUT]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", full)
        with pytest.raises(DownloadError, match=r"images\.tgz: .*the disk is full.*free some room"):
            fetch(publisher.url, path)
    publisher.asked.clear()
    fetch(publisher.url, path)
    assert publisher.asked == [f"bytes={2 * CUT}-"]
    assert path.read_bytes() == BODY


def test_folder_that_cannot_be_made(publisher, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"cannot be written .*check your rights"):
        fetch(publisher.url, tmp_path / "file" / "images.tgz")


def test_interrupted(publisher, path, monkeypatch):
    def interrupted(self, size):
        yield BODY[:CUT]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(publisher.url, path)
    assert left_in(path.parent) == UNDER_WAY
    assert json.loads(path.with_name("images.tgz.part.json").read_text())["version"] == '"one"'
    fetch(publisher.url, path)
    assert publisher.asked == [None, f"bytes={CUT}-"]
    assert path.read_bytes() == BODY


def test_errors_are_errors_of_data_sets():
    assert issubclass(DownloadError, DatasetError)
