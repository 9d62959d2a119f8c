"""The catalog: complete entries, valid addresses, and what is reported about missing data sets."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from delfjax.datasets.benchmark import DatasetError
from delfjax.datasets.catalog import (
    DATASETS,
    RemoteFile,
    data_folder,
    missing_message,
    missing_parts,
)

each_entry = pytest.mark.parametrize("entry", DATASETS.values(), ids=DATASETS)


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


# --- entries


@each_entry
def test_an_entry_is_complete(entry):
    assert entry.title
    assert entry.summary
    assert entry.terms
    assert entry.parts
    assert bool(entry.files) != bool(entry.manual_steps), "fetched by command or by hand"
    assert entry.photos_from is None or DATASETS[entry.photos_from].files


@each_entry
def test_addresses_are_those_of_publishers(entry):
    hosts = {
        *("www.robots.ox.ac.uk", "cmp.felk.cvut.cz", "ptak.felk.cvut.cz", "lear.inrialpes.fr"),
        *("s3.amazonaws.com", "github.com", "www.kaggle.com"),
    }
    urls = [entry.homepage, *(file.url for file in entry.files)]
    urls += [file.md5_url for file in entry.files if file.md5_url]
    for url in urls:
        address = urlsplit(url)
        assert address.scheme in ("http", "https"), url
        assert address.hostname in hosts, url
        assert address.path.count("//") == 0, url


@each_entry
def test_the_files_complete_all_parts(entry):
    targets = [(file.folder, file.name) for file in entry.files]
    assert len(set(targets)) == len(targets)
    provided = {file.part for file in entry.files}
    provided |= {"jpg/*.jpg"} if entry.photos_from else set()
    assert not entry.files or provided == set(entry.parts)
    assert all(re.fullmatch(r"[\w.-]+", file.name) for file in entry.files)


def test_files_of_google_landmarks():
    files = DATASETS["google_landmarks_v2"].files
    archives = [file for file in files if file.name.endswith(".tar")]
    assert len(archives) == 120
    assert archives[-1] == RemoteFile(
        url="https://s3.amazonaws.com/google-landmark/index/images_099.tar",
        folder="index",
        part="index/*",
        md5_url="https://s3.amazonaws.com/google-landmark/md5sum/index/md5.images_099.txt",
    )


def test_files_of_the_revisited_sets():
    (truth,) = DATASETS["roxford5k"].files
    assert truth.url.endswith("/revisitop/data/datasets/roxford5k/gnd_roxford5k.pkl")
    names = [file.name for file in DATASETS["revisitop1m"].files]
    assert names[0] == "revisitop1m.1.tar.gz"
    assert names[-1] == "revisitop1m.100.tar.gz"


def test_the_default_root_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("DELFJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DELFJAX_DATA", "")
    assert data_folder() == tmp_path / "cache" / "datasets"
    monkeypatch.setenv("DELFJAX_DATA", str(tmp_path / "data"))
    assert data_folder() == tmp_path / "data"


# --- missing parts


def test_missing_parts(tmp_path):
    assert missing_parts("roxford5k", tmp_path) == ("jpg/*.jpg", "gnd_roxford5k.pkl")
    touch(tmp_path / "roxford5k" / "gnd_roxford5k.pkl")
    assert missing_parts("roxford5k", tmp_path) == ("jpg/*.jpg",)
    touch(tmp_path / "roxford5k" / "jpg" / "a.jpg")
    assert missing_parts("roxford5k", tmp_path) == ()


def test_parts_may_lie_in_sub_folders(tmp_path):
    touch(tmp_path / "paris6k" / "jpg" / "paris" / "a.jpg")
    touch(tmp_path / "paris6k" / "eiffel_1_query.txt")
    assert missing_parts("paris6k", tmp_path) == ()


def test_the_message_names_parts_terms_and_command():
    lines = missing_message("oxford5k", Path("/my data")).splitlines()
    assert lines[0] == f"{Path('/my data/oxford5k')}: missing files: **/*.jpg, **/*_query.txt"
    assert lines[1].startswith("  The Oxford Buildings Dataset: ")
    assert "https://www.robots.ox.ac.uk/~vgg/data/oxbuildings/" in lines[2]
    assert "Terms of Access" in lines[3]
    assert lines[4] == "  Fix: run delfjax data fetch oxford5k --root '/my data'"


def test_the_message_lists_manual_steps():
    message = missing_message("holidays", Path("data"))
    assert f"Fix: download the data set by hand into {Path('data/holidays')}:" in message
    assert "    1. download ftp://" in message
    assert "    2. unpack both archives into this folder" in message
    assert "delfjax data fetch" not in message


@pytest.mark.parametrize("name", DATASETS)
def test_the_message_of_every_entry(name):
    message, entry = missing_message(name, Path("data")), DATASETS[name]
    assert entry.homepage in message
    assert entry.terms in message
    assert all(len(line) < 160 for line in message.splitlines())


def test_a_pipe_in_place_of_the_list_of_unfinished_parts_is_refused(tmp_path):
    (tmp_path / "oxford5k").mkdir()
    os.mkfifo(tmp_path / "oxford5k" / ".fetching")
    with pytest.raises(DatasetError, match=r"\.fetching: .* Fix: .* remove this file"):
        missing_parts("oxford5k", tmp_path)
