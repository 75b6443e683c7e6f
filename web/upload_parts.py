"""Large files that arrive in parts: what has come stays, so that an upload that broke off goes on where it was.

A part is a file of the uploads folder, named by what it belongs to and by what its owner's file is; it is only ever
appended to, by one request at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from werkzeug.exceptions import ClientDisconnected

from zoo.blobs import BlobTooLarge
from zoo.disk import DiskFull, check_free, is_full
from zoo.errors import UserError
from zoo.settings import MIB

CHUNK_BYTES = 2**20
STALE_SECONDS = 3 * 24 * 3600.0
RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")


class BadRange(UserError):
    code = "bad-range"


class OtherOffset(UserError):
    """`received` bytes are there already: the upload goes on after them."""

    code = "upload-offset"
    status = 409

    def __init__(self, received: int) -> None:
        super().__init__(f"{received} bytes of this file have arrived.", "Send the rest, from there.")
        self.received = received


class UploadBusy(UserError):
    code = "upload-busy"
    status = 409


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `end` (exclusive) of a file of `total`; None: until the request's body ends."""

    start: int = 0
    end: int | None = None
    total: int | None = None


def read_range(header: str | None, length: int | None) -> Span:
    """Of a Content-Range, or of a request that sends the whole; raises BadRange."""
    if header is None:
        return Span(0, length, length)
    found = RANGE.fullmatch(header.strip())
    start, last, total = map(int, found.groups()) if found else (1, 0, 0)
    if not start <= last < total or (length is not None and length != last + 1 - start):
        raise BadRange(f"The Content-Range {header[:60]!r} is not one of this body.", "Write bytes 0-99/1000.")
    return Span(start, last + 1, total)


class Parts:
    """The parts in `folder`; `free_disk_bytes` of the disk always stay free."""

    def __init__(self, folder: Path, free_disk_bytes: int) -> None:
        self.folder = folder / "parts"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._free = free_disk_bytes

    def path(self, owner: str, key: str) -> Path:
        """Where the file `key` of `owner` (of safe characters) comes together."""
        return self.folder / f"{owner}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"

    def received(self, owner: str, key: str) -> int:
        with contextlib.suppress(FileNotFoundError):
            return self.path(owner, key).stat().st_size
        return 0

    @contextlib.contextmanager
    def appended(self, owner: str, key: str, stream: BinaryIO, span: Span, limit: int) -> Iterator[tuple[Path, bool]]:
        """Append a request's body; gives the file, and whether it is whole. It is locked meanwhile.

        Other files of the same owner are dropped. Raises OtherOffset, UploadBusy, BlobTooLarge and DiskFull; what has
        arrived stays then.
        """
        self.drop(owner, but=self.path(owner, key))
        if (span.total or 0) > limit:
            raise _too_large(limit)
        path = self.path(owner, key)
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UploadBusy("This file is being uploaded in another window.", "Let that one finish.") from None
            if span.end is None or span.total == span.end - span.start:
                file.truncate(0)
            size = file.seek(0, 2)
            if size != span.start:
                raise OtherOffset(size)
            size = self._copy(stream, file, size, limit)
            file.flush()
            yield path, size == (span.total if span.total is not None else size)

    def _copy(self, stream: BinaryIO, file: BinaryIO, size: int, limit: int) -> int:
        try:
            while chunk := stream.read(CHUNK_BYTES):
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                check_free(self.folder, len(chunk), self._free)
                file.write(chunk)
        except ClientDisconnected:
            pass  # nobody is left to be told; what came stays
        except OSError as error:
            if is_full(error):
                raise DiskFull(self.folder) from error
            raise
        return size

    def drop(self, owner: str, but: Path | None = None) -> None:
        """Forget what has come of the owner's files, and what nobody went on with for days."""
        now = time.time()
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                mine = path.name.startswith(f"{owner}-")
                if path != but and (mine or now - path.stat().st_mtime > STALE_SECONDS):
                    path.unlink()


def _too_large(limit: int) -> BlobTooLarge:
    return BlobTooLarge(f"The file is larger than the {limit / MIB:,.0f} MB that are allowed.", "Send a smaller one.")
