"""Files of results: what is accepted, what becomes garbage, and that garbage never takes a live result along."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable

import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract
from scheduler.jobs import JobMissing
from scheduler.service import InputGone, TooManyJobs
from zoo.blobs import Blob

NewWorker = Callable[[str], Worker]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stored(parts: Parts) -> set[str]:
    return set(parts.blobs.sha256s()) - {parts.input_sha256, parts.package_sha256}


def test_uploads_of_a_stale_lease_are_collected(parts: Parts, new_worker: NewWorker) -> None:
    slow, other = new_worker("slow"), new_worker("other")
    uuid = parts.submit()
    old = slow.begin()
    slow.upload(old, "overlay.png", b"half a result")
    slow.upload(old, "log.txt", b"half a log")
    new = other.begin()
    assert stored(parts) == set()
    other.upload(new, "log.txt", b"uploaded, but not named in the result")
    other.finish(new, b"a result")
    assert stored(parts) == {sha256(b"a result")}
    assert parts.job(uuid)["garbage"] == []


def test_a_file_of_a_live_result_is_never_collected(parts: Parts, new_worker: NewWorker) -> None:
    """Two jobs with the same pixels have the same files: garbage of the one is the result of the other."""
    worker = new_worker("w1")
    first = parts.submit()
    worker.finish(worker.begin(), b"the same pixels")
    parts.submit()
    claim = worker.begin()
    worker.upload(claim, "overlay.png", b"the same pixels")
    worker.say(contract.FAIL, claim, code="x", message="y", hint="", retry=True)
    assert stored(parts) == {sha256(b"the same pixels")}
    parts.scheduler.delete(first)
    assert stored(parts) == set()


def test_a_blob_that_an_image_or_a_model_needs_stays(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    worker.finish(worker.begin(), b"an overlay")
    parts.documents.create("images", "i1", {"sha256": sha256(b"an overlay")})
    parts.scheduler.delete(uuid)
    assert stored(parts) == {sha256(b"an overlay")}


def test_deleting_a_job_takes_everything_of_it(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    worker.say(contract.LOG, claim, sequence=0, text="a log\n")
    worker.finish(claim)
    parts.scheduler.delete(uuid)
    with pytest.raises(JobMissing):
        parts.scheduler.job(uuid)
    assert parts.scheduler.jobs_of("ada").total == 0
    assert list(parts.blobs.sha256s()) == [parts.package_sha256]


@pytest.mark.parametrize("running", [False, True])
def test_deleting_a_job_that_is_not_over_cancels_it(parts: Parts, worker: Worker, running: bool) -> None:
    uuid = parts.submit()
    claim = worker.begin() if running else None
    parts.scheduler.delete(uuid)
    assert worker.reserve() is None
    if claim:
        assert worker.say(contract.EXTEND, claim).status_code == 404


def test_a_deletion_cut_off_is_finished_by_maintenance(
    parts: Parts, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = parts.submit()
    worker.finish(worker.begin())
    monkeypatch.setattr(parts.scheduler._ending, "forget", lambda uuid: False)
    parts.scheduler.delete(uuid)
    monkeypatch.undo()
    with pytest.raises(JobMissing):
        parts.scheduler.job(uuid)
    parts.scheduler.maintenance.sweep()
    with pytest.raises(JobMissing):
        parts.scheduler._jobs.get_any(uuid)
    assert stored(parts) == set()


def test_garbage_that_was_not_collected_is_swept(parts: Parts, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.submit()
    claim = worker.begin()
    worker.upload(claim, "overlay.png", b"of a failed attempt")
    monkeypatch.setattr(parts.scheduler._ending, "collect", lambda uuid: None)
    worker.say(contract.FAIL, claim, code="x", message="y", hint="", retry=True)
    assert stored(parts) == {sha256(b"of a failed attempt")}
    monkeypatch.undo()
    parts.scheduler.maintenance.sweep()
    assert stored(parts) == set()


def test_results_are_deleted_when_they_are_old(parts: Parts, worker: Worker) -> None:
    old, young = parts.submit(), parts.submit()
    worker.finish(worker.begin())
    worker.finish(worker.begin())
    parts.scheduler._jobs.change(old, lambda body: body.update(finished_at=1.0))
    parts.scheduler.maintenance.sweep()
    assert [item.id for item in parts.scheduler.jobs_of("ada").items] == [young]


def test_an_upload_must_be_a_file_of_a_result_with_its_sha256(parts: Parts, worker: Worker) -> None:
    parts.submit()
    claim = worker.begin()
    assert worker.upload(claim, "evil.html", b"x").status_code == 422
    assert worker.upload(claim, "..%2Fjobs", b"x").status_code in (404, 422)
    assert worker.upload(claim, "overlay.png", b"x", sha256="nonsense").status_code == 422
    mismatch = worker.upload(claim, "overlay.png", b"x", sha256=sha256(b"y"))
    assert (mismatch.status_code, mismatch.json["error"]["code"]) == (422, "digest-mismatch")
    assert worker.result(claim, {"overlay.png": b"y"}).status_code == 422
    assert stored(parts) == set()


def test_an_upload_beyond_the_limit_is_refused(parts: Parts, new_worker: NewWorker) -> None:
    parts.settings = parts.settings.replace(result_file_bytes=100)
    parts.restart()
    worker = new_worker("w1")
    parts.submit()
    claim = worker.begin()
    assert worker.upload(claim, "overlay.png", b"x" * 101).status_code == 413
    assert worker.upload(claim, "overlay.png", b"x" * 100).status_code == 200


def test_an_upload_cut_in_the_middle_leaves_nothing(parts: Parts, worker: Worker) -> None:
    parts.submit()
    claim = worker.begin()
    answer = worker.client.put(
        contract.path(contract.FILE, uuid=claim.uuid, name="overlay.png"),
        query_string={"lease": claim.lease, "sha256": sha256(b"x" * 1000)},
        headers={"Authorization": f"Bearer {worker.token}"},
        input_stream=io.BytesIO(b"x" * 10),
        content_length=1000,
    )
    assert answer.status_code in (400, 422)
    assert stored(parts) == set()
    assert not list((parts.blobs.folder / "incoming").iterdir())


def test_small_files_come_along_with_their_result_once(parts: Parts, worker: Worker) -> None:
    uuid, files = parts.submit(), {"manifest.json": b"{}", "log.txt": b"a log"}
    claim = worker.begin()
    worker.upload(claim, "overlay.png", b"an overlay")
    worker.upload(claim, "log.txt", b"another log, in whose place this one comes")
    for _ in range(2):
        assert worker.finish_along(claim, files).status_code == 200
        job = parts.job(uuid)
        assert job["state"] == "done"
        assert job["result"]["files"] == [
            {"name": "manifest.json", "sha256": sha256(b"{}"), "size": 2, "media_type": "application/json"},
            {"name": "log.txt", "sha256": sha256(b"a log"), "size": 5, "media_type": "text/plain"},
        ]
        assert stored(parts) == {sha256(data) for data in files.values()}
    assert worker.upload(claim, "objects.csv", b"too late").status_code == 410


def test_what_comes_along_with_a_result_that_is_refused_does_not_stay(parts: Parts, new_worker: NewWorker) -> None:
    slow, other = new_worker("slow"), new_worker("other")
    parts.submit()
    old = slow.begin()
    new = other.begin()
    assert slow.finish_along(old, {"manifest.json": b"late"}).status_code == 409
    assert other.finish_along(new, {"passwords.txt": b"x"}).json["error"]["code"] == "bad-result-file"
    assert other.finish_along(new, {"log.txt": b"x"}, data="no base64!").json["error"]["code"] == "bad-message"
    assert other.finish_along(new, {"log.txt": b"x"}, data=7).json["error"]["code"] == "bad-message"
    assert stored(parts) == set()
    assert other.finish_along(new, {"log.txt": b"x"}, sha256="0" * 64).json["error"]["code"] == "bad-result"
    parts.scheduler.cancel(new.uuid)
    assert other.finish_along(new, {"log.txt": b"y"}).status_code == 410
    assert stored(parts) == set()


def test_a_lease_lost_while_files_that_came_along_are_stored_leaves_nothing(
    parts: Parts, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.blob_lock.REMOVER_SECONDS", 0.05)
    uuid, put_bytes = parts.submit(), parts.blobs.put_bytes
    claim = worker.begin()

    def cancelled_meanwhile(data: bytes) -> Blob:
        threads = [threading.Thread(target=parts.scheduler.cancel, args=(uuid,))]
        threads[0].start()
        threads[0].join()
        return put_bytes(data)

    monkeypatch.setattr(parts.blobs, "put_bytes", cancelled_meanwhile)
    assert worker.finish_along(claim, {"manifest.json": b"{}"}).status_code == 410
    monkeypatch.undo()
    parts.scheduler.maintenance.sweep()
    assert parts.job(uuid)["state"] == "cancelled"
    assert stored(parts) == set()


def test_a_lease_lost_during_an_upload_leaves_nothing(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()

    class CancelledMeanwhile(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            parts.scheduler.cancel(uuid)
            return super().read(size)

    data = b"too late"
    with pytest.raises(Exception, match="cancelled"):
        parts.scheduler.attempts.file(uuid, claim.lease, "overlay.png", CancelledMeanwhile(data), sha256(data))
    assert stored(parts) == set()
    assert parts.job(uuid)["garbage"] == []


def test_workers_read_only_blobs_of_jobs_that_are_not_over(parts: Parts, worker: Worker) -> None:
    other = parts.blobs.put_bytes(b"somebody's image").sha256

    def get(sha256: str) -> int:
        headers = {"Authorization": f"Bearer {worker.token}"}
        with worker.client.get(contract.path(contract.BLOB, sha256=sha256), headers=headers) as answer:
            return answer.status_code

    assert get(parts.input_sha256) == 404
    parts.submit()
    claim = worker.begin()
    assert (get(parts.input_sha256), get(parts.package_sha256), get(other), get("nonsense")) == (200, 200, 404, 404)
    worker.finish(claim)
    assert get(parts.input_sha256) == 404


def test_an_owner_may_have_so_many_jobs_waiting(parts: Parts) -> None:
    parts.settings = parts.settings.replace(queued_per_owner=2)
    parts.restart()
    first = parts.submit("ada")
    parts.submit("ada")
    with pytest.raises(TooManyJobs) as refused:
        parts.submit("ada")
    assert refused.value.status == 429
    parts.submit("bob")
    parts.scheduler.cancel(first)
    parts.submit("ada")


def test_a_job_needs_its_input(parts: Parts) -> None:
    with pytest.raises(InputGone):
        parts.submit(input_sha256="0" * 64)
