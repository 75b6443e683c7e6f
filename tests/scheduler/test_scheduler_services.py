"""Submitting, looking and cancelling over HTTP, with the service token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract
from zoo.secrets import SERVICE_TOKEN, read_or_make_key


@pytest.fixture
def service(parts: Parts, worker: Worker) -> Worker:
    return Worker(worker.client, read_or_make_key(parts.settings, SERVICE_TOKEN))


def submission(parts: Parts, **changes: Any) -> dict[str, Any]:
    return asdict(parts.request()) | changes


def test_a_job_submitted_over_http_is_done_by_a_worker(parts: Parts, service: Worker, worker: Worker) -> None:
    submitted = service.post(contract.SUBMIT, submission(parts))
    assert submitted.status_code == 201
    uuid = submitted.json["uuid"]
    headers = {"Authorization": f"Bearer {service.token}"}
    seen = service.client.get(contract.path(contract.JOB, uuid=uuid), headers=headers)
    assert (seen.json["state"], seen.json["place"]) == ("queued", 0)
    worker.finish(worker.begin())
    seen = service.client.get(contract.path(contract.JOB, uuid=uuid), headers=headers)
    assert (seen.json["state"], seen.json["place"]) == ("done", None)


def submit_under(service: Worker, key: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {service.token}", contract.IDEMPOTENCY_KEY: key}
    return service.client.post(contract.path(contract.SUBMIT), json=body, headers=headers)


def test_a_submission_sent_twice_under_one_key_is_one_job(parts: Parts, service: Worker) -> None:
    first = submit_under(service, "a-key-of-mine", submission(parts))
    again = submit_under(service, "a-key-of-mine", submission(parts))
    assert (again.status_code, again.json["uuid"]) == (first.status_code, first.json["uuid"])
    parts.restart()
    assert parts.scheduler.status()["queued"] == 1
    others = [
        submit_under(service, "another-key", submission(parts)),
        submit_under(service, "a-key-of-mine", submission(parts, owner="bob")),
    ]
    assert len({first.json["uuid"], *(other.json["uuid"] for other in others)}) == 3


def test_submissions_sent_twice_at_once_are_one_job(parts: Parts) -> None:
    request = parts.request(uuid=parts.scheduler.uuid_for("ada", "a-key-of-mine"))
    with ThreadPoolExecutor(8) as pool:
        uuids = {job["uuid"] for job in pool.map(parts.scheduler.submit, [request] * 8)}
    assert uuids == {request.uuid}
    assert parts.scheduler.status()["queued"] == 1


def test_a_key_is_for_one_job_and_valid(parts: Parts, service: Worker) -> None:
    submit_under(service, "a-key-of-mine", submission(parts))
    reused = submit_under(service, "a-key-of-mine", submission(parts, settings={"threshold": 0.9}))
    assert (reused.status_code, reused.json["error"]["code"]) == (409, "key-reused")
    for bad in ("short", "x" * 201, "with a space"):
        refused = submit_under(service, bad, submission(parts))
        assert (refused.status_code, refused.json["error"]["code"]) == (400, "bad-idempotency-key")


def test_a_job_is_cancelled_over_http(parts: Parts, service: Worker, worker: Worker) -> None:
    uuid = service.post(contract.SUBMIT, submission(parts)).json["uuid"]
    claim = worker.begin()
    assert service.post(contract.CANCEL, {}, uuid=uuid).json["state"] == "cancelled"
    told = worker.say(contract.PROGRESS, claim, progress={"stage": "inferring", "fraction": 0.5, "message": ""})
    assert (told.status_code, told.json["error"]["code"]) == (410, "job-over")


def test_workers_do_not_submit_and_services_do_not_reserve(parts: Parts, service: Worker, worker: Worker) -> None:
    for refused in (worker.post(contract.SUBMIT, submission(parts)), service.post(contract.RESERVE, {"worker": "w"})):
        assert (refused.status_code, refused.json["error"]["code"]) == (401, "bad-token")
        assert "token" in refused.json["error"]["hint"]


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "mine-bitcoin"},
        {"model": {"id": "nuclei"}},
        {"model": "nuclei"},
        {"input_sha256": "../../etc/passwd"},
        {"estimate_seconds": -1},
        {"estimate_seconds": 1e9},
        {"load_seconds": "soon"},
        {"settings": None},
        {"owner": 5},
    ],
)
def test_what_makes_no_sense_is_refused(parts: Parts, service: Worker, changes: dict[str, Any]) -> None:
    refused = service.post(contract.SUBMIT, submission(parts, **changes))
    assert (refused.status_code, refused.json["error"]["code"]) == (400, "bad-message")


def test_an_input_that_is_not_stored_is_refused(parts: Parts, service: Worker) -> None:
    refused = service.post(contract.SUBMIT, submission(parts, input_sha256="0" * 64))
    assert refused.status_code in (404, 409, 410)
    assert refused.json["error"]["hint"]
