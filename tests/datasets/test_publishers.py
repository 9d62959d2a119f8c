"""The catalog of publishers holds what it says it does; a data set is fetched whole, once.

No test here reaches the network: the publisher is a folder, served on this machine.
"""

import hashlib
import io
import re
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from delfjax.cli import data
from delfjax.cli.data import fetch
from delfjax.datasets import archives, download
from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.catalog import (
    DATASETS,
    File,
    MissingDataError,
    Publisher,
    missing_parts,
    data_folder,
    missing,
    get_entry,
)

NAMES = """oxford5k paris6k flickr100k roxford5k rparis6k revisitop1m holidays google_landmarks_v1
google_landmarks_v2"""

each = pytest.mark.parametrize("publisher", DATASETS.values(), ids=DATASETS)


# The catalog


def test_every_data_set_is_in_it():
    assert list(DATASETS) == NAMES.split()


@each
def test_entry_is_complete(publisher):
    assert publisher == DATASETS[publisher.name]
    assert publisher.title
    assert publisher.about
    assert publisher.terms
    assert publisher.parts
    # By command or by hand, not both and not neither.
    assert publisher.fetchable == (not publisher.steps)
    assert publisher.photos_of is None or DATASETS[publisher.photos_of].fetchable


@each
def test_addresses_are_those_of_a_publisher(publisher):
    hosts = {
        *("www.robots.ox.ac.uk", "cmp.felk.cvut.cz", "ptak.felk.cvut.cz", "lear.inrialpes.fr"),
        *("s3.amazonaws.com", "github.com", "www.kaggle.com"),
    }
    urls = [publisher.home, *(file.url for file in publisher.files)]
    urls += [file.md5_url for file in publisher.files if file.md5_url]
    for url in urls:
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https"), url
        assert parts.hostname in hosts, url
        assert parts.path.count("//") == 0, url


@each
def test_files_go_into_the_parts(publisher):
    # No two under one name, and what is fetched makes every part.
    places = [(file.folder, file.name) for file in publisher.files]
    assert len(set(places)) == len(places)
    made = {file.part for file in publisher.files}
    made |= {"jpg/*.jpg"} if publisher.photos_of else set()
    assert not publisher.fetchable or made == set(publisher.parts)
    for file in publisher.files:
        assert file.checksum is None or download.CHECKSUM.fullmatch(file.checksum)
        assert re.fullmatch(r"[\w.-]+", file.name)


def test_addresses_of_google_landmarks():
    files = DATASETS["google_landmarks_v2"].files
    tars = [file for file in files if file.name.endswith(".tar")]
    assert len(tars) == 120
    assert tars[-1] == File(
        url="https://s3.amazonaws.com/google-landmark/index/images_099.tar",
        folder="index",
        makes="index/*",
        md5_url="https://s3.amazonaws.com/google-landmark/md5sum/index/md5.images_099.txt",
    )


def test_addresses_of_revisited_oxford():
    (truth,) = DATASETS["roxford5k"].files
    assert truth.url.endswith("/revisitop/data/datasets/roxford5k/gnd_roxford5k.pkl")
    names = [file.name for file in DATASETS["revisitop1m"].files]
    assert names[:2] + names[-1:] == [
        "revisitop1m.txt",
        "revisitop1m.1.tar.gz",
        "revisitop1m.100.tar.gz",
    ]


def test_name_that_is_not_in_it():
    with pytest.raises(
        DatasetError, match=r"'oxford': no such data set; expected one of oxford5k, "
    ):
        get_entry("oxford")


def test_data_folder_is_the_users_to_choose(monkeypatch, tmp_path):
    monkeypatch.setenv("DELFJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DELFJAX_DATA", "")
    assert data_folder() == tmp_path / "cache" / "datasets"
    monkeypatch.setenv("DELFJAX_DATA", str(tmp_path / "data"))
    assert data_folder() == tmp_path / "data"


# What is missing


def test_missing_names_folder_parts_and_command():
    error = missing("oxford5k", Path("/my data"), ("jpg", "gt"))
    assert isinstance(error, MissingDataError)
    assert isinstance(error, DatasetError)
    lines = str(error).splitlines()
    assert lines[0] == f"{Path('/my data/oxford5k')}: lacks jpg, gt"
    assert lines[1].startswith("  The Oxford Buildings Dataset: ")
    assert "https://www.robots.ox.ac.uk/~vgg/data/oxbuildings/" in lines[2]
    assert "Terms of Access" in lines[3]
    assert lines[4] == "  get it with: delfjax data fetch oxford5k --root '/my data'"


