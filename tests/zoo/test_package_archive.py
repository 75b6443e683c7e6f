"""Hostile archives (security.md 34 to 39)."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from zoo.package_archive import MAXIMUM_MEMBERS, ArchiveRefused, check_archive

LIMIT = 2**26


def plain(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", "type: model\n")
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_member(path: Path, info: zipfile.ZipInfo, data: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, data)
    return path


def test_a_plain_archive_passes(tmp_path: Path) -> None:
    check_archive(plain(tmp_path / "a.zip", readme=b"hello"), LIMIT)


def test_an_archive_written_as_a_stream_passes(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, file):
            self.file = file

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

    with (tmp_path / "a.zip").open("wb") as file, zipfile.ZipFile(Pipe(file), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", "type: model\n")
        archive.writestr("b.txt", "text")
    check_archive(tmp_path / "a.zip", LIMIT)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "C:x", "a\nb", "n" * 300])
def test_34_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveRefused):
        check_archive(with_member(tmp_path / "a.zip", zipfile.ZipInfo(name)), LIMIT)


def test_34_backslashes(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.zip", **{"a_b": b"1"})
    path.write_bytes(path.read_bytes().replace(b"a_b", b"a\\b"))
    with pytest.raises(ArchiveRefused, match="leaves"):
        check_archive(path, LIMIT)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_34_links_and_devices(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    with pytest.raises(ArchiveRefused, match="link or a device"):
        check_archive(with_member(tmp_path / "a.zip", info), LIMIT)


def test_35_a_bomb_by_ratio(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="hundred times"):
        check_archive(plain(tmp_path / "a.zip", zeros=bytes(20 * 2**20)), LIMIT)


def test_35_a_bomb_by_size(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="unpacks to"):
        check_archive(plain(tmp_path / "a.zip", zeros=bytes(2**20)), 2**19)


def test_35_members_that_overlap(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.zip", one=b"1111", two=b"2222")
    data = bytearray(path.read_bytes())
    entries = [index for index in range(len(data)) if data[index : index + 4] == b"PK\x01\x02"]
    first_offset = data[entries[1] + 42 : entries[1] + 46]
    data[entries[2] + 42 : entries[2] + 46] = first_offset
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused):
        check_archive(path, LIMIT)


def test_36_duplicate_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("A", "2")
    with pytest.raises(ArchiveRefused, match="twice"):
        check_archive(tmp_path / "a.zip", LIMIT)


@pytest.mark.parametrize("where", ["before", "after"])
def test_36_data_around_the_archive(tmp_path: Path, where: str) -> None:
    path = plain(tmp_path / "a.zip")
    data = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\n" + data if where == "before" else data + b"trailing")
    with pytest.raises(ArchiveRefused):
        check_archive(path, LIMIT)


def test_36_local_and_central_names_differ(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.zip", good=b"1")
    path.write_bytes(path.read_bytes().replace(b"good", b"evil", 1))
    with pytest.raises(ArchiveRefused, match="another name"):
        check_archive(path, LIMIT)


def test_36_local_and_central_sizes_differ(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 22, 5)
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match="another size"):
        check_archive(path, LIMIT)


def test_37_encrypted_members(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    for flags in (6, central + 8):
        data[flags] |= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match="encrypted"):
        check_archive(path, LIMIT)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_37_other_compressions(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a", "1" * 100)
    with pytest.raises(ArchiveRefused, match="other than deflate"):
        check_archive(tmp_path / "a.zip", LIMIT)


def test_38_zip_and_tar_at_once(tmp_path: Path) -> None:
    inner = plain(tmp_path / "inner.zip")
    with tarfile.open(tmp_path / "a.zip", "w") as archive:
        archive.add(inner, "inner.zip")
    both = (tmp_path / "a.zip").read_bytes().rstrip(b"\0") + inner.read_bytes()
    (tmp_path / "a.zip").write_bytes(both)
    with pytest.raises(ArchiveRefused):
        check_archive(tmp_path / "a.zip", LIMIT)


def test_39_too_many_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for index in range(MAXIMUM_MEMBERS + 1):
            archive.writestr(str(index), b"")
    with pytest.raises(ArchiveRefused, match="more than"):
        check_archive(tmp_path / "a.zip", LIMIT)


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x05\x06", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ArchiveRefused):
        check_archive(tmp_path / "a.zip", LIMIT)
