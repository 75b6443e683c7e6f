"""Cancelling, in every state that a job can be in: over at once for its user, its worker told, nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Callable

import greenstalk
import pytest
from scheduler_parts import Brokers, Parts, Worker

from scheduler import contract
from scheduler.contract import Claim
from scheduler.jobs import handle_of

LIMIT_SECONDS = 3.0
NewWorker = Callable[[str], Worker]


def queued(parts: Parts, worker: Worker) -> tuple[str, Claim | None]:
    return parts.submit(), None


def held(parts: Parts, worker: Worker) -> tuple[str, Claim | None]:
    """Its owner has another one running."""
    parts.settings = parts.settings.replace(running_per_owner=1)
    parts.restart()
    other = parts.submit("ada", estimate_seconds=60.0)
    claim = parts.scheduler.reserve(contract.ReserveRequest("other"))
    assert claim is not None
    parts.scheduler.attempts.start(other, claim.lease)
    uuid = parts.submit("ada")
    assert parts.scheduler.reserve(contract.ReserveRequest("third", timeout_seconds=0.0)) is None
    assert parts.job(uuid)["held"]
    return uuid, None


def claimed(parts: Parts, worker: Worker) -> tuple[str, Claim | None]:
    uuid = parts.submit(estimate_seconds=60.0)
    return uuid, worker.claim()


def running(parts: Parts, worker: Worker) -> tuple[str, Claim | None]:
    uuid = parts.submit(estimate_seconds=60.0)
    return uuid, worker.begin()


def uploading(parts: Parts, worker: Worker) -> tuple[str, Claim | None]:
    uuid, claim = running(parts, worker)
    assert claim is not None
    worker.upload(claim, "overlay.png", b"a first file")
    return uuid, claim


def retried(parts: Parts, worker: Worker) -> tuple[str, Claim | None]:
    """It failed once, and waits a while before it is tried again."""
    uuid, claim = running(parts, worker)
    assert claim is not None
    worker.say(contract.FAIL, claim, code="x", message="It broke.", hint="", retry=True)
    return uuid, claim


def lost(parts: Parts, worker: Worker) -> tuple[str, Claim | None]:
    """Its worker has gone silent, and its lease has run out."""
    uuid = parts.submit()
    claim = worker.begin()
    time.sleep(parts.settings.ert_floor_seconds + 0.1)
    return uuid, claim


STATES = [queued, held, claimed, running, uploading, retried, lost]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_job_is_cancelled_in_any_state(
    parts: Parts, new_worker: NewWorker, bare: greenstalk.Client, state: Callable[..., tuple[str, Claim | None]]
) -> None:
    uuid, claim = state(parts, new_worker("w1"))
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    began = time.monotonic()
    assert parts.scheduler.cancel(uuid)["state"] == "cancelled"
    assert time.monotonic() - began < LIMIT_SECONDS
    with pytest.raises(greenstalk.NotFoundError):
        bare.stats_job(handle.job_id)
    worker = new_worker("w2")
    assert worker.reserve() is None
    if claim is not None:
        for answer in (
            worker.say(contract.START, claim),
            worker.say(contract.EXTEND, claim),
            worker.say(contract.PROGRESS, claim, progress={"stage": "inferring", "fraction": 0.5}),
            worker.upload(claim, "overlay.png", b"too late"),
            worker.finish_refused(claim),
            worker.say(contract.FAIL, claim, code="x", message="It broke.", hint="", retry=True),
        ):
            assert answer.status_code in (409, 410), answer.text
    job = parts.job(uuid)
    assert (job["state"], job["lease"], job["result"], job["garbage"]) == ("cancelled", None, None, [])
    assert [line["what"] for line in job["history"]].count("cancelled") == 1
    assert set(parts.blobs.sha256s()) == {parts.input_sha256, parts.package_sha256}
    assert parts.scheduler.cancel(uuid)["state"] == "cancelled", "asked twice"


@pytest.mark.parametrize("retry", [False, True])
def test_what_is_over_stays_as_it_is(parts: Parts, worker: Worker, retry: bool) -> None:
    done = parts.submit()
    worker.finish(worker.begin())
    assert parts.scheduler.cancel(done)["state"] == "done"
    failed = parts.submit()
    for _ in range(parts.settings.attempts if retry else 1):
        worker.say(contract.FAIL, worker.begin(), code="x", message="It broke.", hint="", retry=retry)
    assert parts.job(failed)["buried"] is retry
    assert parts.scheduler.cancel(failed)["state"] == "failed"
    assert parts.job(failed)["error"]["message"] == "It broke."


def test_without_a_queue_a_job_is_cancelled_all_the_same(parts: Parts, worker: Worker, brokers: Brokers) -> None:
    uuid, other = parts.submit(), parts.submit("ben")
    brokers.kill()
    began = time.monotonic()
    assert parts.scheduler.cancel(uuid)["state"] == "cancelled"
    assert time.monotonic() - began < LIMIT_SECONDS
    brokers.start()
    assert worker.claim().uuid == other
    assert worker.reserve() is None
