"""The worker's cache: downloads once, verifies, drops the least recently used, survives a full disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from plant import TOKEN, Plant

from worker.cache import BlobCache, WorkerDiskFull
from worker.client import Refused, SchedulerClient


@pytest.fixture
def client(lasting_plant: Plant) -> Iterator[SchedulerClient]:
    # Blobs are given out only while a job needs them.
    uuid = lasting_plant.submit()
    client = SchedulerClient(lasting_plant.server, TOKEN)
    yield client
    client.close()
    lasting_plant.scheduler.cancel(uuid)


@pytest.fixture
def nobody() -> Iterator[SchedulerClient]:
    """A client that fails when used: what is fetched with it must be in the cache."""
    client = SchedulerClient("http://127.0.0.1:9", TOKEN)
    yield client
    client.close()


def test_a_file_is_downloaded_once(
    lasting_plant: Plant, client: SchedulerClient, nobody: SchedulerClient, tmp_path: Path
) -> None:
    cache = BlobCache(tmp_path / "cache", 2**30)
    wanted = [lasting_plant.package, lasting_plant.input]
    paths = cache.fetch(client, wanted)
    assert [path.read_bytes() for path in paths] == [lasting_plant.blobs.read(sha256) for sha256 in wanted]
    assert cache.fetch(nobody, wanted) == paths
    assert BlobCache(tmp_path / "cache", 2**30).fetch(nobody, wanted) == paths
    assert {path.name for path in (tmp_path / "cache").iterdir()} == set(wanted)


def test_a_damaged_file_is_fetched_again(lasting_plant: Plant, client: SchedulerClient, tmp_path: Path) -> None:
    (path,) = BlobCache(tmp_path, 2**30).fetch(client, [lasting_plant.input])
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"!")
    (tmp_path / "torn.part").write_bytes(b"left by a crash")
    (again,) = BlobCache(tmp_path, 2**30).fetch(client, [lasting_plant.input])
    assert again.read_bytes() == good
    assert list(tmp_path.iterdir()) == [again]


def test_the_least_recently_used_go_first(lasting_plant: Plant, client: SchedulerClient, tmp_path: Path) -> None:
    old, older, kept = (tmp_path / (letter * 64) for letter in "abc")
    for age, path in ((100, old), (200, older), (50, kept)):
        path.write_bytes(bytes(1000))
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    size = lasting_plant.blobs.size(lasting_plant.input)
    cache = BlobCache(tmp_path, size + 1000)
    (path,) = cache.fetch(client, [lasting_plant.input])
    assert set(tmp_path.iterdir()) == {path, kept}
    tight = BlobCache(tmp_path, 1)
    assert {file.name for file in tight.fetch(client, [lasting_plant.package, lasting_plant.input])} == {
        file.name for file in tmp_path.iterdir()
    }, "the files of the job at hand stay, whatever the limit"


def test_an_unknown_file_is_refused(client: SchedulerClient, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        BlobCache(tmp_path, 2**30).fetch(client, ["0" * 64])
    assert refused.value.status == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_is_emptied_then_named(lasting_plant: Plant, client: SchedulerClient, tmp_path: Path) -> None:
    size = lasting_plant.blobs.size(lasting_plant.package)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={(size // 4096 + 3) * 4}k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        folder = tmp_path / "cache"
        cache = BlobCache(folder, 2**30)
        (folder / ("a" * 64)).write_bytes(bytes(size // 2))
        (path,) = cache.fetch(client, [lasting_plant.package])
        assert list(folder.iterdir()) == [path], "what was cached before made room"
        path.unlink()
        (tmp_path / "of-somebody-else").write_bytes(bytes(size // 2))
        with pytest.raises(WorkerDiskFull) as full:
            cache.fetch(client, [lasting_plant.package])
        assert "disk is full" in full.value.message
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
