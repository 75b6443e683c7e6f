"""What operators see of the scheduler beside the figures for Prometheus."""

from __future__ import annotations

from scheduler_parts import Parts, Worker

from scheduler import contract


def test_failures_are_told_by_reason_with_their_latest_words(parts: Parts, worker: Worker) -> None:
    for code, message in (("boom", "First."), ("no-memory", "Too large."), ("boom", "Second.")):
        uuid = parts.submit()
        worker.say(contract.FAIL, worker.begin(), code=code, message=message, hint="", retry=False)
    told = parts.scheduler.overview.failures()
    assert [(one["code"], one["jobs"], one["message"]) for one in told] == [
        ("boom", 2, "Second."),
        ("no-memory", 1, "Too large."),
    ]
    assert told[0]["uuid"] == uuid
    assert parts.scheduler.overview.failures(seconds=-60.0) == []


def test_running_jobs_come_longest_first_and_ended_ones_latest_first(parts: Parts, worker: Worker) -> None:
    uuids = [parts.submit(owner, estimate_seconds=60.0) for owner in ("ada", "ben", "cy", "dora")]
    claims = [worker.begin() for _ in range(3)]
    overview = parts.scheduler.overview
    assert [stored.id for stored in overview.running().items] == uuids[:3]
    assert worker.finish(claims[1]).status_code == 200
    parts.scheduler.cancel(uuids[3])
    assert [stored.id for stored in overview.recent().items] == [uuids[3], uuids[1]]
    assert [stored.id for stored in overview.running().items] == [uuids[0], uuids[2]]


def test_everything_by_kind(parts: Parts, worker: Worker) -> None:
    parts.submit(kind="train")
    parts.submit()
    worker.begin()
    parts.scheduler.pause("train", 600)
    figures = parts.scheduler.overview.figures()
    assert figures["kinds"]["preview"] == {"queued": 0, "running": 1, "oldest_s": 0.0}
    assert figures["kinds"]["train"]["queued"] == 1
    assert list(figures["paused"]) == ["train"]
    assert figures["buried"] == 0