def test_missing_names_the_steps_by_hand():
    text = str(missing("holidays", Path("data"), ("jpg",)))
    assert f"get it by hand, into {Path('data/holidays')}:" in text
    assert "    1. download ftp://" in text
    assert "    2. unpack both here" in text
    assert "delfjax data fetch" not in text


@each
def test_every_entry_can_be_worded(publisher):
    text = str(missing(publisher.name, Path("data"), publisher.parts))
    assert publisher.home in text
    assert publisher.terms in text
    assert all(len(line) < 160 for line in text.splitlines())


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_absent_lists_the_parts(tmp_path):
    assert missing_parts("roxford5k", tmp_path) == ("jpg/*.jpg", "gnd_roxford5k.pkl")
    touch(tmp_path / "roxford5k" / "gnd_roxford5k.pkl")
    assert missing_parts("roxford5k", tmp_path) == ("jpg/*.jpg",)
    touch(tmp_path / "roxford5k" / "jpg" / "a.jpg")
    assert missing_parts("roxford5k", tmp_path) == ()


def test_absent_finds_what_lies_deeper(tmp_path):
    touch(tmp_path / "paris6k" / "jpg" / "paris" / "a.jpg")
    touch(tmp_path / "paris6k" / "eiffel_1_query.txt")
    assert missing_parts("paris6k", tmp_path) == ()


def test_absent_takes_another_layout_as_a_whole(tmp_path):
    touch(tmp_path / "google_landmarks_v1" / "index" / "7" / "a.jpg")
    first = ("train.csv", "test.csv", "train/*", "test/*")
    assert missing_parts("google_landmarks_v1", tmp_path) == first
    touch(tmp_path / "google_landmarks_v1" / "test" / "b.jpg")
    assert missing_parts("google_landmarks_v1", tmp_path) == ()


# Fetching


