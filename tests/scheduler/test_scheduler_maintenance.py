"""Looking after what crashes left: when it is done, in pieces, and what it does without."""

from __future__ import annotations

import os

import greenstalk
import pytest
from scheduler_parts import Brokers, Parts, Worker

from scheduler import contract
from scheduler.jobs import handle_of
from scheduler.maintenance import COUNT_EVERY_SECONDS


def lose(parts: Parts, bare: greenstalk.Client, *uuids: str) -> None:
    for uuid in uuids:
        handle = handle_of(parts.job(uuid))
        assert handle is not None
        bare.delete(handle.job_id)


def test_while_all_are_busy_entries_that_are_missing_are_found_by_counting(
    parts: Parts, bare: greenstalk.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    maintenance = parts.scheduler.maintenance
    maintenance.run_if_due(idle=False)
    uuids = [parts.submit(owner) for owner in ("ada", "ben", "cid")]
    lose(parts, bare, uuids[1])
    maintenance.run_if_due(idle=False)
    assert bare.stats()["current-jobs-ready"] == 2, "it is not yet time to count"
    maintenance._looked_at -= COUNT_EVERY_SECONDS
    maintenance.run_if_due(idle=False)
    assert bare.stats()["current-jobs-ready"] == 3

    maintenance._looked_at -= COUNT_EVERY_SECONDS
    with monkeypatch.context() as patched:
        patched.setattr(maintenance, "recover", lambda seconds: pytest.fail("nothing is missing"))
        maintenance.run_if_due(idle=False)


def test_many_jobs_are_looked_at_piece_by_piece(
    parts: Parts, bare: greenstalk.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuids = [parts.submit(f"owner-{number}") for number in range(4)]
    lose(parts, bare, *uuids)
    monkeypatch.setattr("scheduler.maintenance.PIECE_SECONDS", -1.0)
    for found in (1, 2, 3, 4):
        parts.scheduler.maintenance.run_if_due(idle=True)
        assert bare.stats()["current-jobs-ready"] == found
    parts.scheduler.maintenance.run_if_due(idle=False)
    assert parts.scheduler.maintenance._scan is not None, "the next worker who waits goes on"


def test_without_a_broker_it_is_put_off(parts: Parts, brokers: Brokers, worker: Worker) -> None:
    uuid = parts.submit()
    brokers.kill()
    parts.scheduler.maintenance.run_if_due(idle=True)
    brokers.start(binlog=False)
    parts.scheduler.maintenance._looked_at -= COUNT_EVERY_SECONDS
    assert worker.claim().uuid == uuid


def test_buried_jobs_outlive_a_broker_that_lost_its_binlog(parts: Parts, brokers: Brokers, worker: Worker) -> None:
    uuid = parts.submit()
    for _ in range(parts.settings.attempts):
        said = worker.say(contract.FAIL, worker.begin(), code="boom", message="It broke.", retry=True)
        assert said.status_code == 200
    brokers.kill()
    brokers.start(binlog=False)
    assert [job.id for job in parts.scheduler.buried().items] == [uuid]
    parts.scheduler.kick(uuid)
    assert worker.finish(worker.begin()).status_code == 200
    assert parts.scheduler.buried().total == 0


def test_a_failure_that_was_cut_off_before_its_entry_followed_is_tried_again_in_time(
    parts: Parts, worker: Worker, bare: greenstalk.Client
) -> None:
    """The worker that told it is gone as well: only the entry, delayed for a long lease, is left."""
    uuid = parts.submit(estimate_seconds=1000.0)
    claim = worker.begin()
    before = handle_of(parts.job(uuid))
    assert before is not None
    assert worker.say(contract.FAIL, claim, code="boom", message="It broke.", retry=True).status_code == 200
    bare.release(bare.reserve_job(before.job_id), priority=0, delay=1000)
    parts.scheduler.maintenance.recover()
    assert worker.claim().attempt == 2


def store_long_ago(parts: Parts, data: bytes) -> str:
    sha256 = parts.blobs.put_bytes(data).sha256
    os.utime(parts.blobs.path(sha256), (1.0, 1.0))
    return sha256


def test_blobs_that_no_document_knows_of_are_removed_when_they_are_old(parts: Parts, worker: Worker) -> None:
    """Whoever stored them was killed before it wrote down why."""
    orphan, input_sha256 = store_long_ago(parts, b"an orphan"), store_long_ago(parts, b"an input")
    young = parts.blobs.put_bytes(b"stored just now").sha256
    hosted = store_long_ago(parts, b"somebody's image")
    parts.documents.create("images", "i1", {"sha256": hosted})
    writer = parts.blobs.folder / "incoming" / "of-a-dead-writer"
    writer.write_bytes(b"half of something")
    os.utime(writer, (1.0, 1.0))
    parts.submit(input_sha256=input_sha256)
    assert worker.finish(worker.begin()).status_code == 200
    result = parts.scheduler.jobs_of("ada").items[0].body["result"]["files"][0]["sha256"]
    os.utime(parts.blobs.path(result), (1.0, 1.0))

    parts.scheduler.maintenance.run_if_due(idle=False)
    assert parts.blobs.exists(orphan), "not while workers are busy"
    parts.scheduler.maintenance._looked_at -= COUNT_EVERY_SECONDS
    parts.scheduler.maintenance.run_if_due(idle=True)
    assert not parts.blobs.exists(orphan)
    assert not writer.exists()
    assert all(map(parts.blobs.exists, (input_sha256, young, hosted, result)))


def test_orphans_are_looked_for_piece_by_piece(parts: Parts) -> None:
    orphans = [store_long_ago(parts, f"orphan {number}".encode()) for number in range(3)]
    for left in (2, 1, 0):
        assert not parts.scheduler._ending.collect_orphans(-1.0)
        assert sum(map(parts.blobs.exists, orphans)) == left
    assert parts.scheduler._ending.collect_orphans(-1.0)
