"""Workers that a replica heard of before it was told what they can do."""

from __future__ import annotations

from scheduler_parts import Parts

from scheduler.contract import ReserveRequest
from scheduler.workers import Workers


def test_a_worker_heard_only_at_its_job_makes_no_job_unservable(parts: Parts) -> None:
    # As when the replica that it asked for the job died before it wrote the worker down.
    parts.scheduler.workers.working("w1", "cpu", "a" * 32)
    assert parts.scheduler.workers.abilities() == []
    assert parts.submit(kind="train")


def test_what_it_tells_later_counts(parts: Parts) -> None:
    parts.scheduler.workers.working("w1", "cpu", "a" * 32)
    parts.scheduler.reserve(ReserveRequest("w1", ("check",), timeout_seconds=0.0))
    assert [ability.kinds for ability in parts.scheduler.workers.abilities()] == [("check",)]
    assert [ability.kinds for ability in Workers(parts.documents).abilities()] == [("check",)]
