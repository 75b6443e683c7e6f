"""Blobs: files named by their sha256, on disk, published by rename and verified on read.

`<folder>/<first two digits>/<sha256>`; what is being written lies in `<folder>/incoming` under a random name.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from zoo.disk import DiskFull, check_free, is_full
from zoo.errors import UserError, ZooscopeError
from zoo.identifiers import is_sha256, new_uuid

CHUNK = 2**20
INCOMING = "incoming"
# A writer touches its file with every chunk; one that did not for this long is dead.
STALE_SECONDS = 3600.0

__all__ = ["Blob", "BlobDamaged", "BlobMismatch", "BlobMissing", "BlobTooLarge", "DiskBlobs", "DiskFull"]


class BlobMissing(UserError):
    code = "blob-missing"
    status = 404


class BlobTooLarge(UserError):
    code = "too-large"
    status = 413


class BlobMismatch(UserError):
    code = "digest-mismatch"
    status = 422


class BlobDamaged(ZooscopeError):
    code = "blob-damaged"

    def __init__(self, sha256: str) -> None:
        super().__init__(
            f"The stored file {sha256} is damaged: its bytes are no longer those it was stored with.",
            "Store it again, which repairs it, or restore it from a backup.",
        )


@dataclass(frozen=True)
class Blob:
    """What was stored: its sha256 as 64 hexadecimal digits and its size in bytes."""

    sha256: str
    size: int


class DiskBlobs:
    """Blobs in `folder`, shared by threads and processes; `free_disk_bytes` of the disk always stay free."""

    def __init__(self, folder: Path, free_disk_bytes: int = 0) -> None:
        self.folder = Path(folder)
        self.free_disk_bytes = free_disk_bytes
        self._incoming = self.folder / INCOMING
        self._incoming.mkdir(parents=True, exist_ok=True)
        # Folders of which this process knows that they themselves are on the disk.
        self._synced: set[Path] = set()
        self.remove_stale()

    def put(
        self,
        stream: BinaryIO,
        *,
        limit: int | None = None,
        expected_sha256: str | None = None,
        publishing: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> Blob:
        """Store what `stream` gives until its end, whole or not at all; the same bytes twice are stored once.

        What has arrived is published inside `publishing()`, which may hold a lock, or raise: then nothing is stored.
        Raises `BlobTooLarge` beyond `limit` bytes, `BlobMismatch` when the digest is not `expected_sha256`,
        `DiskFull` when the disk or its floor is reached. Whatever is raised, nothing is left behind.
        """
        temporary = self._incoming / new_uuid()
        try:
            blob = self._receive(stream, temporary, limit)
            if expected_sha256 is not None and blob.sha256 != expected_sha256:
                raise BlobMismatch(
                    "The file that arrived is not the file that was announced: its sha256 differs.", "Send it again."
                )
            with publishing():
                self._publish(temporary, blob.sha256)
        except OSError as error:
            if is_full(error):
                raise DiskFull(self.folder) from error
            raise
        finally:
            temporary.unlink(missing_ok=True)
        return blob

    def put_bytes(self, data: bytes) -> Blob:
        """Store `data`; raises `DiskFull`."""
        return self.put(io.BytesIO(data))

    def put_file(self, path: Path) -> Blob:
        """Store a copy of the file at `path`; raises `DiskFull`."""
        with Path(path).open("rb") as stream:
            return self.put(stream)

    def exists(self, sha256: str) -> bool:
        return is_sha256(sha256) and self._place(sha256).is_file()

    def size(self, sha256: str) -> int:
        """Bytes of a blob; raises `BlobMissing`."""
        if is_sha256(sha256):
            with contextlib.suppress(FileNotFoundError):
                return self._place(sha256).stat().st_size
        return self.path(sha256).stat().st_size

    def path(self, sha256: str) -> Path:
        """Where a blob lies, to be read only; its bytes are not verified. Raises `BlobMissing`."""
        if not self.exists(sha256):
            raise BlobMissing(f"There is no stored file {sha256[:64]!r}.", "It may have been deleted; make it again.")
        return self._place(sha256)

    def open(self, sha256: str) -> BinaryIO:
        """The bytes of a blob in order; reading its end raises `BlobDamaged` when they are not what was stored."""
        return io.BufferedReader(_VerifiedFile(self.path(sha256), sha256), CHUNK)

    def read(self, sha256: str) -> bytes:
        """All bytes of a blob, verified; raises `BlobMissing` or `BlobDamaged`."""
        with self.open(sha256) as file:
            return file.read()

    def verify(self, sha256: str) -> None:
        """Read a blob through; raises `BlobMissing` or `BlobDamaged`."""
        with self.open(sha256) as file:
            while file.read(CHUNK):
                pass

    def delete(self, sha256: str) -> None:
        """Remove a blob; one that is not there is no error."""
        if is_sha256(sha256):
            self._place(sha256).unlink(missing_ok=True)

    def sha256s(self) -> Iterator[str]:
        """The sha256 of every blob, in order."""
        for shard in sorted(self.folder.iterdir()):
            if len(shard.name) == 2:
                yield from sorted(file.name for file in shard.iterdir() if is_sha256(file.name))

    def older_than(self, seconds: float) -> Iterator[str]:
        """The sha256 of every blob that was stored, or stored again, longer ago than that, in order."""
        for sha256 in self.sha256s():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - self._place(sha256).stat().st_mtime > seconds:
                    yield sha256

    def remove_stale(self, older_than_seconds: float = STALE_SECONDS) -> int:
        """Remove what dead writers left in `incoming`; returns how many files."""
        removed = 0
        for file in self._incoming.iterdir():
            # Another process may be removing the same file, or its writer just published it.
            with contextlib.suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > older_than_seconds:
                    file.unlink()
                    removed += 1
        return removed

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def _receive(self, stream: BinaryIO, temporary: Path, limit: int | None) -> Blob:
        digest, size = hashlib.sha256(), 0
        with temporary.open("xb") as out:
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                if limit is not None and size > limit:
                    raise BlobTooLarge(
                        f"The file is larger than the {limit:,} bytes that are allowed.", "Send a smaller one."
                    )
                check_free(self.folder, len(chunk), self.free_disk_bytes)
                digest.update(chunk)
                out.write(chunk)
        return Blob(digest.hexdigest(), size)

    def _publish(self, temporary: Path, sha256: str) -> None:
        place = self._place(sha256)
        place.parent.mkdir(exist_ok=True)
        # Renamed even onto a blob that is there already: that repairs a damaged one. A good one must not be replaced by
        # one that a power cut may still cut short.
        if there := place.exists():
            _sync(temporary)
        temporary.replace(place)
        try:
            # After the renaming, because a journal takes both to the disk at once: the folder then costs little more.
            _sync(place)
            _sync(place.parent)
            if place.parent not in self._synced:
                _sync(self.folder)
                self._synced.add(place.parent)
        except OSError:
            if not there:
                place.unlink(missing_ok=True)
            raise


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _VerifiedFile(io.RawIOBase):
    """A file read from its beginning to its end, hashed on the way."""

    def __init__(self, path: Path, sha256: str) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._sha256 = sha256
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer) or 0
        self._digest.update(buffer[:count])
        if count == 0 and self._digest.hexdigest() != self._sha256:
            raise BlobDamaged(self._sha256)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
