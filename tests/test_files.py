"""Check atomic writes, the cleaning of leftovers, claimed folders, locks and checksums."""

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from delfjax import files
from delfjax.files import (
    Lock,
    StoreError,
    atomic_write,
    claim_folder,
    digest,
    sha256,
)

SETTINGS = {"rate": 0.1, "scales": (1, 2)}


def test_atomic_write_replaces_the_file(tmp_path):
    path = tmp_path / "result.json"
    for text in ("old", "new"):
        with atomic_write(path) as temporary:
            temporary.write_text(text)
            assert temporary.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_write_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "result.json"
    path.write_text("old")

    def write():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_the_same_file_do_not_share_a_temporary_file(tmp_path):
    path = tmp_path / "result.json"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "the last one to finish wins"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_claimed_for_one_configuration(tmp_path):
    path = tmp_path / "new" / "run"
    for _ in range(2):
        found = claim_folder(path, "manifest.json", SETTINGS, kind="training run")
        assert found == {"rate": 0.1, "scales": [1, 2]}
    with pytest.raises(StoreError, match=r"run was made with rate = 0.1, but 0.2 was requested"):
        claim_folder(path, "manifest.json", SETTINGS | {"rate": 0.2}, kind="training run")
    with pytest.raises(StoreError, match=r"made with seed = None, but 1 was requested"):
        claim_folder(path, "manifest.json", SETTINGS | {"seed": 1}, kind="training run")


def test_folder_with_other_files_is_refused_but_leftovers_are_ignored(tmp_path):
    (tmp_path / ".manifest.json.0123.part").touch()
    claim_folder(tmp_path, "manifest.json", SETTINGS, kind="training run")
    (tmp_path / "manifest.json").rename(tmp_path / "notes.txt")
    with pytest.raises(StoreError, match="neither empty nor a training run"):
        claim_folder(tmp_path, "manifest.json", SETTINGS, kind="training run")


def test_of_two_starts_with_other_settings_one_is_refused(tmp_path, monkeypatch):
    """Both processes find an empty folder, and then claim it."""
    path, both = tmp_path / "run", threading.Barrier(2)
    make_folder, outcomes = Path.mkdir, []

    def wait_for_the_other(self, **options):
        both.wait(60)
        make_folder(self, **options)

    def claim(rate):
        try:
            outcomes.append(claim_folder(path, "run.json", {"rate": rate}, kind="training run"))
        except StoreError as error:
            outcomes.append(str(error))

    monkeypatch.setattr(Path, "mkdir", wait_for_the_other)
    threads = [threading.Thread(target=claim, args=(rate,)) for rate in (0.1, 0.2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (claimed,) = [each for each in outcomes if isinstance(each, dict)]
    (refused,) = [each for each in outcomes if isinstance(each, str)]
    assert f"made with rate = {claimed['rate']}, but" in refused


def test_folder_that_another_process_fills_meanwhile_is_not_refused(tmp_path, monkeypatch):
    def claim_first(self):
        monkeypatch.undo()
        claim_folder(tmp_path, "run.json", SETTINGS, kind="training run")
        (tmp_path / "states").mkdir()
        return self.iterdir()

    monkeypatch.setattr(Path, "iterdir", claim_first)
    claim_folder(tmp_path, "run.json", SETTINGS, kind="training run")


@pytest.mark.skipif(files.fcntl is None, reason="other locks on Windows")
def test_a_lock_that_cannot_be_taken_names_the_cause(tmp_path, monkeypatch):
    def fail(stream, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "flock", fail)
    with pytest.raises(OSError, match=r"No locks available; expected a folder .*lock'"):
        Lock(tmp_path / "lock", wait=60)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_lock_that_is_no_file_is_refused(tmp_path, make):
    make(tmp_path / "lock")
    with pytest.raises(StoreError, match="lock is not a regular file"):
        Lock(tmp_path / "lock")


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(StoreError, match="lock is not a regular file"):
        Lock(tmp_path / "lock")
    assert not (tmp_path / "target").exists()


def test_lock_is_exclusive_until_released(tmp_path):
    lock = Lock(tmp_path / "lock")
    with pytest.raises(StoreError, match="held by another process"):
        Lock(tmp_path / "lock")
    lock.release()
    Lock(tmp_path / "lock").release()


def test_checksums_equal_those_of_hashlib(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert sha256(tmp_path / "file") == digest(b"content") == hashlib.sha256(b"content").hexdigest()
