"""Archives: what is in them is unpacked, once, whole or not at all, and nowhere else than asked."""

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from delfjax.datasets import archives
from delfjax.datasets.archives import is_unpacked, unpack
from delfjax.datasets.benchmark import DatasetError
from delfjax.files import sha256

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


def zip_of(path, contents, *, mode=None, level=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", level) as archive:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = level
            if mode is not None:
                info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


def whole(kind, path):
    if kind == "zip":
        return zip_of(path / "a.zip", FILES)
    members = [regular(name, content) for name, content in FILES.items()]
    return tar(path / f"a.{kind}", members, "w:gz" if kind == "tgz" else "w")


def held(folder) -> dict[str, bytes]:
    """Read every visible file of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: content for name, content in names.items() if not name.startswith(".")}


def left_in(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


kinds = pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])


# What is unpacked


@kinds
def test_files_and_folders(tmp_path, kind):
    assert unpack(whole(kind, tmp_path), tmp_path / "new" / "folder")
    assert held(tmp_path / "new" / "folder") == FILES


@kinds
def test_flat(tmp_path, kind):
    unpack(whole(kind, tmp_path), tmp_path / "folder", flat=True)
    expected = {name.rpartition("/")[2]: content for name, content in FILES.items()}
    assert held(tmp_path / "folder") == expected


@kinds
def test_content_says_what_an_archive_is(tmp_path, kind):
    unpack(whole(kind, tmp_path).rename(tmp_path / "archive"), tmp_path / "folder")
    assert held(tmp_path / "folder") == FILES


def test_tar_that_ends_in_a_zip(tmp_path):
    inner = zip_of(tmp_path / "inner.zip", {"evil": b"x"}).read_bytes()
    unpack(tar(tmp_path / "a.tar", [regular("inner.zip", inner)]), tmp_path / "folder")
    assert held(tmp_path / "folder") == {"inner.zip": inner}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_forms_of_tar(tmp_path, form):
    name = "/".join(["a" * 90, "b" * (90 if form != tarfile.USTAR_FORMAT else 9)])
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        for member, content in (regular("./x"), regular(name), special("./", tarfile.DIRTYPE)):
            archive.addfile(member, io.BytesIO(content))
    unpack(tmp_path / "a.tar", tmp_path / "folder")
    assert held(tmp_path / "folder") == {"x": b"x", name: b"x"}


def test_rights_of_members_are_left_out(tmp_path):
    archive = tar(tmp_path / "a.tar", [regular("x", mode=0o4777), regular("y", mode=0)])
    unpack(archive, tmp_path / "folder")
    for name in "xy":
        mode = (tmp_path / "folder" / name).stat().st_mode
        assert not mode & (stat.S_ISUID | 0o111)
        assert mode & stat.S_IRUSR


# Once, and beside each other


def test_second_time_there_is_nothing_to_do(tmp_path):
    archive, folder = whole("tgz", tmp_path), tmp_path / "folder"
    assert unpack(archive, folder)
    assert is_unpacked(sha256(archive), folder)
    (folder / "readme.txt").unlink()
    assert not unpack(archive, folder)
    assert "readme.txt" not in held(folder)


def test_archives_share_a_folder(tmp_path):
    folder = tmp_path / "folder"
    unpack(tar(tmp_path / "1.tar", [regular("paris/a.jpg", b"1")]), folder)
    unpack(tar(tmp_path / "2.tar", [regular("paris/b.jpg", b"2")]), folder)
    assert held(folder) == {"paris/a.jpg": b"1", "paris/b.jpg": b"2"}


def test_what_a_killed_run_has_left_is_no_obstacle(tmp_path):
    archive, folder = whole("tar", tmp_path), tmp_path / "folder"
    (folder / f".unpacking-{sha256(archive)[:16]}" / "jpg").mkdir(parents=True)
    (folder / "jpg").mkdir()
    (folder / "jpg" / "a.jpg").write_bytes(FILES["jpg/a.jpg"])  # moved already
    unpack(archive, folder)
    assert held(folder) == FILES
    assert not [name for name in left_in(folder) if name.startswith(".unpacking")]


def test_another_file_is_never_overwritten(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "readme.txt").write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"readme\.txt: is there, but is not what"):
        unpack(whole("zip", tmp_path), folder)
    assert left_in(folder) == ["readme.txt"]
    assert held(folder) == {"readme.txt": b"mine"}


def test_file_in_the_place_of_a_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "jpg").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="jpg: is there, but is not what"):
        unpack(whole("zip", tmp_path), folder)
    assert left_in(folder) == ["jpg"]


@kinds
def test_links_in_the_folder_are_not_followed(tmp_path, kind):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "jpg").symlink_to(outside)
    with pytest.raises(DatasetError, match="jpg: is a link, where a file of an archive belongs"):
        unpack(whole(kind, tmp_path), folder)
    assert not held(outside)
    (folder / "jpg").unlink()
    (folder / "readme.txt").symlink_to(outside / "new.txt")
    with pytest.raises(DatasetError, match=r"readme\.txt: is a link"):
        unpack(whole(kind, tmp_path), folder)
    assert not held(outside)


def test_folder_may_itself_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "disk")
    unpack(whole("tar", tmp_path), tmp_path / "folder")
    assert held(tmp_path / "disk") == FILES


# What is refused


def refused(archive, match: str):
    """Check that an archive is refused, and that nothing is written anywhere."""
    here = archive.parent
    folder = here / "in" / "folder"
    before = {*left_in(here), "in", "in/folder"}
    with pytest.raises(DatasetError, match=match) as caught:
        unpack(archive, folder)
    assert archive.name in str(caught.value)
    assert set(left_in(here)) == before


NAMES = {
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


@kinds
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_that_lead_elsewhere(tmp_path, kind, name):
    if kind == "zip":
        archive = zip_of(tmp_path / "a.zip", {"good.jpg": b"x", name: b"x"})
    else:
        members = [regular("good.jpg"), regular(name)]
        archive = tar(tmp_path / f"a.{kind}", members, "w:gz" if kind == "tgz" else "w")
    refused(archive, "has a name|is no name for a file")
    assert not os.path.exists("/tmp/delfjax-evil")


@pytest.mark.parametrize("name", ["/tmp/delfjax-evil/", "../evil/", "a/../../evil/"])
def test_folders_that_lead_elsewhere(tmp_path, name):
    refused(zip_of(tmp_path / "a.zip", {name: b""}), "is no name for a file")
    refused(tar(tmp_path / "a.tar", [special(name, tarfile.DIRTYPE)]), "is no name for a file")


TRICKS = {
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


@pytest.mark.parametrize("members", TRICKS.values(), ids=TRICKS)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_is_neither_file_nor_folder_in_a_tar(tmp_path, members, mode):
    refused(
        tar(tmp_path / "a.tar", [regular("good"), *members], mode), "neither a regular file nor"
    )


def test_pax_sparse_file(tmp_path):
    fields = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1"}
    fields |= {"GNU.sparse.size": str(2**50)}
    member = regular("x", b"x", pax_headers=fields)
    refused(tar(tmp_path / "a.tar", [member]), "neither a regular file nor")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK])
def test_what_is_neither_file_nor_folder_in_a_zip(tmp_path, kind):
    archive = zip_of(tmp_path / "a.zip", {"x": b"/etc/passwd"}, mode=kind | 0o777)
    refused(archive, "neither a regular file nor")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_file_that_is_in_it_twice(tmp_path):
    refused(tar(tmp_path / "a.tar", [regular("x", b"1"), regular("./x", b"2")]), "is in it twice")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", b"1")
        archive.writestr("x", b"2")
    refused(tmp_path / "a.zip", "is in it twice")


def test_file_that_is_also_a_folder(tmp_path):
    refused(tar(tmp_path / "a.tar", [regular("x"), regular("x/y")]), "cannot be unpacked")


# Bombs


@kinds
def test_too_many_bytes(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1511)  # one less than they have
    refused(whole(kind, tmp_path), r"is more than an archive may hold \(.* and 1,511 bytes\)")


@kinds
def test_too_many_files(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    refused(whole(kind, tmp_path), r"is more than an archive may hold \(2 files and")


def test_file_of_a_size_that_is_not_there(tmp_path):
    member, _ = regular("x")
    member.size = archives.MAX_BYTES + 1
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    refused(tmp_path / "a.tar", "is more than an archive may hold")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_header_of_a_gigabyte(tmp_path, kind):
    # Some kilobytes, which tarfile would unpack into memory before anything could be checked.
    header, _ = regular("x", type=kind)
    header.size = 2**30
    with gzip.open(tmp_path / "a.tgz", "wb") as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    refused(tmp_path / "a.tgz", "a header of 1,073,741,824 bytes; expected at most 16,000,000")


def test_padding_without_end(tmp_path):
    with gzip.open(tmp_path / "a.tgz", "wb") as stream:
        stream.write(whole("tar", tmp_path).read_bytes())
        stream.write(bytes(archives.MAX_READ))
    refused(tmp_path / "a.tgz", "the tar's end has no end")


def test_headers_without_end(tmp_path):
    header, _ = regular("x", b"", type=tarfile.XHDTYPE)
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) * 3000)
    refused(tmp_path / "a.tar", "cannot be unpacked")


def test_zip_whose_files_overlap(tmp_path, monkeypatch):
    # One content, listed many times: each is small, all together are not.
    monkeypatch.setattr(archives, "MAX_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x0", bytes(1000))
        first = archive.infolist()[0]
        for number in range(1, 50):
            info = zipfile.ZipInfo(f"x{number}")
            for field in ("CRC", "compress_size", "file_size", "header_offset"):
                setattr(info, field, getattr(first, field))
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
    refused(tmp_path / "a.zip", "cannot be unpacked|is more than an archive may hold")


def test_zip_that_lies_about_its_size(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"x": bytes(100_000)})
    true, lie = (100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(true, lie))
    refused(archive, "cannot be unpacked")


# Damage


@kinds
def test_cut_short(tmp_path, kind):
    archive = whole(kind, tmp_path)
    content = archive.read_bytes().rstrip(b"\0")  # a tar ends in zeros
    for cut in {0, 1, 3, *range(0, len(content), max(1, len(content) // 40))}:
        archive.write_bytes(content[:cut])
        refused(archive, "cannot be unpacked")


def test_tar_cut_between_two_files(tmp_path):
    # Python's reader takes this for a whole one.
    archive = tar(tmp_path / "a.tar", [regular("x"), regular("y")])
    archive.write_bytes(archive.read_bytes()[:1024])
    with tarfile.open(archive) as file:
        assert file.getnames() == ["x"]
    refused(archive, "the tar has no end")


def test_damaged_header(tmp_path):
    # And so this.
    archive = tar(tmp_path / "a.tar", [regular("x"), regular("y")])
    content = bytearray(archive.read_bytes())
    content[1024 + 5] ^= 1
    archive.write_bytes(content)
    refused(archive, "the tar has no end")


def test_damaged_photo_in_a_zip(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"x": b"x" * 1000}, level=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"xxxx", b"xxyx", 1))
    refused(archive, "cannot be unpacked")


def test_damaged_gzip(tmp_path):
    archive = whole("tgz", tmp_path)
    content = bytearray(archive.read_bytes())
    content[-6] ^= 1  # of the checksum
    archive.write_bytes(content)
    refused(archive, "cannot be unpacked")


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"Rar!\x1a\x07\x00" * 200])
def test_file_that_is_no_archive(tmp_path, content):
    (tmp_path / "a.tgz").write_bytes(content)
    refused(tmp_path / "a.tgz", r"expected a whole tar, tar\.gz or zip\. Remove it and fetch")


def test_missing_archive(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.tar: cannot be unpacked \(.*No such file"):
        unpack(tmp_path / "none.tar", tmp_path / "folder")


def test_full_disk(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives.shutil, "copyfileobj", full)
    refused(whole("tar", tmp_path), "no room on the disk to unpack it; free some")


def test_interrupted(tmp_path, monkeypatch):
    def interrupted(source, target):
        raise KeyboardInterrupt

    archive, folder = whole("tar", tmp_path), tmp_path / "folder"
    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, folder)
    assert left_in(folder) == []
    unpack(archive, folder)
    assert held(folder) == FILES


def test_python_without_filters(tmp_path, monkeypatch):
    # 3.11.0 to 3.11.3 have none: nothing may depend on it.
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    for name, members in TRICKS.items():
        (tmp_path / name).mkdir()
        refused(tar(tmp_path / name / "a.tar", members), "neither a regular file nor")
    for number, name in enumerate(NAMES.values()):
        (tmp_path / str(number)).mkdir()
        refused(tar(tmp_path / str(number) / "a.tar", [regular(name)]), "name")
