"""Two replicas of the scheduler side by side, each with its own connections, on one data folder and one beanstalkd."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import greenstalk
import pytest
from flask import Flask
from scheduler_parts import Parts, Worker

from scheduler import contract
from scheduler.api import create_blueprint
from scheduler.service import Scheduler
from zoo.blobs import DiskBlobs
from zoo.documents_sqlite import SqliteDocuments
from zoo.secrets import worker_token

NewWorker = Callable[[str], Worker]
ROUNDS = 150
# Stores a blob, refers to it in a document, and looks whether it is there; then lets go of it and starts again.
KEEPER = """
import sys
from pathlib import Path
from zoo.blob_lock import BlobLock
from zoo.blobs import DiskBlobs
from zoo.documents_sqlite import SqliteDocuments

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
documents, blobs = SqliteDocuments(folder / "documents.sqlite3"), DiskBlobs(folder / "blobs")
lock, lost = BlobLock(blobs.folder), 0
for number in range(rounds):
    with lock:
        sha256 = blobs.put_bytes(b"wanted by the one, garbage to the other").sha256
        documents.create("images", f"image-{number}", {"sha256": sha256})
    lost += not blobs.exists(sha256)
    documents.delete("images", f"image-{number}")
print(lost)
"""


@pytest.fixture
def other(parts: Parts) -> Iterator[Parts]:
    """The other replica: nothing in memory is shared."""
    documents, blobs = SqliteDocuments(parts.settings.documents_file), DiskBlobs(parts.settings.blobs_folder)
    other = replace(parts, documents=documents, blobs=blobs, scheduler=Scheduler(documents, blobs, parts.settings))
    yield other
    other.scheduler.close()
    documents.close()


@pytest.fixture
def at(parts: Parts, other: Parts) -> Callable[[int, str], Worker]:
    """A worker that speaks to the first (0) or the second (1) replica; the same one wherever its name is the same."""
    clients = []
    for replica in (parts, other):
        app = Flask("test")
        app.register_blueprint(create_blueprint(replica.scheduler))
        clients.append(app.test_client)
    return lambda number, name="w1": Worker(clients[number](), worker_token(parts.settings), name)


def test_an_attempt_may_wander_between_replicas(parts: Parts, other: Parts, at: Callable[..., Worker]) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    here, there = at(0), at(1)
    claim = there.claim()
    assert here.say(contract.START, claim).status_code == 200
    progress = {"stage": "inferring", "fraction": 0.5, "message": ""}
    assert there.say(contract.PROGRESS, claim, progress=progress).status_code == 200
    assert here.say(contract.LOG, claim, sequence=0, text="one\n").status_code == 200
    assert there.say(contract.LOG, claim, sequence=1, text="two\n").status_code == 200
    assert there.say(contract.LOG, claim, sequence=0, text="one\n").status_code == 200
    assert here.say(contract.EXTEND, claim).status_code == 200
    assert there.upload(claim, "overlay.png", b"an overlay").status_code == 200
    assert here.result(claim, {"overlay.png": b"an overlay"}).status_code == 200
    assert there.result(claim, {"overlay.png": b"an overlay"}).status_code == 200
    for replica in (parts, other):
        assert replica.job(uuid)["state"] == "done"
        assert replica.scheduler.log_text(uuid) == "one\ntwo\n"
    assert [line["what"] for line in parts.job(uuid)["history"]].count("done") == 1


def test_a_cancel_at_one_stops_the_worker_at_the_other(parts: Parts, other: Parts, at: Callable[..., Worker]) -> None:
    uuid = parts.submit()
    claim = at(0).begin()
    other.scheduler.cancel(uuid)
    progress = {"stage": "inferring", "fraction": 0.5, "message": ""}
    assert at(0).say(contract.PROGRESS, claim, progress=progress).status_code == 410


def test_who_watches_at_one_hears_what_happens_at_the_other(
    parts: Parts, other: Parts, at: Callable[..., Worker]
) -> None:
    uuid = parts.submit()
    heard: list[str] = []
    before = parts.scheduler.revision(uuid)

    def watch() -> None:
        job = parts.scheduler.events.wait(uuid, before, 20.0)
        heard.append(job["state"] if job else "nothing")

    watching = threading.Thread(target=watch)
    watching.start()
    other.scheduler.cancel(uuid)
    watching.join()
    assert heard == ["cancelled"]


def test_both_recover_at_once_and_no_job_runs_twice(
    parts: Parts, other: Parts, at: Callable[..., Worker], bare: greenstalk.Client
) -> None:
    """Two replicas find the same entries lost; of the two that they put, one is done and the other goes."""
    uuids = {parts.submit(estimate_seconds=30.0) for _ in range(6)}
    for _ in uuids:
        bare.watch(parts.job(next(iter(uuids)))["queue"]["tube"])
        bare.delete(bare.reserve(timeout=0))
    with ThreadPoolExecutor(2) as pool:
        for recovered in [pool.submit(replica.scheduler.maintenance.recover) for replica in (parts, other)]:
            recovered.result()

    def work(number: int) -> list[str]:
        worker, done = at(number % 2, f"w{number}"), []
        while (claim := worker.reserve(1.0)) is not None:
            assert worker.say(contract.START, claim).status_code == 200
            assert worker.finish(claim, claim.uuid.encode()).status_code == 200
            done.append(claim.uuid)
        return done

    with ThreadPoolExecutor(4) as pool:
        done = [uuid for one in pool.map(work, range(4)) for uuid in one]
    assert sorted(done) == sorted(uuids)
    assert sum(bare.stats()[f"current-jobs-{state}"] for state in ("ready", "delayed", "reserved", "buried")) == 0


def test_many_workers_at_two_replicas_do_every_job_once(
    parts: Parts, other: Parts, at: Callable[..., Worker], bare: greenstalk.Client
) -> None:
    def submit(number: int) -> str:
        return (parts, other)[number % 2].submit(owner=f"owner-{number % 3}", estimate_seconds=30.0)

    def work(number: int) -> list[str]:
        done, idle = [], 0
        while idle < 2:
            # Every message to the other replica than the one before it.
            first, second = at(number % 2, f"w{number}"), at((number + 1) % 2, f"w{number}")
            claim = first.reserve(1.0)
            if claim is None:
                idle += 1
                continue
            assert second.say(contract.START, claim).status_code == 200
            assert first.say(contract.LOG, claim, sequence=0, text="x\n").status_code == 200
            assert second.upload(claim, "overlay.png", claim.uuid.encode()).status_code == 200
            assert first.result(claim, {"overlay.png": claim.uuid.encode()}).status_code == 200
            done.append(claim.uuid)
        return done

    with ThreadPoolExecutor(12) as pool:
        working = [pool.submit(work, number) for number in range(6)]
        uuids = sorted(pool.map(submit, range(18)))
        done = sorted(uuid for one in working for uuid in one.result())
    assert done == uuids
    assert {other.job(uuid)["state"] for uuid in uuids} == {"done"}
    assert {other.scheduler.log_text(uuid) for uuid in uuids} == {"x\n"}


def test_two_drains_of_one_log_keep_all_of_it(parts: Parts, other: Parts, at: Callable[..., Worker]) -> None:
    """Each replica takes its own part of what lies in the tube; neither overwrites what the other has kept."""
    uuid = parts.submit(estimate_seconds=30.0)
    claim = at(0).begin()
    texts = [f"line {number}\n" for number in range(20)]
    both = threading.Barrier(2)

    def keep(replica: Parts, mine: list[str]) -> None:
        for text in mine:
            both.wait(10)
            replica.scheduler._logs._keep(uuid, text)

    with ThreadPoolExecutor(2) as pool:
        for kept in (pool.submit(keep, parts, texts[:10]), pool.submit(keep, other, texts[10:])):
            kept.result()
    kept = parts.blobs.read(parts.job(uuid)["log_sha256"]).decode()
    assert sorted(kept.splitlines(keepends=True)) == sorted(texts)
    at(1).finish(claim)
    assert set(parts.blobs.sha256s()) >= {parts.job(uuid)["log_sha256"]}


def test_a_blob_that_one_replica_wants_is_never_removed_by_another(parts: Parts) -> None:
    """The one keeps storing and referring to a blob, the other keeps taking the same bytes for garbage."""
    garbage = parts.blobs.put_bytes(b"wanted by the one, garbage to the other").sha256
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(parts.settings.data), str(ROUNDS)], stdout=subprocess.PIPE, text=True
    ) as keeper:
        removed = 0
        while keeper.poll() is None:
            parts.scheduler.forget_blob(garbage)
            removed += not parts.blobs.exists(garbage)
            time.sleep(0)
        assert keeper.communicate()[0] == "0\n"
    assert removed, "it was never garbage"
