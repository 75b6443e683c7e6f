"""Zip archives from strangers: refused before anything in them is read when they could do harm.

The checks follow what package indexes learnt (see also zip slip, zip bombs and parser differentials): only stored or
deflated members, plain relative names, no links, no encryption, bounded count, size and ratio, nothing before or
after the archive, and local headers that say the same as the central directory.
"""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from zoo.errors import UserError

MAXIMUM_MEMBERS = 1000
MAXIMUM_RATIO = 100
RATIO_APPLIES_ABOVE = 16 * 2**20
MAXIMUM_NAME = 200
END_RECORD = struct.Struct("<4s4H2LH")
END_RECORD_64, LOCATOR_SIZE = struct.Struct("<4sQ2H2L4Q"), 20
# The directory of as many files as are allowed, with long names; above it is read no further.
MAXIMUM_DIRECTORY = 2**20
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
FLAG_ENCRYPTED, FLAG_DATA_DESCRIPTOR = 0x1, 0x8


class PackageInvalid(UserError):
    code = "package-invalid"
    status = 422


class ArchiveRefused(UserError):
    code = "archive-refused"
    status = 422


def _refuse(reason: str) -> ArchiveRefused:
    return ArchiveRefused(
        f"This archive is not accepted: {reason}.", "Make the package again with bioimageio.spec or a plain zip tool."
    )


def check_archive(path: Path, maximum_bytes: int) -> None:
    """Raise `ArchiveRefused` unless the zip at `path` is safe to read and unpacks to at most `maximum_bytes`."""
    if not zipfile.is_zipfile(path):
        raise _refuse("it is not a zip file")
    check_directory(path)
    if tarfile.is_tarfile(path):
        raise _refuse("it is a zip and a tar file at once")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError) as error:
        raise _refuse(f"it is damaged ({error})") from error
    if len(members) > MAXIMUM_MEMBERS:
        raise _refuse(f"it holds {len(members)} files, more than {MAXIMUM_MEMBERS}")
    _check_sizes(members, maximum_bytes)
    seen: set[str] = set()
    for member in members:
        _check_member(member)
        if member.filename.casefold() in seen:
            raise _refuse(f"it holds {member.filename!r} twice")
        seen.add(member.filename.casefold())
    _check_layout(path, members)


def check_directory(path: Path) -> None:
    """Raise `ArchiveRefused` for a zip of too many files, told by its end record: a directory of a million takes a
    gigabyte to read."""
    with path.open("rb") as file:
        tail = b""
        if path.stat().st_size >= END_RECORD.size:
            file.seek(-min(path.stat().st_size, END_RECORD.size + LOCATOR_SIZE + END_RECORD_64.size), 2)
            tail = file.read()
    if tail[-END_RECORD.size :][:4] != b"PK\x05\x06":
        raise _refuse("there is something after its end")
    _, _, _, _, members, size, _, _ = END_RECORD.unpack(tail[-END_RECORD.size :])
    if tail[-END_RECORD.size - LOCATOR_SIZE :][:4] == b"PK\x06\x07":
        # What readers believe when both are there.
        if tail[:4] != b"PK\x06\x06" or len(tail) < END_RECORD.size + LOCATOR_SIZE + END_RECORD_64.size:
            raise _refuse("its end record is damaged")
        _, _, _, _, _, _, _, members, size, _ = END_RECORD_64.unpack(tail[: END_RECORD_64.size])
    if members > MAXIMUM_MEMBERS or size > MAXIMUM_DIRECTORY:
        raise _refuse(f"it holds {members} files, more than {MAXIMUM_MEMBERS}, or names too long to list")


def _check_sizes(members: list[zipfile.ZipInfo], maximum_bytes: int) -> None:
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if unpacked > maximum_bytes:
        raise _refuse(f"it unpacks to {unpacked / 2**20:.0f} MiB, more than {maximum_bytes / 2**20:.0f} MiB")
    if unpacked > RATIO_APPLIES_ABOVE and unpacked > MAXIMUM_RATIO * max(1, packed):
        raise _refuse("it unpacks to over a hundred times its size")


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name).parts
    if not name or len(name) > MAXIMUM_NAME or any(ord(character) < 32 for character in name):
        raise _refuse(f"the file name {name!r} is not plain")
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts or member.orig_filename != name:
        raise _refuse(f"the file name {name!r} leaves the archive's folder")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refuse(f"{name!r} is a link or a device")
    if member.flag_bits & FLAG_ENCRYPTED:
        raise _refuse(f"{name!r} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refuse(f"{name!r} is compressed in a way other than deflate")


def _check_layout(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Members lie one after another from the first byte, and their local headers agree with the directory."""
    expected = 0
    with path.open("rb") as file:
        for member in sorted(members, key=lambda member: member.header_offset):
            if member.header_offset != expected:
                raise _refuse("there are bytes between its files, or files that overlap")
            file.seek(expected)
            header = file.read(LOCAL_HEADER.size)
            if len(header) < LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
                raise _refuse(f"{member.filename!r} has no header of its own")
            fields = LOCAL_HEADER.unpack(header)
            name = file.read(fields[9])
            encoding = "utf-8" if fields[2] & 0x800 else "cp437"
            if name.decode(encoding, "replace") != member.filename:
                raise _refuse(f"{member.filename!r} has another name in its own header")
            if not fields[2] & FLAG_DATA_DESCRIPTOR and (
                fields[7] not in (member.compress_size, 0xFFFFFFFF) or fields[8] not in (member.file_size, 0xFFFFFFFF)
            ):
                raise _refuse(f"{member.filename!r} has another size in its own header")
            expected += LOCAL_HEADER.size + fields[9] + fields[10] + member.compress_size
            if fields[2] & FLAG_DATA_DESCRIPTOR:
                expected += _descriptor_size(file, expected)


def _descriptor_size(file: BinaryIO, offset: int) -> int:
    """A data descriptor is 12 or 16 bytes (24 with zip64), told by its optional signature and what follows."""
    file.seek(offset)
    tail = file.read(28)
    for size in (16, 12, 24, 20):
        if tail[size : size + 2] == b"PK":
            return size
    return 16
