"""A wrong option or output is refused in one line before any work, with exit code 2."""

import argparse
import contextlib
import io
import os
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import classes, draw, extractor, save

from delfjax.cli import output
from delfjax.cli.main import COMMANDS, main
from delfjax.cli.output import check_outputs, print_result, show
from delfjax.datasets.benchmark import DatasetError
from delfjax.features.extract_folder import PCAConfig, extract_folder
from delfjax.features.extraction import Extractor
from delfjax.features.global_descriptors import GlobalExtractor
from delfjax.files import printable, write_output
from delfjax.paper.tables import END, START, update_page
from delfjax.plots.base import Figure
from delfjax.plots.pages import _escape
from delfjax.provenance import write_result

REQUIRED = {
    "match": ["a", "b"],
    "extract": ["a", "b"],
    "index": ["a"],
    "export": ["a", "b"],
    "import-weights": ["a", "--out", "b"],
    "search": ["a", "b"],
    "evaluate": ["a"],
    "benchmark": ["rendered"],
    "train": ["--photos", "a", "--out", "b"],
}
MODEL = ["--longest", "64", "--max-features", "60", "--hypotheses", "64"]


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def numeric_options():
    """Yield each numeric option, with the first command that has it."""
    seen = set()
    for command, (module, _) in COMMANDS.items():
        parser = argparse.ArgumentParser()
        getattr(import_module(f"delfjax.cli.{module}"), f"{command.replace('-', '_')}_options")(
            parser
        )
        for action in parser._actions:
            if getattr(action.type, "__name__", "") == "convert":
                if action.option_strings[0] not in seen:
                    yield pytest.param(command, action, id=f"{command} {action.option_strings[0]}")
                seen.add(action.option_strings[0])
            else:
                assert action.type not in (int, float), (
                    f"{command} {action.option_strings}: no range"
                )