def tar(contents: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


class Folder(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path.removeprefix("/"))
        super().do_GET()


FIRST, SECOND = (tar({f"paris/{n}/{n}.jpg": n.encode()}, "w:gz") for n in ("a", "b"))
MD5 = hashlib.md5(SECOND).hexdigest()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Publish a small data set and another that has its photos; return the server."""
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "1.tgz").write_bytes(FIRST)
    (folder / "2.tgz").write_bytes(SECOND)
    (folder / "md5.2.txt").write_text(f"{MD5}  2.tgz\n")
    (folder / "gt.tgz").write_bytes(tar({"all_souls_1_good.txt": b"a"}, "w:gz"))
    (folder / "gnd_rsmall.pkl").write_bytes(b"].")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Folder, directory=folder)) as server:
        server.asked, server.folder = [], folder
        publish(f"http://127.0.0.1:{server.server_port}", monkeypatch)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def publish(url: str, monkeypatch):
    words = {"title": "Small", "about": "two photos", "home": url, "terms": "none"}
    photos = {"folder": "jpg", "flat": True, "makes": "**/*.jpg"}
    small = Publisher(
        name="small",
        parts=("**/*.jpg", "gt/*"),
        files=(
            File(url=f"{url}/1.tgz", **photos),
            File(url=f"{url}/2.tgz", **photos, md5_url=f"{url}/md5.2.txt"),
            File(url=f"{url}/gt.tgz", folder="gt", makes="gt/*"),
        ),
        **words,
    )
    revisited = Publisher(
        name="rsmall",
        parts=("jpg/*.jpg", "gnd_rsmall.pkl"),
        files=(File(url=f"{url}/gnd_rsmall.pkl"),),
        photos_of="small",
        **words,
    )
    for publisher in (small, revisited):
        monkeypatch.setitem(DATASETS, publisher.name, publisher)


def held(folder: Path) -> dict[str, bytes]:
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        path.as_posix(): file.read_bytes()
        for path, file in files.items()
        if not any(part.startswith(".") for part in path.parts) and path.parts[0] != "downloads"
    }


PHOTOS = {"jpg/a.jpg": b"a", "jpg/b.jpg": b"b"}
SMALL = PHOTOS | {"gt/all_souls_1_good.txt": b"a"}


def test_fetch_downloads_checks_and_unpacks(served, tmp_path):
    assert fetch("small", tmp_path)
    assert held(tmp_path / "small") == SMALL
    assert served.asked == ["1.tgz", "md5.2.txt", "2.tgz", "gt.tgz"]
    assert missing_parts("small", tmp_path) == ()
    assert not list(tmp_path.rglob("small/**/*.tgz"))  # unpacked, and so deleted
    assert not fetch("small", tmp_path)
    assert len(served.asked) == 4


def test_archives_may_be_kept(served, tmp_path):
    fetch("small", tmp_path, keep=True)
    assert (tmp_path / "small" / "downloads" / "jpg" / "1.tgz").read_bytes() == FIRST


def test_photos_of_another_set_are_shared(served, tmp_path):
    fetch("rsmall", tmp_path)
    assert held(tmp_path / "small") == SMALL
    assert (tmp_path / "rsmall" / "jpg").readlink() == Path("../small/jpg")
    assert (tmp_path / "rsmall" / "jpg" / "a.jpg").read_bytes() == b"a"
    assert (tmp_path / "rsmall" / "gnd_rsmall.pkl").read_bytes() == b"]."
    # The root may be moved, and a link that leads nowhere comes to life.
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert missing_parts("rsmall", moved) == ()
    (moved / "small" / "jpg").rename(moved / "small" / "away")
    assert missing_parts("rsmall", moved) == ("jpg/*.jpg",)
    (moved / "small" / "away").rename(moved / "small" / "jpg")
    moved.rename(tmp_path)


def test_photos_that_lie_elsewhere_are_not_shared(served, tmp_path):
    for name in ("photos/a.jpg", "gt/all_souls_1_good.txt"):
        touch(tmp_path / "small" / name)
    with pytest.raises(DatasetError, match=r"small/jpg: holds no photos; rsmall expects those of"):
        fetch("rsmall", tmp_path)
    (tmp_path / "small" / "photos").rename(tmp_path / "small" / "jpg")
    assert fetch("rsmall", tmp_path)


def test_photos_that_cannot_be_shared(served, tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(
        DatasetError, match=r"rsmall/jpg: cannot be made a link .* copy that folder"
    ):
        fetch("rsmall", tmp_path)


def test_fetch_goes_on_archive_by_archive(served, tmp_path):
    (served.folder / "2.tgz").rename(served.folder / "away")
    with pytest.raises(DatasetError, match=r"2\.tgz: the server answers 404"):
        fetch("small", tmp_path)
    # Photos are there, but not all of them.
    assert held(tmp_path / "small") == {"jpg/a.jpg": b"a"}
    assert missing_parts("small", tmp_path) == ("**/*.jpg", "gt/*")
    (served.folder / "away").rename(served.folder / "2.tgz")
    served.asked.clear()
    assert fetch("small", tmp_path)
    assert held(tmp_path / "small") == SMALL
    assert served.asked == ["2.tgz", "gt.tgz"]


def test_wrong_md5_is_not_unpacked(served, tmp_path):
    (served.folder / "2.tgz").write_bytes(FIRST)
    with pytest.raises(DatasetError, match=rf"2\.tgz: has md5:.*, expected md5:{MD5}"):
        fetch("small", tmp_path)
    assert held(tmp_path / "small") == {"jpg/a.jpg": b"a"}


@pytest.mark.parametrize("text", ["", "not found", "<html>"])
def test_md5_that_is_none(served, tmp_path, text):
    (served.folder / "md5.2.txt").write_text(text)
    with pytest.raises(DatasetError, match=r"md5\.2\.txt: does not begin with an MD5"):
        fetch("small", tmp_path)


def test_hostile_archive_is_refused(served, tmp_path):
    (served.folder / "1.tgz").write_bytes(tar({"../../../evil.jpg": b"x"}, "w:gz"))
    with pytest.raises(DatasetError, match="is no name for a file in the folder"):
        fetch("small", tmp_path)
    assert not list(tmp_path.rglob("evil*"))


def test_parts_that_are_there_are_not_asked_for(served, tmp_path):
    touch(tmp_path / "small" / "mine.jpg")
    (served.folder / "gt.tgz").rename(served.folder / "away")
    with pytest.raises(DatasetError, match="404"):
        fetch("small", tmp_path)
    (served.folder / "away").rename(served.folder / "gt.tgz")
    assert fetch("small", tmp_path)
    assert served.asked == ["gt.tgz"] * 2
    assert held(tmp_path / "small") == {"mine.jpg": b"", "gt/all_souls_1_good.txt": b"a"}


def test_fetch_of_what_is_got_by_hand(tmp_path):
    with pytest.raises(MissingDataError, match=r"lacks jpg/\*\.jpg\n(.*\n)+  get it by hand"):
        fetch("holidays", tmp_path)
    assert not list(tmp_path.iterdir())
    touch(tmp_path / "holidays" / "jpg" / "100000.jpg")
    assert not fetch("holidays", tmp_path)


def test_archives_by_name_are_those_that_can_be_unpacked():
    names = {file.name for publisher in DATASETS.values() for file in publisher.files}
    plain = {Path(name).suffix for name in names if not name.endswith(data.ARCHIVES)}
    assert plain == {".csv", ".txt", ".pkl"}
    assert archives.MAX_BYTES > 2 * 1.94e9  # of Oxford5k's archive, the largest
