"""Blobs on disk: whole or not at all, verified, within limits, and what a full disk does to them."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.blobs import Blob, BlobDamaged, BlobMismatch, BlobMissing, BlobTooLarge, DiskBlobs
from zoo.disk import DiskFull
from zoo.documents_sqlite import SqliteDocuments

DATA = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(DATA).hexdigest()
SMALL_DISK_BYTES = 2 * 2**20

# Sends one chunk, says so, and then never ends: the test kills it in the middle of the write.
WRITER = """
import sys, threading
from pathlib import Path
from zoo.blobs import DiskBlobs

class Endless:
    def __init__(self):
        self.calls = 0
    def read(self, count):
        self.calls += 1
        if self.calls == 1:
            return b"x" * count
        print("writing", flush=True)
        threading.Event().wait()

DiskBlobs(Path(sys.argv[1])).put(Endless())
"""


READER = """
import sys
from pathlib import Path
from zoo.blobs import DiskBlobs
print(len(DiskBlobs(Path(sys.argv[1])).read(sys.argv[2])))
"""


class Failing(io.RawIOBase):
    """A connection that breaks after its first chunk."""

    def __init__(self) -> None:
        self.calls = 0

    def read(self, count: int = -1) -> bytes:
        self.calls += 1
        if self.calls > 1:
            raise ConnectionResetError("the client went away")
        return b"x" * count


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobs:
    return DiskBlobs(tmp_path / "blobs")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_put_is_read_back(blobs: DiskBlobs) -> None:
    blob = blobs.put(io.BytesIO(DATA))
    assert blob == Blob(SHA256, len(DATA))
    assert blobs.read(SHA256) == DATA
    assert blobs.size(SHA256) == len(DATA)
    assert blobs.path(SHA256).read_bytes() == DATA
    assert blobs.path(SHA256).relative_to(blobs.folder) == Path(SHA256[:2]) / SHA256
    with blobs.open(SHA256) as file:
        assert file.read(10) == DATA[:10]
        assert file.read() == DATA[10:]


def test_bytes_and_files_are_put_as_streams_are(blobs: DiskBlobs, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    assert blobs.put_file(tmp_path / "file") == blobs.put_bytes(DATA)
    assert files_under(blobs.folder) == [blobs.path(SHA256)]


def test_an_empty_blob_is_a_blob(blobs: DiskBlobs) -> None:
    assert blobs.read(blobs.put_bytes(b"").sha256) == b""


def test_another_process_finds_it(blobs: DiskBlobs) -> None:
    blobs.put_bytes(DATA)
    command = [sys.executable, "-c", READER, str(blobs.folder), SHA256]
    output = subprocess.run(command, capture_output=True, check=True)
    assert int(output.stdout) == len(DATA)


@pytest.mark.parametrize("sha256", ["0" * 64, "", "..", "../" * 21 + "a", SHA256.upper(), SHA256[:-1], SHA256 + "\n"])
def test_what_is_not_there_is_missing(blobs: DiskBlobs, sha256: str) -> None:
    blobs.put_bytes(DATA)
    assert not blobs.exists(sha256)
    for ask in (blobs.path, blobs.size, blobs.read, blobs.open, blobs.verify):
        with pytest.raises(BlobMissing) as caught:
            ask(sha256)
        assert caught.value.status == 404
    blobs.delete(sha256)
    assert blobs.exists(SHA256)


def test_delete_and_enumeration(blobs: DiskBlobs) -> None:
    stored = sorted(blobs.put_bytes(bytes([number])).sha256 for number in range(20))
    assert list(blobs.sha256s()) == stored
    blobs.delete(stored[3])
    blobs.delete(stored[3])
    assert list(blobs.sha256s()) == stored[:3] + stored[4:]


def test_a_limit_is_kept(blobs: DiskBlobs) -> None:
    assert blobs.put(io.BytesIO(DATA), limit=len(DATA)).size == len(DATA)
    blobs.delete(SHA256)
    with pytest.raises(BlobTooLarge) as caught:
        blobs.put(io.BytesIO(DATA), limit=len(DATA) - 1)
    assert caught.value.status == 413
    assert files_under(blobs.folder) == []


def test_an_announced_digest_is_checked(blobs: DiskBlobs) -> None:
    assert blobs.put(io.BytesIO(DATA), expected_sha256=SHA256).sha256 == SHA256
    with pytest.raises(BlobMismatch) as caught:
        blobs.put(io.BytesIO(DATA + b"!"), expected_sha256=SHA256)
    assert caught.value.status == 422
    assert files_under(blobs.folder) == [blobs.path(SHA256)]


def test_a_broken_connection_leaves_nothing(blobs: DiskBlobs) -> None:
    with pytest.raises(ConnectionResetError):
        blobs.put(Failing())  # type: ignore[arg-type]
    assert files_under(blobs.folder) == []


def test_a_killed_writer_leaves_no_blob_and_is_cleaned_up(blobs: DiskBlobs) -> None:
    command = [sys.executable, "-c", WRITER, str(blobs.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        # While it is at work no one cleans it away.
        assert DiskBlobs(blobs.folder).remove_stale() == 0
        writer.kill()
    left = files_under(blobs.folder)
    assert len(left) == 1
    assert list(blobs.sha256s()) == []
    yesterday = time.time() - 86400
    os.utime(left[0], (yesterday, yesterday))
    DiskBlobs(blobs.folder)
    assert files_under(blobs.folder) == []


@pytest.mark.parametrize(
    "damage", [DATA[:-1], DATA + b"!", b"", b"\xff" + DATA[1:]], ids=["cut", "long", "empty", "bit"]
)
def test_damage_is_noticed_and_repaired_by_storing_again(blobs: DiskBlobs, damage: bytes) -> None:
    blobs.put_bytes(DATA)
    blobs.path(SHA256).write_bytes(damage)
    with pytest.raises(BlobDamaged):
        blobs.read(SHA256)
    with pytest.raises(BlobDamaged):
        blobs.verify(SHA256)
    blobs.put_bytes(DATA)
    assert blobs.read(SHA256) == DATA


def test_the_floor_of_free_disk_is_kept(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path / "blobs", free_disk_bytes=2**62)
    with pytest.raises(DiskFull) as caught:
        blobs.put_bytes(DATA)
    assert (caught.value.status, caught.value.code) == (507, "storage-full")
    assert caught.value.hint
    assert files_under(blobs.folder) == []


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(small_disk: Path) -> None:
    blobs = DiskBlobs(small_disk)
    kept = blobs.put_bytes(b"kept")
    with pytest.raises(DiskFull):
        blobs.put_bytes(b"x" * (SMALL_DISK_BYTES + 1))
    assert files_under(small_disk) == [blobs.path(kept.sha256)]
    assert blobs.read(kept.sha256) == b"kept"
    assert blobs.put_bytes(b"y" * (SMALL_DISK_BYTES // 2)).size == SMALL_DISK_BYTES // 2


def test_the_floor_holds_on_a_real_disk(small_disk: Path) -> None:
    blobs = DiskBlobs(small_disk, free_disk_bytes=SMALL_DISK_BYTES // 2)
    with pytest.raises(DiskFull):
        blobs.put_bytes(b"x" * (SMALL_DISK_BYTES // 2 + 1))
    assert files_under(small_disk) == []
    blobs.put_bytes(b"x" * (SMALL_DISK_BYTES // 4))


def _fill(documents: SqliteDocuments) -> None:
    for number in range(100):
        documents.create("things", f"id{number}", {"text": "x" * 100_000})


def test_documents_on_a_full_disk_say_so_and_keep_what_they_have(small_disk: Path) -> None:
    documents = SqliteDocuments(small_disk / "documents.sqlite3")
    kept = documents.create("things", "kept", {"n": 1})
    with pytest.raises(DiskFull):
        _fill(documents)
    assert documents.get("things", "kept") == kept
    documents.close()
