"""Fetching a data set: downloaded, verified, unpacked once, resumed after a failure.

No test reaches the internet: the publisher is a folder that a local server offers.
"""

import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from delfjax.datasets import archives, download, fetch
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.catalog import DATASETS, CatalogEntry, RemoteFile, missing_parts
from delfjax.datasets.fetch import fetch_dataset


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
        super().do_GET()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Publish the data set ``small``, and ``rsmall``, which uses its photos; return the server."""
    monkeypatch.setattr(download, "BACKOFF", 0)
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
        for entry in catalog_entries(f"http://127.0.0.1:{server.server_port}"):
            monkeypatch.setitem(DATASETS, entry.name, entry)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def catalog_entries(url: str) -> tuple[CatalogEntry, CatalogEntry]:
    texts = {"title": "Small", "summary": "two photos", "homepage": url, "terms": "none"}
    photos = {"folder": "jpg", "flat": True, "provides": "**/*.jpg"}
    small = CatalogEntry(
        name="small",
        parts=("**/*.jpg", "gt/*"),
        files=(
            RemoteFile(url=f"{url}/1.tgz", **photos),
            RemoteFile(url=f"{url}/2.tgz", **photos, md5_url=f"{url}/md5.2.txt"),
            RemoteFile(url=f"{url}/gt.tgz", folder="gt", provides="gt/*"),
        ),
        **texts,
    )
    revisited = CatalogEntry(
        name="rsmall",
        parts=("jpg/*.jpg", "gnd_rsmall.pkl"),
        files=(RemoteFile(url=f"{url}/gnd_rsmall.pkl"),),
        photos_from="small",
        **texts,
    )
    return small, revisited


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
    assert not list(tmp_path.rglob("small/**/*.tgz")), "archives are deleted after unpacking"
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


def test_a_failed_fetch_resumes_with_the_next_archive(server, tmp_path):
    (server.folder / "2.tgz").rename(server.folder / "away")
    with pytest.raises(DatasetError, match=r"2\.tgz: the server answers 404"):
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
    with pytest.raises(DatasetError, match=rf"2\.tgz: md5 is .*; expected {MD5}"):
        fetch_dataset("small", tmp_path)
    assert contents(tmp_path / "small") == {"jpg/a.jpg": b"a"}


@pytest.mark.parametrize("text", ["", "not found", "<html>"])
def test_an_invalid_checksum_file(server, tmp_path, text):
    (server.folder / "md5.2.txt").write_text(text)
    with pytest.raises(DatasetError, match=r"md5\.2\.txt: expected it to begin with an MD5"):
        fetch_dataset("small", tmp_path)


def test_a_hostile_archive_is_refused(server, tmp_path):
    (server.folder / "1.tgz").write_bytes(make_tar({"../../../evil.jpg": b"x"}))
    with pytest.raises(DatasetError, match="is not a valid path in the folder"):
        fetch_dataset("small", tmp_path)
    assert not list(tmp_path.rglob("evil*"))


def test_photos_to_link_are_missing(server, tmp_path):
    for name in ("photos/a.jpg", "gt/all_souls_1_good.txt"):
        touch(tmp_path / "small" / name)
    with pytest.raises(DatasetError, match=r"small/jpg: holds no photos, but rsmall uses those of"):
        fetch_dataset("rsmall", tmp_path)
    (tmp_path / "small" / "photos").rename(tmp_path / "small" / "jpg")
    assert fetch_dataset("rsmall", tmp_path)


def test_the_link_cannot_be_created(server, tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(DatasetError, match=r"rsmall/jpg: cannot be made a link .* Fix: copy"):
        fetch_dataset("rsmall", tmp_path)


def test_a_data_set_that_is_fetched_by_hand(tmp_path):
    message = r"missing jpg/\*\.jpg\n(.*\n)+  Fix: fetch it by hand"
    with pytest.raises(DatasetError, match=message):
        fetch_dataset("holidays", tmp_path)
    assert not list(tmp_path.iterdir())
    touch(tmp_path / "holidays" / "jpg" / "100000.jpg")
    assert not fetch_dataset("holidays", tmp_path)


# --- the catalog


def test_all_archives_of_the_catalog_can_be_unpacked():
    names = {file.name for entry in DATASETS.values() for file in entry.files}
    others = {Path(name).suffix for name in names if not name.endswith(fetch.ARCHIVE_SUFFIXES)}
    assert others == {".csv", ".txt", ".pkl"}
    assert archives.MAX_BYTES > 2 * 1.94e9, "the archive of Oxford5k is the largest"
