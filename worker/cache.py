"""Packages and inputs a worker has downloaded, named by sha256, with the least recently used dropped first."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from worker.client import CHUNK_BYTES, SchedulerClient
from zoo.errors import Unavailable, ZooscopeError


class WorkerDiskFull(Unavailable):
    code = "worker-disk-full"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The worker's disk is full: {what} could not be stored.",
            "Try again later; the operator must free disk space for the worker.",
        )


class DamagedDownload(ZooscopeError):
    code = "damaged-download"

    def __init__(self, sha256: str) -> None:
        super().__init__(f"The file {sha256[:12]}… arrived damaged from the scheduler.", "Run the job again.")


class BlobCache:
    """Files below `folder`, named by sha256, at most `limit_bytes` together, but for those of the job at hand."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._verified: dict[str, tuple[int, int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob("*.part"):
            left_over.unlink()

    def fetch(self, client: SchedulerClient, sha256s: Iterable[str]) -> list[Path]:
        """Files of these sha256s, downloading what is missing. Raises what the client raises, `WorkerDiskFull`,
        `DamagedDownload`."""
        wanted = list(sha256s)
        return [self._held(sha256) or self._download(client, sha256, wanted) for sha256 in wanted]

    def _held(self, sha256: str) -> Path | None:
        path = self.folder / sha256
        try:
            mark = _mark(path)
            if self._verified.get(sha256) != mark:
                if _file_sha256(path) != sha256:
                    path.unlink()
                    return None
                self._verified[sha256] = mark
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def _download(self, client: SchedulerClient, sha256: str, wanted: list[str]) -> Path:
        try:
            path = self._write(client, sha256)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._drop(0, wanted)
            path = self._write_on_full_disk(client, sha256)
        self._drop(self.limit_bytes, wanted)
        return path

    def _write_on_full_disk(self, client: SchedulerClient, sha256: str) -> Path:
        try:
            return self._write(client, sha256)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise WorkerDiskFull("a file of the job") from error

    def _write(self, client: SchedulerClient, sha256: str) -> Path:
        path, part = self.folder / sha256, self.folder / f"{sha256}.part"
        digest = hashlib.sha256()
        try:
            with client.blob(sha256) as chunks, part.open("wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != sha256:
                raise DamagedDownload(sha256)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        self._verified[sha256] = _mark(path)
        return path

    def _drop(self, limit_bytes: int, keep: list[str]) -> None:
        files = [(path.stat(), path) for path in self.folder.iterdir() if path.name not in keep]
        kept_bytes = sum((self.folder / name).stat().st_size for name in keep if (self.folder / name).exists())
        total = kept_bytes + sum(stat.st_size for stat, _ in files)
        for stat, path in sorted(files, key=lambda item: item[0].st_mtime_ns):
            if total <= limit_bytes:
                return
            path.unlink()
            self._verified.pop(path.name, None)
            total -= stat.st_size


def _mark(path: Path) -> tuple[int, int, int]:
    # Not the modification time, which marks the last use; the change of size or inode betrays a replaced file.
    stat = path.stat()
    return stat.st_size, stat.st_ino, stat.st_dev


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
