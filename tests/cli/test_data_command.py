"""The command ``delfjax data``: list the data sets, and fetch them."""

import argparse

from delfjax.cli.data import data, data_options
from delfjax.datasets import fetch
from delfjax.datasets.benchmark import DatasetError


def run(*arguments) -> int:
    parser = argparse.ArgumentParser()
    data_options(parser)
    return data(parser.parse_args([str(argument) for argument in arguments]))


def touch(path):
    path.parent.mkdir(parents=True)
    path.touch()


def test_list_shows_what_is_on_disk_and_the_terms(tmp_path, capsys, monkeypatch):
    touch(tmp_path / "holidays" / "jpg" / "100000.jpg")
    assert run("list", "--root", tmp_path) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path / 'holidays'}: complete\n  INRIA Holidays: 1,491 photos" in out
    assert f"{tmp_path / 'roxford5k'}: missing jpg/*.jpg, gnd_roxford5k.pkl\n" in out
    assert "about 95 GB" in out
    assert "  terms: copyright of INRIA" in out
    monkeypatch.setenv("DELFJAX_DATA", str(tmp_path))
    assert run("list") == 0
    assert capsys.readouterr().out == out


def test_the_default_folder_is_in_the_cache(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DELFJAX_DATA", raising=False)
    monkeypatch.setenv("DELFJAX_CACHE", str(tmp_path))
    assert run("list") == 0
    folder = tmp_path / "datasets" / "oxford5k"
    assert f"{folder}: missing **/*.jpg, **/*_query.txt\n" in capsys.readouterr().out


def test_fetch_lists_the_steps_by_hand_and_continues(tmp_path, capsys):
    touch(tmp_path / "flickr100k" / "oxc1_100k" / "beach" / "1.jpg")
    assert run("fetch", "holidays", "flickr100k", "--root", tmp_path) == 1
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'flickr100k'}: complete, nothing to fetch\n"
    assert err.startswith(f"delfjax data: {tmp_path / 'holidays'}: missing files: jpg/*.jpg\n")
    assert "Fix: download the data set by hand" in err


def test_fetch_shows_the_terms_before_it_downloads(tmp_path, capsys, monkeypatch):
    def fail(url, path, md5=None):
        raise DatasetError(f"{url}: no connection")

    monkeypatch.setattr(fetch, "download_file", fail)
    assert run("fetch", "paris6k", "--root", tmp_path) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path / 'paris6k'}\n  The Paris Dataset: ")
    assert "  terms: " in out
    assert err.startswith("delfjax data: https://www.robots.ox.ac.uk/")


def test_fetch_reports_success(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fetch, "download_file", lambda url, path: path)
    touch(tmp_path / "oxford5k" / "jpg" / "all_souls_000000.jpg")
    touch(tmp_path / "oxford5k" / "gt" / "all_souls_1_query.txt")
    assert run("fetch", "roxford5k", "--root", tmp_path) == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'roxford5k'}: fetched\n")