@pytest.mark.parametrize(("command", "action"), [*numeric_options()])
def test_each_number_has_a_range(command, action, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    option = action.option_strings[-1]
    values = ["nan", "-inf", "-1", "-0.5", "abc", "", "0x10", "\x1b[31m"]
    if command == "match" or option != "--max-distance":  # there, infinity is no limit
        values += ["inf", "1e999999", "9" * 400]
    for value in values:
        assert run(command, *REQUIRED[command], f"{option}={value}") == 2, value
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith(f"delfjax {command}: {option} is ")
        assert "expected" in err
        assert "number" in err
        assert "\x1b" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("match a b --ratio 5", "--ratio is 5.0; expected a number above 0 and at most 1"),
        ("match a b --hypotheses 10", "--hypotheses is 10; expected a whole number of at least 64"),
        ("match a b --seed 9223372036854775808", "--seed is 9223372036854775808; expected"),
        (
            "train --photos a --out b --steps 0",
            "--steps is 0; expected a whole number of at least 1",
        ),
        (
            "benchmark rendered --global-dimensions 9",
            "--global-dimensions has no effect without --global-whiten",
        ),
        ("benchmark rendered --truncate 50", "truncate is 50; expected at most 40"),
        ("benchmark rendered --fuse 0.5", "a fusion weight needs global descriptors"),
        ("benchmark rendered --index pq --dimensions 36", "parts is 10; expected a divisor of 36"),
        (
            "train --photos a --out b --variant attention --pooled-layer conv5",
            'pooled_layer is "conv5" with variant "attention"',
        ),
        ("reproduce --queries x", "--queries has no effect without --labeled"),
        ("reproduce --only bogus", "unknown name bogus"),
        ("extract a b --model sift --selection norm", "--selection has no effect"),
        ("match a b --model rootsift --nms-iou 0", "Fix: leave out --nms-iou"),
        ("evaluate a --model sift --global gem", "handcrafted features have no network"),
        ("match a b --longest 1", "--longest is 1; expected a whole number of at least 16"),
        ("match a b --residual 1e-30", "--residual is 1e-30; expected a number of at least 0.001"),
        ("train --photos a --out b --learning-rate 1e308", "expected a number of at least 0"),
        ("evaluate a --page=", "--page is empty"),
        ("data list --root=", "--root is empty"),
        ("match a b --store s --longest 64", "s is a feature store, whose settings"),
        (
            "match a b --figure x.unknown",
            "--figure x.unknown is a file of unknown format '.unknown'",
        ),
        ("match a b --figure folder.png", "--figure folder.png is a folder; expected a file"),
        ("match a b --json folder.png", "--json folder.png is a folder"),
        ("match a b --json pipe", "--json pipe is a pipe or a device"),
        ("match a b --json /dev/null", "--json /dev/null is a pipe or a device"),
        ("match file b --model sift --json file", "--json file is an input of this command"),
        ("match a b --weights file --json file", "--json file is an input of this command"),
        ("match a b --model file --json file", "--json file is an input of this command"),
        ("match a b --store s --json s/x", "--json s/x is in s, a folder that this command reads"),
        ("search s a --json s/store.json", "--json s/store.json is in s, a folder"),
        ("search s a --json s.index/x", "--json s.index/x is in s.index, a folder"),
        ("index s --json s.index", "--json s.index is in s.index, a folder"),
        ("evaluate a --json a/b/x.png", "--json a/b/x.png is in a, a folder"),
        ("evaluate a --page a/x.html", "--page a/x.html is in a, a folder"),
        ("evaluate a --store s --json s/x", "--json s/x is in s, a folder"),
        (
            "evaluate a --global gem --global-whiten folder.png --json folder.png/x",
            "is in folder.png",
        ),
        ("evaluate a --page x.txt", "unknown format '.txt'; expected .html, .htm"),
        ("evaluate a --global gem --store s", "--store has no effect, because --global alone"),
        ("table --page missing.md", "--page missing.md: no such file"),
        ("match a b --json x.png --figure x.png", "--figure x.png is also the file of --json"),
        ("evaluate a --page folder.png", "--page folder.png is a folder"),
        ("evaluate a --page pipe", "--page pipe is a pipe or a device"),
        ("evaluate a --json file/x.json", "file is not a folder"),
        ("evaluate a --store file", "--store file cannot be written, because"),
        ("extract a file", "STORE file cannot be written, because"),
        ("train --photos a --out file", "--out file cannot be written, because"),
        ("table --page pipe", "--page pipe: no such file"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo("pipe")
    before = sorted(tmp_path.iterdir())
    assert run(*arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith(f"delfjax {arguments.split()[0]}: ")
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with one photo, a folder of two classes, and a store of 8 dimensions."""
    root = tmp_path_factory.mktemp("world")
    classes(root / "classes", count=2, views=2)
    save(root / "folder" / "photo.png", draw(0))
    extract_folder(extractor(), root / "folder", root / "store", config=PCAConfig(dimensions=8))
    return root


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "match folder/photo.png folder/photo.png --model sift --weights w",
            "has no ImageNet backbone",
        ),
        ("extract folder s --dimensions 65", "dimensions is 65; expected at most 64"),
        ("extract folder s --model sift --dimensions 129", "expected at most 128"),
        (
            "match folder/photo.png folder/photo.png --selection attention",
            "needs an attention head",
        ),
        ("evaluate classes --dimensions 65", "dimensions is 65; expected at most 64"),
        (
            "evaluate classes --global gem --global-whiten folder --global-dimensions 65",
            "whitening_dimensions is 65; expected at most 64",
        ),
        (
            "evaluate classes --global gem --global-whiten folder --global-dimensions 9",
            "folder: 1 photos; expected at least 9",
        ),
        ("search store folder/photo.png --truncate 9", "--truncate is 9; expected at most 8"),
        ("search store folder/photo.png --index pq", "parts is 10; expected a divisor of 8"),
        ("search store folder/photo.png --longest 64", "store is a feature store, whose settings"),
        (
            "search store folder/photo.png --dimensions 8",
            "store is a feature store, whose settings",
        ),
        ("search classes folder/photo.png --truncate 41", "--truncate is 41; expected at most 40"),
        (
            "search classes folder/photo.png --dimensions 65",
            "dimensions is 65; expected at most 64",
        ),
        ("search classes folder/photo.png --page x.png", "unknown format '.png'; expected .html"),
        ("search classes folder/photo.png --page classes/x.html", "classes/x.html is in classes"),
        ("index store --index pq", "parts is 10; expected a divisor of 8"),
        (
            "train --photos classes --out r --batch-size 5",
            "expected at most 4, the number of photos",
        ),
    ],
)
def test_wrong_combinations_are_refused_before_any_work(
    arguments, message, world, monkeypatch, capsys, tiny_network
):
    monkeypatch.chdir(world)
    monkeypatch.setattr(Extractor, "_launch", None)
    monkeypatch.setattr(GlobalExtractor, "__call__", None)
    before = sorted(world.rglob("*"))
    assert run(*arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    *_, last = err.splitlines()  # `evaluate` shows the classes before
    assert last.startswith(f"delfjax {arguments.split()[0]}: ")
    assert message in last
    assert sorted(world.rglob("*")) == before


@pytest.mark.parametrize("write", ["json", "figure", "page"])
def test_an_output_follows_a_link(write, tmp_path):
    target, link = tmp_path / "new" / "x.png", tmp_path / "link.png"
    link.symlink_to(target)
    if write == "figure":
        Figure().save(link)
    elif write == "json":
        write_result(link, {"value": 1})
    else:
        table = f"old\r\n{START}\r\n{END}"
        write_output(link, table)
        update_page(link)
        assert target.read_bytes().count(b"\n") == target.read_bytes().count(b"\r\n") > 4
    assert link.is_symlink()
    assert target.stat().st_size
    assert [*target.parent.iterdir()] == [target]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("extract folder s --database zz*", "no file name matches 'zz*'"),
        ("evaluate halves --queries q* --database d*", "no query has a correct database photo"),
        ("match folder/photo.png folder/photo.png --model SIFT", "resnet50_v1.5, sift, rootsift"),
        ("train --photos classes --out r --start sift", "delf_ft_att, resnet50_v1, resnet50_v1.5"),
        ("match folder folder", "folder is not a file; expected a photo file. Fix: pass one photo"),
        ("search classes nowhere.png", "nowhere.png cannot be read"),
        ("search folder/photo.png classes", "folder/photo.png cannot be read (Not a directory)"),
    ],
)
def test_a_failure_before_any_work_leaves_nothing(
    arguments, message, world, monkeypatch, capsys, tiny_network
):
    monkeypatch.chdir(world)
    monkeypatch.setattr(Extractor, "_launch", None)
    for name in ("a/q.png", "b/d.png"):
        save(world / "halves" / name, draw(0))
    before = sorted(world.rglob("*"))
    assert run(*arguments.split()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert sorted(world.rglob("*")) == before


def test_photos_without_content_are_named(tmp_path, monkeypatch, capsys, world):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "flat" / "photo.png", np.full((64, 64, 3), 128, np.uint8))
    assert run("extract", "flat", "s", "--model", "sift") == 1
    assert "flat: no feature was found in 1 photos" in capsys.readouterr().err
    extract = "extract", world / "classes", "s2", "--model", "sift", "--dimensions", "8"
    assert run(*extract) == 0
    assert run("search", "s2", "flat/photo.png", "--neighbors", "20") == 0
    assert "flat/photo.png: no feature was found in this photo" in capsys.readouterr().err


def test_an_output_folder_may_hold_a_folder_of_any_name(tmp_path):
    (tmp_path / "file").mkdir()
    output.check_folder("--out", tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(output.UsageError, match="no permission"):
        check_outputs(argparse.Namespace(command="match", json=tmp_path / "new" / "x.json"))
    tmp_path.chmod(0o700)


# --- outputs that fail


def test_an_output_that_fails_loses_no_other(tmp_path, capsys):
    def fail():
        raise OSError("no space left")

    good = tmp_path / "good"
    options = argparse.Namespace(command="match", json=tmp_path / "missing.json", page=good)
    options.figure = tmp_path / "figure.png"
    writers = {"figure": fail, "page": good.touch}
    assert print_result(options, {"value": 1}, "the result", **writers) == 1
    out, err = capsys.readouterr()
    assert out == "the result\n"
    assert "--figure could not be written: no space left" in err
    assert f"{good}: written\n" in err
    assert options.json.exists()
    assert good.exists()


def test_a_closed_pipe_loses_no_file(tmp_path, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    options = argparse.Namespace(command="match", json=tmp_path / "x.json")
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(BrokenPipeError):
            print_result(options, {"value": 1}, "x" * 100_000)
        output.drop_output()
    assert options.json.exists()


def test_a_figure_that_fails_leaves_the_numbers(tmp_path, capsys, monkeypatch, tiny_network):
    photos = classes(tmp_path / "photos")
    pair = photos.path("a/0.png"), photos.path("a/1.png")
    monkeypatch.setattr(
        "delfjax.plots.matches", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    outputs = "--json", tmp_path / "x.json", "--figure", tmp_path / "x.png"
    assert run("match", *pair, *MODEL, *outputs) == 1
    out, err = capsys.readouterr()
    assert "inliers" in out
    assert "--figure could not be written: disk full" in err
    assert (tmp_path / "x.json").exists()


@pytest.mark.parametrize("content", ['{"inputs_sha256": null}', "{}"])
def test_a_list_of_results_shows_damaged_ones(content, tmp_path, capsys):
    (tmp_path / "rendered_norm.json").write_text(content)
    assert run("reproduce", "--list", "--only", "rendered_norm", "--results", tmp_path) == 0
    out, err = capsys.readouterr()
    assert ("damaged" in out) != (content == "{}"), err


# --- empty values, closed streams, environment


@pytest.mark.parametrize(
    "arguments",
    [
        ["extract", "", "st"],
        ["extract", "p", ""],
        ["evaluate", ""],
        ["train", "--photos", "p", "--out", ""],
        ["match", "a", "b", "--model", ""],
    ],
)
def test_an_empty_value_is_refused(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "is empty; expected a value" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a POSIX shell and /dev/full")
@pytest.mark.parametrize(
    ("setting", "command", "code", "message"),
    [
        ("", "data list >/dev/full", 1, "standard output: No space left on device"),
        ("JAX_PLATFORMS=cuda", "match a a --model sift", 1, "$JAX_PLATFORMS=cuda"),
    ],
)
def test_streams_and_environment(setting, command, code, message, tmp_path):
    """Run in a process of its own: streams and environment belong to the process."""
    save(tmp_path / "a.png", draw(0)).rename(tmp_path / "a")
    done = subprocess.run(
        ["sh", "-c", f"{setting} exec '{sys.executable}' -m delfjax {command}"],
        cwd=tmp_path,
        env=os.environ | {"DELFJAX_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "not enough memory (MemoryError). Fix: free memory, or shrink the photos"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9\nmore"), "(RESOURCE_EXHAUSTED: 9). Fix: free memory"),
        (FileNotFoundError(2, "No such file"), "No such file). Fix: change to another folder"),
        (type("PanicException", (BaseException,), {})("bad"), "delfjax data: bad"),
        (type("KilledWorker", (Exception,), {})("bad"), "delfjax data: bad"),
        (DatasetError("first\n  second"), "delfjax data: first\n  second\n"),
    ],
)
def test_an_error_becomes_a_message(error, message, monkeypatch, capsys):
    def fail(options):
        raise error

    monkeypatch.setattr("delfjax.cli.data.data", fail)
    assert run("data", "list") == 1
    assert message in capsys.readouterr().err


# --- names


@given(st.text(st.characters(exclude_categories=())))
@settings(max_examples=300, deadline=None)
def test_any_name_can_be_shown(name):
    safe = printable(name)
    assert safe.isprintable()
    safe.encode("utf-8")
    page = _escape(name)
    assert not set("<>\"'") & set(page)
    page.encode("utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1", "cp1252"])
def test_any_name_can_be_printed(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    with contextlib.suppress(SystemExit):
        main(["--version"])  # makes the streams tolerant
    show("東京 \udcff \x1b[2J é")
    stream.flush()
    text = stream.buffer.getvalue()
    assert b"\x1b" not in text
    assert rb"\x1b[2J" in text
    assert rb"\udcff" in text


NAMES = [b"\xff\xfe.png", b"new\nline.png", b"\x1b[31mred.png", "東京.png".encode(), b"<b>&'\".png"]


@pytest.mark.skipif(sys.platform == "darwin", reason="file names must be UTF-8")
def test_photos_of_any_name(tmp_path, capsys, monkeypatch, tiny_network):
    folder = tmp_path / "photos"
    for number, name in enumerate((*NAMES, b"plain.png")):
        for label in "ab":
            save(folder / label / "x.png", draw(10 * number + ord(label)))
            os.rename(folder / label / "x.png", os.path.join(os.fsencode(folder / label), name))
    store = tmp_path / "store"
    assert run("extract", folder, store, *MODEL[:4], "--dimensions", 8) == 0
    capsys.readouterr()
    query = os.fsdecode(os.path.join(os.fsencode(folder / "a"), NAMES[0]))
    search = "search", store, query, "--neighbors", 20, *MODEL[4:]
    assert run(*search, "--json", tmp_path / "x.json") == 0
    out = capsys.readouterr().out
    assert rb"a/\udcff\udcfe.png".decode() in out
    assert r"new\nline.png" in out
    assert "\x1b" not in out
    page = tmp_path / "page.html"
    evaluate = "evaluate", folder, *MODEL, "--dimensions", 8, "--neighbors", 20, "--page", page
    assert run(*evaluate) == 0
    text = page.read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert r"\udcff\udcfe.png" in text
    assert "<b>" not in text
    (folder / "a" / "broken\x1b.png").write_text("no photo")
    assert run("extract", folder, store, *MODEL[:4], "--dimensions", 8) == 3
    assert "\x1b" not in "".join(capsys.readouterr())


def test_an_error_in_another_encoding(tmp_path):
    """Run in a process of its own: the encoding belongs to the process."""
    command = [sys.executable, "-m", "delfjax", "table", "--results", b"no\xff\n\x1b"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict", "DELFJAX_CACHE": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith(rb"delfjax table: no\udcff\n\x1b: the folder has no results")


# --- extract


def test_extract_names_what_has_changed(tmp_path, capsys, monkeypatch, tiny_network):
    photos = classes(tmp_path / "photos", count=2, views=3)
    other = save(tmp_path / "other" / "other.png", draw(77)).parent
    command = "extract", photos.root, tmp_path / "store", *MODEL[:4], "--dimensions", 8
    assert run(*command) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'store'}: 6 added, 0 changed, 0 kept, 0 failed, 0 gone"
    assert lines == ["added    a/0.png, a/1.png, a/2.png, b/0.png, b/1.png, b/2.png"]
    assert run("extract", other, *command[2:]) == 0
    capsys.readouterr()
    photos.path("a/0.png").unlink()
    save(photos.path("a/1.png"), draw(99))
    for number in range(12):
        save(photos.root / f"new{number:02}.png", draw(number))
    assert run(*command) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith(": 12 added, 1 changed, 4 kept, 0 failed, 1 gone")
    named = ", ".join(f"new{number:02}.png" for number in range(10))
    assert lines[0] == f"added    {named} and 2 more"
    assert lines[1] == "changed  a/1.png"
    assert lines[3] == "gone     a/0.png"
    assert "Fix: add --prune" in lines[4]
    from delfjax.features.store import FeatureStore

    assert "a/0.png" in FeatureStore(tmp_path / "store")
    monkeypatch.setattr(Extractor, "_launch", None)  # nothing is left to extract
    assert run(*command, "--prune") == 0
    assert "1 gone" in capsys.readouterr().out
    names = FeatureStore(tmp_path / "store").names
    assert "a/0.png" not in names
    assert "other.png" in names, "a photo of another folder"
    assert run(*command, "--prune") == 0
    assert "0 gone" in capsys.readouterr().out


# --- errors name the cause


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such model file"),
        (lambda path: path.mkdir(), "model.safetensors: not a model file"),
        (lambda path: path.touch(), "found an empty file"),
        (lambda path: os.mkfifo(path), "not a model file"),
    ],
)
def test_a_wrong_model_file_is_named(make, message, tmp_path, capsys):
    model = tmp_path / "model.safetensors"
    make(model)
    photo = save(tmp_path / "photo.png", draw(0))
    assert run("match", photo, photo, "--model", model) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert str(model) in error
