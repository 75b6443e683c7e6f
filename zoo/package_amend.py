"""Changing what a package says: its description is written anew, every other file keeps its bytes.

Files that stay are copied as they lie in the zip, packed, so that a package of any size is changed in little memory and
in the time it takes to copy it.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from zoo.package_archive import PackageInvalid

CHUNK = 2**20
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
# The same files make the same package: every entry has this time.
EPOCH = (1980, 1, 1, 0, 0, 0)
DESCRIPTION = "rdf.yaml"
DESCRIPTIONS = (DESCRIPTION, "bioimageio.yaml")
COVER_BYTES = 500_000


def amend(
    package: Path,
    out: Path,
    *,
    ert: Mapping[str, Any] | None = None,
    cover: Path | None = None,
    cover_before: Path | None = None,
    test_input: Path | None = None,
    test_output: Path | None = None,
    version: str | None = None,
    words: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    zooscope: Mapping[str, Any] | None = None,
    bioimageio: Mapping[str, Any] | None = None,
    card: str | None = None,
) -> Path:
    """Write the package at `package` to `out`, another path, with what is given in place of what it says; returns it.

    `ert` is `config.zooscope.ert`; `about`, `zooscope` and `bioimageio` are laid over those parts of the config,
    `words` over the top of the description. Covers and test tensors are files, taken in in place of those it has.
    Raises `PackageInvalid` when the package has no description. The package must have been checked.
    """
    with zipfile.ZipFile(package) as archive:
        name = next((name for name in DESCRIPTIONS if name in archive.namelist()), None)
        if name is None:
            raise PackageInvalid("The package has no rdf.yaml.", "Make it with bioimageio.spec.")
        raw: dict[str, Any] = yaml.safe_load(archive.read(name))
    raw.update(words or {})
    if version is not None:
        raw["version"] = version
    config = raw.setdefault("config", {})
    for key, value in (("zooscope", zooscope), ("bioimageio", bioimageio)):
        if value:
            config[key] = (config.get(key) or {}) | dict(value)
    for key, value in (("ert", ert), ("about", about)):
        if value is not None:
            config["zooscope"] = (config.get("zooscope") or {}) | {key: dict(value)}
    new: dict[str, Path | bytes] = {}
    replaced = _take_files(raw, new, cover, cover_before, test_input, test_output)
    if card is not None:
        replaced.add(_source(raw.get("documentation")))
        new["README.md"] = card.encode()
        raw["documentation"] = {"source": "README.md", "sha256": hashlib.sha256(card.encode()).hexdigest()}
    write(out, {name: describe(raw)} | new, keep=package, without=replaced - _named(raw))
    return out


def describe(raw: Mapping[str, Any]) -> bytes:
    """A description as its file holds it."""
    return yaml.safe_dump(dict(raw), sort_keys=False, allow_unicode=True, width=120).encode()


def _take_files(
    raw: dict[str, Any], new: dict[str, Path | bytes], cover: Path | None, before: Path | None,
    test_input: Path | None, test_output: Path | None,
) -> set[str]:  # fmt: skip
    """Name the files in the description, enter them in `new`, and return the names of those they stand in for."""
    replaced: set[str] = set()
    if cover is not None:
        replaced |= {_source(one) for one in raw.get("covers") or []}
        covers = [(f"cover{cover_suffix(cover)}", cover)]
        covers += [(f"cover_before{cover_suffix(before)}", before)] if before is not None else []
        raw["covers"] = [_reference(name, path) for name, path in covers]
        new.update(covers)
    for place, path, name in (("inputs", test_input, "test_input.npy"), ("outputs", test_output, "test_output.npy")):
        if path is not None:
            replaced.add(_source(raw[place][0].get("test_tensor")))
            raw[place][0]["test_tensor"] = _reference(name, path)
            new[name] = path
    return replaced - {""}


def cover_suffix(path: Path) -> str:
    """Blobs have no names: what a picture begins with tells what it is."""
    with path.open("rb") as file:
        return ".jpg" if file.read(2) == b"\xff\xd8" else ".png"


def _reference(name: str, path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return {"source": name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _source(node: Any) -> str:
    node = node.get("source") if isinstance(node, dict) else node
    return node if isinstance(node, str) else ""


def _named(node: Any) -> set[str]:
    """Every text of a description: a file whose name is among them stays."""
    if isinstance(node, dict):
        return set().union(*(_named(value) for value in node.values())) if node else set()
    if isinstance(node, list):
        return set().union(*(_named(value) for value in node)) if node else set()
    return {node} if isinstance(node, str) else set()


def write(
    out: Path,
    new: Mapping[str, Path | bytes],
    keep: Path | None = None,
    without: Collection[str] = (),
) -> None:
    """A zip of `new` files, in their order, and those of the zip `keep` that are not among them or in `without`.

    Written beside `out` and renamed: whole or not at all.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=".package-", delete=False) as file:
        temporary = Path(file.name)
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in new.items():
                _add(target, name, content)
            if keep is not None:
                _copy(keep, target, {*new, *without})
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def _add(target: zipfile.ZipFile, name: str, content: Path | bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    if isinstance(content, bytes):
        target.writestr(entry, content)
        return
    # Networks are numbers, which hardly shrink.
    if content.stat().st_size > 16 * CHUNK or name.endswith((".png", ".jpg", ".keras")):
        entry.compress_type = zipfile.ZIP_STORED
    entry.file_size = content.stat().st_size
    with content.open("rb") as source, target.open(entry, "w") as into:
        shutil.copyfileobj(source, into, CHUNK)


def _copy(keep: Path, target: zipfile.ZipFile, without: set[str]) -> None:
    """Files of a zip into another one, packed as they are."""
    with zipfile.ZipFile(keep) as archive, keep.open("rb") as source:
        for entry in archive.infolist():
            if entry.filename in without or entry.is_dir():
                continue
            source.seek(entry.header_offset)
            header = LOCAL_HEADER.unpack(source.read(LOCAL_HEADER.size))
            source.seek(header[9] + header[10], 1)
            copied = zipfile.ZipInfo(entry.filename, EPOCH)
            copied.external_attr = 0o644 << 16
            copied.compress_type, copied.CRC = entry.compress_type, entry.CRC
            copied.compress_size, copied.file_size = entry.compress_size, entry.file_size
            _append(target, copied, source)


def _append(target: Any, entry: zipfile.ZipInfo, source: BinaryIO) -> None:
    """What `ZipFile.open(…, "w")` does around a file that it packs, around one that is packed already."""
    entry.header_offset = target.fp.tell()
    target.fp.write(entry.FileHeader(False))
    left = entry.compress_size
    while left:
        chunk = source.read(min(CHUNK, left))
        if not chunk:
            raise PackageInvalid("The package is shorter than it says.", "Upload it again.")
        target.fp.write(chunk)
        left -= len(chunk)
    target.filelist.append(entry)
    target.NameToInfo[entry.filename] = entry
    target.start_dir = target.fp.tell()
    target._didModify = True
