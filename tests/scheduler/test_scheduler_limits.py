"""How many jobs one person may have: queued, from one address, and running at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import greenstalk
import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract
from scheduler.jobs import handle_of
from scheduler.limits import HOLD_SECONDS, TooManyJobs
from scheduler.queue import Reserved

NewWorker = Callable[[str], Worker]


def limit(parts: Parts, **values: int) -> None:
    parts.settings = parts.settings.replace(**values)
    parts.restart()


def test_an_address_may_have_so_many_jobs_waiting(parts: Parts) -> None:
    limit(parts, queued_per_address=2)
    first = parts.submit("ada", address="a1")
    parts.submit("ben", address="a1")
    with pytest.raises(TooManyJobs, match="your network") as refused:
        parts.submit("cy", address="a1")
    assert refused.value.status == 429
    assert refused.value.retry_after_seconds
    parts.submit("cy", address="a2")
    parts.scheduler.cancel(first)
    parts.submit("cy", address="a1")


def test_without_an_address_or_a_limit_nobody_is_refused_for_it(parts: Parts) -> None:
    limit(parts, queued_per_address=1)
    for owner in ("ada", "ben", "cy"):
        parts.submit(owner)
    limit(parts, queued_per_address=0)
    for owner in ("ada", "ben", "cy"):
        parts.submit(owner, address="a1")


def test_what_is_over_no_longer_tells_where_it_came_from(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit(address="a1")
    worker.finish(worker.begin())
    assert parts.job(uuid)["address"] == ""


def test_one_more_than_may_run_is_held_while_others_pass(
    parts: Parts, new_worker: NewWorker, bare: greenstalk.Client
) -> None:
    limit(parts, running_per_owner=1)
    parts.submit("ada", estimate_seconds=60.0)
    second = parts.submit("ada")
    first = new_worker("w1").begin()
    ben = parts.submit("ben")
    other = new_worker("w2")
    assert other.claim().uuid == ben
    assert other.reserve() is None
    held = parts.job(second)
    assert (held["state"], held["held"], held["attempt"]) == ("queued", True, 0)
    assert [line["what"] for line in held["history"]] == ["submitted", "held"]
    handle = handle_of(held)
    assert handle is not None
    entry = bare.stats_job(handle.job_id)
    assert (entry["state"], entry["delay"]) == ("delayed", HOLD_SECONDS)
    parts.scheduler.cancel(first.uuid)
    assert other.claim().uuid == second
    assert parts.job(second)["held"] is False


ENDS: dict[str, dict[str, Any]] = {
    contract.FAIL: {"code": "x", "message": "It broke.", "hint": "", "retry": False},
    contract.RELEASE: {},
}


@pytest.mark.parametrize("end", ["result", *ENDS])
def test_whatever_ends_a_job_lets_the_next_one_go(parts: Parts, new_worker: NewWorker, end: str) -> None:
    limit(parts, running_per_owner=1)
    jobs = [parts.submit("ada", estimate_seconds=60.0) for _ in range(3)]
    worker, other = new_worker("w1"), new_worker("w2")
    claim = worker.begin()
    assert other.reserve() is None
    if end == "result":
        worker.finish(claim)
    else:
        worker.say(end, claim, **ENDS[end])
    # Handed back, the first job is first again.
    assert other.claim().uuid == jobs[0 if end == contract.RELEASE else 1]


def test_a_dead_workers_job_does_not_count_for_ever(parts: Parts, new_worker: NewWorker) -> None:
    limit(parts, running_per_owner=1)
    first, second = parts.submit("ada"), parts.submit("ada")
    new_worker("dead").begin()
    other = new_worker("w2")
    assert other.reserve() is None
    assert other.claim().uuid == first
    parts.scheduler.cancel(first)
    assert other.claim().uuid == second


def test_an_end_between_the_mark_and_the_delay_is_not_missed(
    parts: Parts, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(parts, running_per_owner=1)
    first = parts.submit("ada", estimate_seconds=60.0)
    second = parts.submit("ada")
    worker = new_worker("w1")
    worker.begin()
    release = Reserved.release

    def end_first(reserved: Reserved, seconds: float, *more: Any) -> None:
        if seconds == HOLD_SECONDS:
            parts.scheduler.cancel(first)
        release(reserved, seconds, *more)

    monkeypatch.setattr(Reserved, "release", end_first)
    assert worker.claim().uuid == second


def test_workers_that_ask_at_once_never_run_more(parts: Parts, new_worker: NewWorker) -> None:
    limit(parts, running_per_owner=3)
    jobs = [parts.submit("ada", estimate_seconds=60.0) for _ in range(9)]
    claimed: list[str] = []
    together = threading.Barrier(6)

    def ask(worker: Worker) -> None:
        together.wait()
        claim = worker.reserve()
        if claim:
            claimed.append(claim.uuid)

    threads = [threading.Thread(target=ask, args=(new_worker(f"w{number}"),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 3
    assert set(claimed) <= set(jobs)
    # Everybody is served in the end.
    worker = new_worker("last")
    for _ in jobs[3:]:
        parts.scheduler.cancel(claimed.pop())
        claimed.append(worker.claim().uuid)
