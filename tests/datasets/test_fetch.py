"""Fetching a data set: downloaded, verified, unpacked once, continued after a failure.

No test reaches the internet: the publisher is a folder that a local server offers.
"""

import hashlib
import io
import os
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from delfjax.datasets import archives, fetch
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.catalog import DATASETS, CatalogEntry, RemoteFile, missing_parts
from delfjax.datasets.fetch import download_file, fetch_dataset
from delfjax.files import Lock, StoreError


def make_tar(contents: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


FIRST, SECOND = (make_tar({f"paris/{n}/{n}.jpg": n.encode()}) for n in ("a", "b"))
MD5 = hashlib.md5(SECOND).hexdigest()
PHOTOS = {"jpg/a.jpg": b"a", "jpg/b.jpg": b"b"}
SMALL = PHOTOS | {"gt/all_souls_1_good.txt": b"a"}


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder and records the requested paths."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.requests.append(self.path.removeprefix("/"))
        if self.server.statuses:
            self.send_error(self.server.statuses.pop(0))
        else:
            super().do_GET()

    def send_header(self, keyword, value):
        if keyword == "Content-Length":
            if self.server.hides_length:
                return
            value = str(int(value) + self.server.extra_length)
        super().send_header(keyword, value)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Publish the data set ``small``, and ``rsmall``, which uses its photos; return the server."""
    monkeypatch.setattr(time, "sleep", lambda _: None)  # before a request is repeated
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "1.tgz").write_bytes(FIRST)
    (folder / "2.tgz").write_bytes(SECOND)
    (folder / "md5.2.txt").write_text(f"{MD5}  2.tgz\n")
    (folder / "gt.tgz").write_bytes(make_tar({"all_souls_1_good.txt": b"a"}))
    (folder / "gnd_rsmall.pkl").write_bytes(b"].")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        server.requests, server.folder = [], folder
        server.statuses = []  # errors to send instead of the next files
        server.extra_length = 0  # bytes that are announced beyond the real length
        server.hides_length = False  # the end of the connection is the end of the file
        server.url = f"http://127.0.0.1:{server.server_port}"
        for name, entry in catalog_entries(server.url).items():
            monkeypatch.setitem(DATASETS, name, entry)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def catalog_entries(url: str) -> dict[str, CatalogEntry]:
    texts = {"title": "Small", "summary": "two photos", "homepage": url, "terms": "none"}
    photos = {"folder": "jpg", "flat": True, "part": "**/*.jpg"}
    small = CatalogEntry(
        parts=("**/*.jpg", "gt/*"),
        files=(
            RemoteFile(url=f"{url}/1.tgz", **photos),
            RemoteFile(url=f"{url}/2.tgz", **photos, md5_url=f"{url}/md5.2.txt"),
            RemoteFile(url=f"{url}/gt.tgz", folder="gt", part="gt/*"),
        ),
        **texts,
    )
    revisited = CatalogEntry(
        parts=("jpg/*.jpg", "gnd_rsmall.pkl"),
        files=(RemoteFile(url=f"{url}/gnd_rsmall.pkl", part="gnd_rsmall.pkl"),),
        photos_from="small",
        **texts,
    )
    return {"small": small, "rsmall": revisited}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file, without hidden files and downloads."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        path.as_posix(): file.read_bytes()
        for path, file in files.items()
        if not any(part.startswith(".") for part in path.parts) and path.parts[0] != "downloads"
    }


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


# --- complete fetches


def test_a_data_set_is_downloaded_and_unpacked_once(server, tmp_path):
    assert fetch_dataset("small", tmp_path)
    assert contents(tmp_path / "small") == SMALL
    assert server.requests == ["1.tgz", "md5.2.txt", "2.tgz", "gt.tgz"]
    assert missing_parts("small", tmp_path) == ()
    assert not list((tmp_path / "small" / "downloads").rglob("*.tgz")), (
        "archives are deleted after unpacking"
    )
    assert not fetch_dataset("small", tmp_path)
    assert len(server.requests) == 4


def test_photos_of_another_data_set_are_linked(server, tmp_path):
    fetch_dataset("rsmall", tmp_path)
    assert contents(tmp_path / "small") == SMALL
    assert (tmp_path / "rsmall" / "jpg").readlink() == Path("../small/jpg")
    assert (tmp_path / "rsmall" / "jpg" / "a.jpg").read_bytes() == b"a"
    assert (tmp_path / "rsmall" / "gnd_rsmall.pkl").read_bytes() == b"]."


def test_the_link_survives_moving_the_root_folder(server, tmp_path):
    fetch_dataset("rsmall", tmp_path / "root")
    moved = (tmp_path / "root").rename(tmp_path / "moved")
    assert missing_parts("rsmall", moved) == ()
    (moved / "small" / "jpg").rename(moved / "small" / "away")
    assert missing_parts("rsmall", moved) == ("jpg/*.jpg",)


def test_present_parts_are_not_downloaded(server, tmp_path):
    touch(tmp_path / "small" / "mine.jpg")
    assert fetch_dataset("small", tmp_path)
    assert server.requests == ["gt.tgz"]
    assert contents(tmp_path / "small") == {"mine.jpg": b"", "gt/all_souls_1_good.txt": b"a"}


# --- failures


def test_a_failed_fetch_continues_with_the_next_archive(server, tmp_path):
    (server.folder / "2.tgz").rename(server.folder / "away")
    with pytest.raises(DatasetError, match=r"2\.tgz: cannot be downloaded .*404"):
        fetch_dataset("small", tmp_path)
    assert contents(tmp_path / "small") == {"jpg/a.jpg": b"a"}
    assert missing_parts("small", tmp_path) == ("**/*.jpg", "gt/*"), "not all photos are there"
    (server.folder / "away").rename(server.folder / "2.tgz")
    server.requests.clear()
    assert fetch_dataset("small", tmp_path)
    assert contents(tmp_path / "small") == SMALL
    assert server.requests == ["2.tgz", "gt.tgz"]


def test_an_archive_with_a_wrong_checksum_is_not_unpacked(server, tmp_path):
    (server.folder / "2.tgz").write_bytes(FIRST)
    with pytest.raises(DatasetError, match=rf"2\.tgz: .* does not match .*: expected md5:{MD5}"):
        fetch_dataset("small", tmp_path)
    assert contents(tmp_path / "small") == {"jpg/a.jpg": b"a"}


def test_a_hostile_archive_is_refused(server, tmp_path):
    (server.folder / "1.tgz").write_bytes(make_tar({"../../../evil.jpg": b"x"}))
    with pytest.raises(DatasetError, match="is not a valid path inside the destination"):
        fetch_dataset("small", tmp_path)
    assert not list(tmp_path.rglob("evil*"))


def test_a_folder_without_photos_is_not_taken_for_the_link(server, tmp_path):
    (tmp_path / "rsmall" / "jpg").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"rsmall/jpg: holds no \.jpg files, and .* Fix: remove"):
        fetch_dataset("rsmall", tmp_path)


def test_photos_to_link_are_missing(server, tmp_path):
    for name in ("photos/a.jpg", "gt/all_souls_1_good.txt"):
        touch(tmp_path / "small" / name)
    with pytest.raises(DatasetError, match=r"small/jpg: holds no \.jpg files, but rsmall uses"):
        fetch_dataset("rsmall", tmp_path)
    (tmp_path / "small" / "photos").rename(tmp_path / "small" / "jpg")
    assert fetch_dataset("rsmall", tmp_path)


def test_a_data_set_that_is_fetched_by_hand(tmp_path):
    message = r"missing files: jpg/\*\.jpg\n(.*\n)+  Fix: download the data set by hand"
    with pytest.raises(DatasetError, match=message):
        fetch_dataset("holidays", tmp_path)
    assert not list(tmp_path.iterdir())
    touch(tmp_path / "holidays" / "jpg" / "100000.jpg")
    assert not fetch_dataset("holidays", tmp_path)


# --- single files


def file_names(folder: Path) -> list[str]:
    """Return the names of all files except locks."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.name for path in files if not path.name.endswith(".lock"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "2.tgz"


@pytest.mark.parametrize("md5", [None, MD5], ids=["no checksum", "checksum"])
def test_a_complete_file(server, path, md5):
    for _ in range(2):
        download_file(f"{server.url}/2.tgz", path, md5)
        assert path.read_bytes() == SECOND
        assert file_names(path.parent) == ["2.tgz"]
    assert server.requests == ["2.tgz"], "an existing file is not downloaded again"


def test_a_damaged_file_is_downloaded_again(server, path):
    download_file(f"{server.url}/2.tgz", path)
    path.write_bytes(SECOND[:-1])
    download_file(f"{server.url}/2.tgz", path, MD5)
    assert path.read_bytes() == SECOND


def test_transient_errors_are_retried(server, path):
    server.statuses = [503] * fetch.RETRIES
    download_file(f"{server.url}/2.tgz", path)
    assert path.read_bytes() == SECOND


def test_a_server_that_stays_busy(server, path):
    server.statuses = [503] * 99
    with pytest.raises(DatasetError, match=r"2\.tgz: cannot be downloaded from http.*503.* Fix: "):
        download_file(f"{server.url}/2.tgz", path)
    assert len(server.requests) == 1 + fetch.RETRIES
    assert file_names(path.parent) == []


def test_an_incomplete_download_is_refused(server, path):
    server.extra_length = 10
    with pytest.raises(DatasetError, match=r"2\.tgz: cannot be downloaded"):
        download_file(f"{server.url}/2.tgz", path)
    assert file_names(path.parent) == []


@pytest.mark.parametrize("md5", [None, MD5], ids=["no checksum", "checksum"])
def test_a_download_without_length_is_refused(server, path, md5):
    """The server closes the connection after half of the file."""
    server.hides_length = True
    (server.folder / "2.tgz").write_bytes(SECOND[: len(SECOND) // 2])
    with pytest.raises(DatasetError, match="the server sent no length"):
        download_file(f"{server.url}/2.tgz", path, md5)
    assert file_names(path.parent) == []


def test_a_pipe_in_place_of_a_download_is_refused(server, path):
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match="found something that is not a file"):
        download_file(f"{server.url}/2.tgz", path)


@pytest.mark.parametrize("name", ["small", "rsmall"])
def test_two_fetches_at_once_download_each_file_once(server, tmp_path, name):
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(fetch_dataset, name, tmp_path) for _ in range(2)]
        assert sorted(each.result(timeout=100) for each in found) == [False, True]
    assert contents(tmp_path / "small") == SMALL
    assert len(server.requests) == len(set(server.requests))


def test_the_wait_for_another_fetch_is_limited(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetch, "WAIT", 0.05)
    (tmp_path / "small").mkdir()
    with (
        Lock(tmp_path / "small" / ".fetching.lock"),
        pytest.raises(StoreError, match=r"lock: this lock is held by another .*waited 0\.05"),
    ):
        fetch_dataset("small", tmp_path)
    assert "waiting at most 0.05 seconds for another process" in capsys.readouterr().err


def test_a_web_page_instead_of_the_file(server, path):
    (server.folder / "2.tgz").write_bytes(b"\n<!DOCTYPE html><html>log in</html>")
    with pytest.raises(DatasetError, match=r"sent a web page .*browser"):
        download_file(f"{server.url}/2.tgz", path)
    assert file_names(path.parent) == []


def test_a_wrong_checksum(server, path):
    (server.folder / "2.tgz").write_bytes(FIRST)
    with pytest.raises(DatasetError, match=rf"expected md5:{MD5} but got "):
        download_file(f"{server.url}/2.tgz", path, MD5)
    assert file_names(path.parent) == []


def test_an_unreachable_server(path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        url = f"http://127.0.0.1:{served.server_port}/2.tgz"
    with pytest.raises(DatasetError, match=r"Fix: check the address, the network"):
        download_file(url, path)


def test_a_folder_that_cannot_be_created(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"cannot be downloaded .*permissions"):
        download_file(f"{server.url}/2.tgz", tmp_path / "file" / "2.tgz")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_download_leaves_no_file(server, path, monkeypatch, error):
    def stop(self, chunk_size):
        yield SECOND[:9]
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", stop)
        with pytest.raises((KeyboardInterrupt, DatasetError)):
            download_file(f"{server.url}/2.tgz", path)
    assert file_names(path.parent) == []
    download_file(f"{server.url}/2.tgz", path)
    assert path.read_bytes() == SECOND


# --- the catalog


def test_all_archives_of_the_catalog_can_be_unpacked():
    names = {file.name for entry in DATASETS.values() for file in entry.files}
    others = {Path(name).suffix for name in names if not name.endswith(fetch.ARCHIVE_SUFFIXES)}
    assert others == {".csv", ".pkl"}
    assert archives.MAX_BYTES > 2 * 1.94e9, "the archive of Oxford5k is the largest"
