"""A job from submission to result, as `web` and a worker see it, over HTTP and a real beanstalkd."""

from __future__ import annotations

import threading
import time

import greenstalk
import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract
from scheduler.jobs import JobMissing


def test_a_job_is_done_and_leaves_nothing_in_the_queue(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit()
    job = parts.job(uuid)
    assert (job["state"], job["attempt"], job["input"]["size"]) == ("queued", 0, len(b"an input crop"))
    assert parts.scheduler.place(uuid) == 0

    claim = worker.claim()
    assert (claim.uuid, claim.attempt, claim.ert_seconds) == (uuid, 1, 1.0)
    assert claim.package_sha256 == parts.package_sha256
    started = worker.say(contract.START, claim)
    assert started.json["ert_seconds"] == 1.0
    assert started.json["lease_until"] == pytest.approx(time.time() + 1.0, abs=0.5)
    assert parts.job(uuid)["state"] == "running"
    assert parts.scheduler.place(uuid) is None

    progress = {"stage": "inferring", "fraction": 0.5, "message": "tile 2 of 4"}
    assert worker.say(contract.PROGRESS, claim, progress=progress).status_code == 200
    assert parts.job(uuid)["progress"].items() >= progress.items()
    assert worker.say(contract.LOG, claim, sequence=0, text="hello\n").status_code == 200
    assert parts.scheduler.log_text(uuid) == "hello\n"

    assert worker.finish(claim, b"pixels").status_code == 200
    job = parts.job(uuid)
    assert (job["state"], job["lease"], job["error"]) == ("done", None, None)
    (file,) = job["result"]["files"]
    assert (file["name"], file["size"], file["media_type"]) == ("overlay.png", 6, "image/png")
    assert parts.blobs.read(file["sha256"]) == b"pixels"
    assert parts.scheduler.log_text(uuid) == "hello\n"
    assert [line["what"] for line in job["history"]] == ["submitted", "started", "done"]
    assert not any(tube.startswith("log.") for tube in bare.tubes())
    assert (bare.stats()["current-jobs-ready"], bare.stats()["current-jobs-delayed"]) == (0, 0)
    assert worker.reserve() is None


def test_reserve_waits_for_a_job_and_hands_it_out_at_once(parts: Parts, worker: Worker) -> None:
    submitted = []

    def submit() -> None:
        submitted.append((parts.submit(), time.monotonic()))

    timer = threading.Timer(0.3, submit)
    timer.start()
    claim = worker.reserve(4.0)
    waited = time.monotonic() - submitted[0][1]
    timer.join()
    assert claim is not None
    assert claim.uuid == submitted[0][0]
    assert waited < 0.5


def test_reserve_without_a_job_answers_204_in_its_time(worker: Worker) -> None:
    began = time.monotonic()
    assert worker.reserve(1.0) is None
    assert 0.8 < time.monotonic() - began < 2.5


def test_a_long_poll_ends_when_the_server_stops(parts: Parts, worker: Worker) -> None:
    threading.Timer(0.2, lambda: setattr(parts.scheduler, "stopping", lambda: True)).start()
    began = time.monotonic()
    assert worker.reserve(5.0) is None
    assert time.monotonic() - began < 2.5


def test_jobs_are_handed_out_in_their_order(parts: Parts, worker: Worker) -> None:
    uuids = [parts.submit() for _ in range(3)]
    assert [parts.scheduler.place(uuid) for uuid in uuids] == [0, 1, 2]
    assert [worker.claim().uuid for _ in uuids] == uuids


def test_jobs_of_lists_an_owners_own_newest_first(parts: Parts) -> None:
    first, second = parts.submit("ada"), parts.submit("ada")
    parts.submit("bob")
    page = parts.scheduler.jobs_of("ada")
    assert [item.id for item in page.items] == [second, first]
    assert page.total == 2


def test_status_names_workers_and_jobs(parts: Parts, worker: Worker) -> None:
    parts.submit()
    parts.submit()
    claim = worker.claim()
    worker.say(contract.START, claim)
    status = parts.scheduler.status()
    assert (status["queued"], status["running"], status["beanstalkd"]) == (1, 1, "ok")
    assert 0 <= status["oldest_s"] < 5
    (seen,) = status["workers"]
    assert (seen["name"], seen["device"], seen["job"], seen["state"]) == ("w1", "cpu", claim.uuid, "working")
    worker.finish(claim)
    assert parts.scheduler.status()["workers"][0]["state"] == "waiting"


def test_a_job_that_is_not_there_is_404(parts: Parts, worker: Worker) -> None:
    for uuid in ("0" * 32, "nonsense"):
        with pytest.raises(JobMissing):
            parts.scheduler.job(uuid)
        assert worker.post(contract.START, {"lease": "x"}, uuid=uuid).status_code == 404


def test_the_overlay_may_be_looked_at_before_the_result(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    assert parts.job(uuid)["lease"]["overlay"] is None
    revision = parts.job(uuid)["revision"]
    assert worker.upload(claim, "log.txt", b"words").status_code == 200
    assert parts.job(uuid)["lease"]["overlay"] is None
    assert worker.upload(claim, "overlay.png", b"pixels").status_code == 200
    assert parts.scheduler.events.wait(uuid, revision, 0.0) is not None
    sha256 = parts.job(uuid)["lease"]["overlay"]
    assert parts.blobs.read(sha256) == b"pixels"
    assert worker.result(claim, {"overlay.png": b"pixels", "log.txt": b"words"}).status_code == 200
    assert parts.blobs.read(sha256) == b"pixels"


def test_the_overlay_of_an_attempt_that_failed_is_gone(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    worker.upload(claim, "overlay.png", b"pixels")
    sha256 = parts.job(uuid)["lease"]["overlay"]
    worker.say(contract.FAIL, claim, code="odd", message="It broke.", hint="", retry=False)
    assert parts.job(uuid)["lease"] is None
    assert not parts.blobs.exists(sha256)
