"""Leases over HTTP and a real beanstalkd: what is lost comes back, what is stale is refused."""

from __future__ import annotations

import time
from collections.abc import Callable

import greenstalk
import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract, leases
from scheduler.jobs import handle_of
from zoo.identifiers import new_uuid

NewWorker = Callable[[str], Worker]


def entry_state(parts: Parts, bare: greenstalk.Client, uuid: str) -> str:
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    return str(bare.stats_job(handle.job_id)["state"])


def code_of(answer: object) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]["code"]  # type: ignore[attr-defined]


def test_a_claim_that_nobody_starts_comes_back_and_does_not_count(parts: Parts, new_worker: NewWorker) -> None:
    uuid = parts.submit()
    lost = new_worker("lost").claim()
    began = time.monotonic()
    again = new_worker("w2").claim()
    assert (again.uuid, again.attempt) == (uuid, 1)
    assert 0.5 < time.monotonic() - began < 2.6
    assert again.lease != lost.lease


def test_a_started_job_is_delayed_for_its_ert(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    worker.begin()
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    stats = bare.stats_job(handle.job_id)
    assert stats["state"] == "delayed"
    assert stats["delay"] == 31


def test_a_lost_worker_costs_an_attempt_and_the_last_one_buries_the_job(
    parts: Parts, new_worker: NewWorker, bare: greenstalk.Client
) -> None:
    uuid = parts.submit()
    new_worker("w1").begin()
    second = new_worker("w2").begin()
    assert second.attempt == 2
    assert new_worker("w3").reserve(3.0) is None
    job = parts.job(uuid)
    assert (job["state"], job["error"]["code"]) == ("failed", "worker-lost")
    assert "2 times" in job["error"]["message"]
    assert entry_state(parts, bare, uuid) == "buried"
    assert [line["what"] for line in job["history"]].count("lost") == 2


def test_extending_keeps_the_job_from_others(parts: Parts, new_worker: NewWorker) -> None:
    worker, other = new_worker("w1"), new_worker("w2")
    parts.submit(estimate_seconds=2.4)
    claim = worker.begin()
    for _ in range(3):
        assert other.reserve(1.0) is None
        extended = worker.say(contract.EXTEND, claim)
        assert extended.status_code == 200
        assert extended.json["lease_until"] > time.time() + 2.0
    assert worker.finish(claim).status_code == 200


def test_a_lease_is_stale_once_another_was_opened(parts: Parts, new_worker: NewWorker) -> None:
    uuid = parts.submit()
    slow, other = new_worker("slow"), new_worker("other")
    old = slow.begin()
    assert slow.upload(old, "overlay.png", b"late").status_code == 200
    new = other.begin()
    assert new.uuid == uuid
    progress = {"stage": "inferring", "fraction": 0.1, "message": ""}
    for template, body in (
        (contract.START, {}),
        (contract.EXTEND, {}),
        (contract.PROGRESS, {"progress": progress}),
        (contract.LOG, {"sequence": 0, "text": "x"}),
        (contract.FAIL, {"code": "x", "message": "y", "retry": True}),
        (contract.RELEASE, {}),
    ):
        assert code_of(slow.say(template, old, **body)) == (409, "stale-lease"), template
    assert code_of(slow.upload(old, "overlay.png", b"late")) == (409, "stale-lease")
    assert code_of(slow.result(old, {"overlay.png": b"late"})) == (409, "stale-lease")
    assert other.finish(new, b"in time").status_code == 200
    assert code_of(slow.result(old, {"overlay.png": b"late"})) == (409, "stale-lease")
    (file,) = parts.job(uuid)["result"]["files"]
    assert parts.blobs.read(file["sha256"]) == b"in time"


def test_a_late_result_is_taken_while_nobody_else_has_the_job(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    parts.scheduler._jobs.change(uuid, lambda body: body["lease"].update(until=time.time() - 60))
    assert worker.finish(claim).status_code == 200
    assert parts.job(uuid)["state"] == "done"


def test_the_same_result_twice_is_harmless(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    assert worker.finish(claim).status_code == 200
    before = parts.job(uuid)
    assert worker.result(claim, {"overlay.png": b"an overlay"}).status_code == 200
    assert parts.job(uuid) == before
    assert code_of(worker.say(contract.EXTEND, claim)) == (410, "job-over")


def test_start_twice_is_harmless(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    assert worker.say(contract.START, claim).status_code == 200
    assert [line["what"] for line in parts.job(uuid)["history"]] == ["submitted", "started"]


def test_a_job_handed_back_is_ready_at_once_and_the_attempt_does_not_count(parts: Parts, new_worker: NewWorker) -> None:
    uuid = parts.submit(estimate_seconds=60.0)
    first, second = new_worker("w1"), new_worker("w2")
    claim = first.begin()
    assert first.say(contract.RELEASE, claim).status_code == 200
    assert first.say(contract.RELEASE, claim).status_code == 200
    assert parts.job(uuid)["state"] == "queued"
    again = second.reserve()
    assert again is not None
    assert again.attempt == 1


def test_a_failed_attempt_is_tried_again_and_then_buried(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit(estimate_seconds=60.0)
    failure = {"code": "stalled", "message": "The model stopped answering.", "hint": "Try less.", "retry": True}
    claim = worker.begin()
    answer = worker.say(contract.FAIL, claim, **failure)
    assert answer.json == {"state": "queued"}
    assert worker.say(contract.FAIL, claim, **failure).json == {"state": "queued"}
    claim = worker.begin()
    assert claim.attempt == 2
    assert worker.say(contract.FAIL, claim, **failure).json == {"state": "failed"}
    assert worker.say(contract.FAIL, claim, **failure).json == {"state": "failed"}
    job = parts.job(uuid)
    assert job["error"] == {"code": "stalled", "message": "The model stopped answering.", "hint": "Try less."}
    assert entry_state(parts, bare, uuid) == "buried"

    parts.scheduler.kick(uuid)
    again = worker.begin()
    assert (again.uuid, again.attempt) == (uuid, 1)
    assert worker.finish(again).status_code == 200
    assert bare.stats()["current-jobs-buried"] == 0


def test_a_failure_without_retry_is_final(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    answer = worker.say(contract.FAIL, claim, code="out-of-memory", message="Too large.", hint="", retry=False)
    assert answer.json == {"state": "failed"}
    assert parts.job(uuid)["error"]["code"] == "out-of-memory"
    assert bare.stats()["current-jobs-buried"] == 0
    assert code_of(worker.say(contract.PROGRESS, claim, progress={"stage": "drawing"})) == (410, "job-over")


@pytest.mark.parametrize("state", ["queued", "claimed", "running"])
def test_cancel_ends_a_job_in_any_state(parts: Parts, worker: Worker, bare: greenstalk.Client, state: str) -> None:
    uuid = parts.submit(estimate_seconds=60.0)
    claim = None if state == "queued" else worker.claim()
    if claim and state == "running":
        worker.say(contract.START, claim)
    assert parts.scheduler.cancel(uuid)["state"] == "cancelled"
    assert bare.stats()["current-jobs-ready"] + bare.stats()["current-jobs-delayed"] == 0
    assert worker.reserve() is None
    if claim:
        answer = worker.say(contract.PROGRESS, claim, progress={"stage": "inferring", "fraction": 0.5})
        assert code_of(answer) == (410, "job-over")
        assert code_of(worker.finish_refused(claim)) == (410, "job-over")
    assert parts.scheduler.cancel(uuid)["state"] == "cancelled"


def test_cancel_leaves_a_finished_job_alone(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    worker.finish(worker.begin())
    assert parts.scheduler.cancel(uuid)["state"] == "done"


def test_an_operator_who_kicks_running_jobs_does_no_harm(
    parts: Parts, new_worker: NewWorker, bare: greenstalk.Client
) -> None:
    """`kick` on a tube without buried jobs makes every delayed one ready: here, running ones."""
    uuid = parts.submit(estimate_seconds=60.0)
    worker = new_worker("w1")
    claim = worker.begin()
    bare.use("zooscope.preview")
    assert bare.kick(10) == 1
    assert entry_state(parts, bare, uuid) == "ready"
    assert new_worker("w2").reserve() is None
    assert entry_state(parts, bare, uuid) == "delayed"
    assert worker.finish(claim).status_code == 200


def test_extend_heals_an_entry_that_was_made_ready(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit(estimate_seconds=60.0)
    claim = worker.begin()
    bare.use("zooscope.preview")
    bare.kick(10)
    assert worker.say(contract.EXTEND, claim).status_code == 200
    assert entry_state(parts, bare, uuid) == "delayed"


def test_retries_wait_longer_each_time_up_to_a_limit() -> None:
    assert [leases.retry_seconds(attempt) for attempt in (1, 2, 3, 30)] == [1.0, 2.0, 4.0, 60.0]


def test_a_job_whose_claims_are_always_lost_ends() -> None:
    body = {"attempt": 1, "lost_claims": leases.MAXIMUM_LOST_CLAIMS, "garbage": [], "result": None}
    body["lease"] = {"id": new_uuid(), "started": False, "files": {}, "worker": "w"}
    leases.lose(body, 0.0)
    assert body["attempt"] == 0
    assert leases.exhausted(body, attempts=3)
