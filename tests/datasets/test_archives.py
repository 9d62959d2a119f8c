"""Archives: unpacked once, completely or not at all, and only below the destination folder."""

import gzip
import io
import os
import stat
import tarfile

import pytest

from delfjax.datasets import archives
from delfjax.datasets.archives import is_unpacked, unpack
from delfjax.datasets.benchmark import DatasetError

FILES = {"jpg/a.jpg": b"a" * 1000, "jpg/sub/b.jpg": b"b" * 512, "readme.txt": b""}


def regular(name: str, content: bytes = b"x", **fields) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def special(name: str, kind: bytes, linkname: str = "") -> tuple[tarfile.TarInfo, bytes]:
    return regular(name, b"", type=kind, linkname=linkname)


def tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def make_archive(kind, folder):
    members = [regular(name, content) for name, content in FILES.items()]
    return tar(folder / f"a.{kind}", members, "w:gz" if kind == "tgz" else "w")


def contents(folder) -> dict[str, bytes]:
    """Return the content of every file that is not hidden."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: content for name, content in names.items() if not name.startswith(".")}


def all_paths(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


each_kind = pytest.mark.parametrize("kind", ["tar", "tgz"])


# --- valid archives


@each_kind
def test_files_and_folders(tmp_path, kind):
    unpack(make_archive(kind, tmp_path), tmp_path / "new" / "folder")
    assert contents(tmp_path / "new" / "folder") == FILES


@each_kind
def test_flat(tmp_path, kind):
    unpack(make_archive(kind, tmp_path), tmp_path / "folder", flat=True)
    expected = {name.rpartition("/")[2]: content for name, content in FILES.items()}
    assert contents(tmp_path / "folder") == expected


@each_kind
def test_the_content_determines_the_format(tmp_path, kind):
    unpack(make_archive(kind, tmp_path).rename(tmp_path / "archive"), tmp_path / "folder")
    assert contents(tmp_path / "folder") == FILES


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats_of_tar(tmp_path, form):
    name = "/".join(["a" * 90, "b" * (90 if form != tarfile.USTAR_FORMAT else 9)])
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        for member, content in (regular("./x"), regular(name), special("./", tarfile.DIRTYPE)):
            archive.addfile(member, io.BytesIO(content))
    unpack(tmp_path / "a.tar", tmp_path / "folder")
    assert contents(tmp_path / "folder") == {"x": b"x", name: b"x"}


def test_permissions_of_members_are_ignored(tmp_path):
    archive = tar(tmp_path / "a.tar", [regular("x", mode=0o4777), regular("y", mode=0)])
    unpack(archive, tmp_path / "folder")
    for name in "xy":
        mode = (tmp_path / "folder" / name).stat().st_mode
        assert not mode & (stat.S_ISUID | 0o111)
        assert mode & stat.S_IRUSR


# --- repeated and neighboring archives


def test_an_archive_that_is_unpacked_twice(tmp_path):
    archive, folder = make_archive("tgz", tmp_path), tmp_path / "folder"
    assert not is_unpacked("a.tgz", folder)
    unpack(archive, folder)
    assert is_unpacked("a.tgz", folder)
    before = contents(folder)
    unpack(archive, folder)
    assert contents(folder) == before


def test_archives_can_share_a_folder(tmp_path):
    folder = tmp_path / "folder"
    unpack(tar(tmp_path / "1.tar", [regular("paris/a.jpg", b"1")]), folder)
    unpack(tar(tmp_path / "2.tar", [regular("paris/b.jpg", b"2")]), folder)
    assert contents(folder) == {"paris/a.jpg": b"1", "paris/b.jpg": b"2"}


def test_leftovers_of_a_killed_run_are_replaced(tmp_path):
    archive, folder = make_archive("tar", tmp_path), tmp_path / "folder"
    (folder / ".unpacking-a.tar" / "jpg").mkdir(parents=True)
    (folder / "jpg").mkdir()
    (folder / "jpg" / "a.jpg").write_bytes(FILES["jpg/a.jpg"])  # a file that was already moved
    unpack(archive, folder)
    assert contents(folder) == FILES
    assert not [name for name in all_paths(folder) if name.startswith(".unpacking")]


def test_a_different_file_is_not_overwritten(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "readme.txt").write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"readme\.txt: exists and differs"):
        unpack(make_archive("tar", tmp_path), folder)
    assert all_paths(folder) == ["readme.txt"]
    assert contents(folder) == {"readme.txt": b"mine"}


def test_a_file_in_the_place_of_a_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "jpg").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="jpg: exists and differs"):
        unpack(make_archive("tar", tmp_path), folder)
    assert all_paths(folder) == ["jpg"]


@each_kind
def test_links_in_the_folder_are_not_followed(tmp_path, kind):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "jpg").symlink_to(outside)
    with pytest.raises(DatasetError, match="jpg: is a link; expected a file or folder, as in"):
        unpack(make_archive(kind, tmp_path), folder)
    assert not contents(outside)
    (folder / "jpg").unlink()
    (folder / "readme.txt").symlink_to(outside / "new.txt")
    with pytest.raises(DatasetError, match=r"readme\.txt: is a link"):
        unpack(make_archive(kind, tmp_path), folder)
    assert not contents(outside)


def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "disk")
    unpack(make_archive("tar", tmp_path), tmp_path / "folder")
    assert contents(tmp_path / "disk") == FILES


# --- refused archives


def expect_error(archive, match: str):
    """Check that an archive is refused, and that no file is written anywhere."""
    root = archive.parent
    folder = root / "in" / "folder"
    before = {*all_paths(root), "in", "in/folder"}
    with pytest.raises(DatasetError, match=match) as caught:
        unpack(archive, folder)
    assert archive.name in str(caught.value)
    assert set(all_paths(root)) == before


INVALID_NAMES = {
    "absolute": "/tmp/delfjax-evil",
    "doubly absolute": "//tmp/delfjax-evil",
    "parent": "../evil",
    "parent within": "a/../../evil",
    "parent at the end": "a/..",
    "drive": "C:/evil",
    "drive and backslash": "C:\\evil",
    "backslashes": "..\\..\\evil",
    "share": "\\\\host\\evil",
    "stream of Windows": "a.jpg:evil",
    "line break": "a\nb.jpg",
    "escape": "a\x1b[2J.jpg",
    "marks": ".unpacked/0123",
    "place aside": ".unpacking-0123/x",
    "marks below": "jpg/.unpacked",
}


@each_kind
@pytest.mark.parametrize("name", INVALID_NAMES.values(), ids=INVALID_NAMES)
def test_names_that_lead_out_of_the_folder(tmp_path, kind, name):
    members = [regular("good.jpg"), regular(name)]
    archive = tar(tmp_path / f"a.{kind}", members, "w:gz" if kind == "tgz" else "w")
    expect_error(archive, "has a name that is reserved|is not a valid path")
    assert not os.path.exists("/tmp/delfjax-evil")


@pytest.mark.parametrize("name", ["/tmp/delfjax-evil/", "../evil/", "a/../../evil/"])
def test_empty_folders_are_not_created(tmp_path, name):
    archive = tar(tmp_path / "a.tar", [special(name, tarfile.DIRTYPE), regular("good.jpg")])
    unpack(archive, tmp_path / "in" / "folder")
    assert contents(tmp_path / "in" / "folder") == {"good.jpg": b"x"}
    assert not list(tmp_path.rglob("evil"))
    assert not os.path.exists("/tmp/delfjax-evil")


SPECIAL_MEMBERS = {
    "symbolic link": [special("x", tarfile.SYMTYPE, "target")],
    "link out, and a file through it": [special("x", tarfile.SYMTYPE, ".."), regular("x/evil")],
    "absolute link": [special("x", tarfile.SYMTYPE, "/etc"), regular("x/passwd")],
    "hard link": [regular("a"), special("x", tarfile.LNKTYPE, "a")],
    "hard link out": [special("x", tarfile.LNKTYPE, "../a.tar")],
    "fifo": [special("x", tarfile.FIFOTYPE)],
    "character device": [special("x", tarfile.CHRTYPE)],
    "block device": [special("x", tarfile.BLKTYPE)],
    "sparse file": [special("x", tarfile.GNUTYPE_SPARSE)],
}


@pytest.mark.parametrize("members", SPECIAL_MEMBERS.values(), ids=SPECIAL_MEMBERS)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_that_are_neither_file_nor_folder(tmp_path, members, mode):
    expect_error(
        tar(tmp_path / "a.tar", [regular("good"), *members], mode), "neither a regular file nor"
    )


def test_pax_sparse_file(tmp_path):
    fields = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1"}
    fields |= {"GNU.sparse.size": str(2**50)}
    member = regular("x", b"x", pax_headers=fields)
    expect_error(tar(tmp_path / "a.tar", [member]), "neither a regular file nor")


def test_a_duplicate_file(tmp_path):
    members = [regular("x", b"1"), regular("./x", b"2")]
    expect_error(tar(tmp_path / "a.tar", members), "has the same path as an earlier member")


def test_a_file_that_is_also_a_folder(tmp_path):
    expect_error(tar(tmp_path / "a.tar", [regular("x"), regular("x/y")]), "cannot be unpacked")


# --- archives that are too large


@each_kind
def test_too_many_bytes(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1511)  # one less than they have
    expect_error(make_archive(kind, tmp_path), "exceeds the limit of .* and 1,511 bytes")


@each_kind
def test_too_many_files(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    expect_error(make_archive(kind, tmp_path), "exceeds the limit of 2 files and")


def test_too_many_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 9)
    member = tarfile.TarInfo("folder")
    member.type = tarfile.DIRTYPE
    (tmp_path / "a.tar").write_bytes(10 * member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    expect_error(tmp_path / "a.tar", "'folder' .*No file was unpacked")


def test_a_stated_size_above_the_limit(tmp_path):
    member, _ = regular("x")
    member.size = archives.MAX_BYTES + 1
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    expect_error(tmp_path / "a.tar", "exceeds the limit of")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_a_gigabyte(tmp_path, kind):
    # A few kilobytes that tarfile would unpack into memory before anything could be checked.
    header, _ = regular("x", type=kind)
    header.size = 2**30
    with gzip.open(tmp_path / "a.tgz", "wb") as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    expect_error(tmp_path / "a.tgz", "a header of 1,073,741,824 bytes; expected at most 16,000,000")


def test_endless_padding(tmp_path):
    with gzip.open(tmp_path / "a.tgz", "wb") as stream:
        stream.write(make_archive("tar", tmp_path).read_bytes())
        stream.write(bytes(archives.MAX_READ))
    expect_error(tmp_path / "a.tgz", "more than 16,000,000 bytes follow the end")


def test_endless_headers(tmp_path):
    header, _ = regular("x", b"", type=tarfile.XHDTYPE)
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) * 3000)
    expect_error(tmp_path / "a.tar", "cannot be unpacked")


# --- damaged archives


@each_kind
def test_a_truncated_archive(tmp_path, kind):
    archive = make_archive(kind, tmp_path)
    content = archive.read_bytes().rstrip(b"\0")  # a tar ends in zeros
    for cut in {0, 1, 3, *range(0, len(content), max(1, len(content) // 40))}:
        archive.write_bytes(content[:cut])
        expect_error(archive, "cannot be unpacked")


def test_a_tar_that_is_cut_between_two_files(tmp_path):
    # Python's reader accepts this as complete.
    archive = tar(tmp_path / "a.tar", [regular("x"), regular("y")])
    archive.write_bytes(archive.read_bytes()[:1024])
    with tarfile.open(archive) as file:
        assert file.getnames() == ["x"]
    expect_error(archive, "the end of the tar is missing")


def test_a_damaged_header(tmp_path):
    # Python's reader accepts this as complete, too.
    archive = tar(tmp_path / "a.tar", [regular("x"), regular("y")])
    content = bytearray(archive.read_bytes())
    content[1024 + 5] ^= 1
    archive.write_bytes(content)
    expect_error(archive, "the end of the tar is missing")


def test_a_damaged_gzip(tmp_path):
    archive = make_archive("tgz", tmp_path)
    content = bytearray(archive.read_bytes())
    content[-6] ^= 1  # of the checksum
    archive.write_bytes(content)
    expect_error(archive, "cannot be unpacked")


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"Rar!\x1a\x07\x00" * 200])
def test_a_file_that_is_not_an_archive(tmp_path, content):
    (tmp_path / "a.tgz").write_bytes(content)
    expect_error(
        tmp_path / "a.tgz", r"expected a complete tar or tar\.gz archive\. Fix: remove this file"
    )


def test_a_missing_archive(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.tar: cannot be unpacked \(.*No such file"):
        unpack(tmp_path / "none.tar", tmp_path / "folder")


def test_a_full_disk(tmp_path, monkeypatch):
    def fill_disk(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives.shutil, "copyfileobj", fill_disk)
    expect_error(make_archive("tar", tmp_path), "No space left on device.*Fix: free disk space")


def test_a_keyboard_interrupt(tmp_path, monkeypatch):
    def stop(source, target):
        raise KeyboardInterrupt

    archive, folder = make_archive("tar", tmp_path), tmp_path / "folder"
    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "copyfileobj", stop)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, folder)
    assert all_paths(folder) == []
    unpack(archive, folder)
    assert contents(folder) == FILES


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("n" * 300,)])
def test_names_that_no_folder_can_hold_are_no_matter_of_permissions(tmp_path, names):
    archive = tar(tmp_path / "a.tar", [regular(name) for name in names])
    with pytest.raises(DatasetError, match=r"unpack .* by hand") as caught:
        unpack(archive, tmp_path / "out")
    assert "permission" not in str(caught.value)
