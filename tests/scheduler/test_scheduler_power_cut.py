"""A power cut takes the end of beanstalkd's log, and document writes that need not last: nothing is lost, nothing done
twice. What was not synced is gone here because an older copy of it is put back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scheduler_parts import Brokers, Parts, Worker

from scheduler.contract import START
from zoo.documents_sqlite import SqliteDocuments


@pytest.fixture
def unsynced(brokers: Brokers, tmp_path: Path) -> Callable[[], Callable[[], None]]:
    """Remembers beanstalkd's log as it is now; the answer cuts the power, and starts beanstalkd on what was kept."""
    folder, kept = brokers.settings.queue_folder, tmp_path / "kept"

    def remember() -> Callable[[], None]:
        shutil.copytree(folder, kept)

        def cut() -> None:
            brokers.kill()
            shutil.rmtree(folder)
            kept.rename(folder)
            brokers.start()

        return cut

    return remember


def finish_all(parts: Parts, worker: Worker) -> list[str]:
    """The uuids of all there is to do, each done in its turn."""
    done = []
    while (claim := worker.reserve(1.5)) is not None:
        assert worker.say(START, claim).status_code == 200
        assert worker.finish(claim).status_code == 200
        done.append(claim.uuid)
    return done


def test_entries_that_beanstalkd_forgot_are_queued_again(
    parts: Parts, brokers: Brokers, worker: Worker, new_worker: Callable[[str], Worker], unsynced: Callable
) -> None:
    uuids = [parts.submit(f"o{number}") for number in range(3)]
    cut = unsynced()
    done = worker.begin()
    assert worker.finish(done).status_code == 200
    uuids += [parts.submit(f"o{number}") for number in range(3, 6)]
    cut()
    parts.restart()
    again = finish_all(parts, new_worker("w2"))
    # The entry of the one that was done had come back; the three that were forgotten are there again.
    assert sorted([done.uuid, *again]) == sorted(uuids)
    assert all(parts.job(uuid)["state"] == "done" for uuid in uuids)
    with brokers.client() as bare:
        stats = bare.stats()
    states = ("ready", "delayed", "reserved", "buried")
    assert [int(stats[f"current-jobs-{state}"]) for state in states] == [0, 0, 0, 0]


def test_a_lease_that_the_disk_forgot_is_stale(parts: Parts, worker: Worker, new_worker: Callable) -> None:
    """The document is as it was on the disk: queued. Who held the lease is refused, and the job is done by another."""
    uuid = parts.submit()
    before = parts.documents.get("jobs", uuid).body
    lost = worker.begin()
    parts.documents.replace("jobs", uuid, before, parts.scheduler.revision(uuid))
    assert worker.finish_refused(lost).status_code == 409
    second = new_worker("w2").begin(5.0)
    assert second.uuid == uuid
    assert worker.finish_refused(lost).status_code == 409
    assert new_worker("w2").finish(second).status_code == 200
    assert parts.job(uuid)["state"] == "done"


def test_what_lasts_is_synced_and_what_need_not_is_not(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    said: list[str] = []
    stored = documents.create("things", "a", {"n": 0})
    assert documents._sqlite._writer is not None
    documents._sqlite._writer.set_trace_callback(said.append)
    for lasting in (False, False, True):
        stored = documents.replace("things", "a", {"n": 1}, stored.revision, lasting)
    assert [line for line in said if "synchronous" in line] == [
        "PRAGMA synchronous = NORMAL",
        "PRAGMA synchronous = FULL",
    ]
    documents.close()
