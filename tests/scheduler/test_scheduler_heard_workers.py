"""Workers that a replica heard of before it was told what they can do."""

from __future__ import annotations

import pytest
from scheduler_parts import Parts

from benchmarks.simulation.clock import SimulatedClock
from scheduler import clock
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


def test_a_thousand_workers_are_looked_through_once_a_second(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    standing = SimulatedClock()
    with clock.replaced(standing):
        workers = Workers(parts.documents)
        workers.waiting("w1", device="cpu", kinds=["preview"])
        assert len(workers.abilities()) == 1
        monkeypatch.setattr(workers, "present", lambda: pytest.fail("looked through again"))
        assert len(workers.abilities()) == 1
        workers.working("w1", "cpu", "a" * 32)
        assert len(workers.abilities()) == 1
        monkeypatch.undo()
        # One more is there at once, one that is gone is gone after its minute.
        workers.waiting("w2", kinds=["train"])
        assert len(workers.abilities()) == 2
        standing.advance(61.0)
        assert workers.abilities() == []
