"""Many jobs submitted in one request: each accepted or not for itself, in the order they would have one by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import greenstalk
import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract
from scheduler.connection import Connection, QueueDown, QueueFull
from scheduler.entering import WAIT_SECONDS
from scheduler.jobs import handle_of
from scheduler.limits import TooManyJobs
from scheduler.queue import Handle, Put
from scheduler.service import InputGone
from zoo.disk import DiskFull
from zoo.document_fields import DocumentInvalid
from zoo.errors import ZooscopeError
from zoo.identifiers import new_uuid
from zoo.secrets import SERVICE_TOKEN, read_or_make_key


def post(parts: Parts, worker: Worker, jobs: object, **headers: str) -> Any:
    shown = {"Authorization": f"Bearer {read_or_make_key(parts.settings, SERVICE_TOKEN)}"} | headers
    return worker.client.post(contract.path(contract.SUBMIT_ALL), json={"jobs": jobs}, headers=shown)


def test_jobs_of_one_request_are_done_by_a_worker(parts: Parts, worker: Worker) -> None:
    answer = post(parts, worker, [asdict(parts.request(owner)) for owner in ("ada", "bob", "ada")])
    assert answer.status_code == 200
    uuids = [one["job"]["uuid"] for one in answer.json["jobs"]]
    assert [parts.job(uuid)["owner"] for uuid in uuids] == ["ada", "bob", "ada"]
    taken = []
    for _ in uuids:
        claim = worker.begin()
        taken.append(claim.uuid)
        worker.finish(claim)
    # Ada's second job lets Bob's first one pass.
    assert taken == uuids
    assert {parts.job(uuid)["state"] for uuid in uuids} == {"done"}


def test_turns_and_places_are_those_of_one_by_one(parts: Parts) -> None:
    owners = ["ada", "ada", "bob", "ada", "bob", "eve"]
    together = [job["queue"]["priority"] for job in accepted(parts, owners[:4])]
    together += [job["queue"]["priority"] for job in accepted(parts, owners[4:])]
    for job in [job for owner in set(owners) for job in parts.scheduler.jobs_of(owner).items]:
        parts.scheduler.cancel(job.id)
    assert together == [parts.job(parts.submit(owner))["queue"]["priority"] for owner in owners]


def accepted(parts: Parts, owners: list[str]) -> list[dict[str, Any]]:
    outcomes = parts.scheduler.submit_all([parts.request(owner) for owner in owners])
    assert not [one for one in outcomes if isinstance(one, ZooscopeError)]
    return outcomes  # type: ignore[return-value]


def test_what_cannot_be_accepted_does_not_keep_the_others_out(parts: Parts, worker: Worker) -> None:
    jobs = [asdict(parts.request(input_sha256=sha256)) for sha256 in (parts.input_sha256, "0" * 64)]
    told = post(parts, worker, jobs).json["jobs"]
    assert told[0]["job"]["state"] == "queued"
    assert told[1]["error"]["code"] == InputGone.code
    assert parts.scheduler.status()["queued"] == 1


def test_what_no_document_can_hold_does_not_keep_the_others_out(parts: Parts) -> None:
    requests = [parts.request(), parts.request(settings={"note": "\ud800"}), parts.request("bob")]
    outcomes = parts.scheduler.submit_all(requests)
    assert [type(one) for one in outcomes] == [dict, DocumentInvalid, dict]
    assert parts.scheduler.status()["queued"] == 2


def test_what_no_document_can_hold_leaves_no_entry(parts: Parts, bare: greenstalk.Client) -> None:
    parts.scheduler.submit_all([parts.request(settings={"note": "\ud800"}), parts.request("bob")])
    stats = bare.stats()
    assert (stats["current-jobs-ready"], stats["current-jobs-delayed"]) == (1, 0)


def test_a_disk_that_is_full_leaves_no_entry(
    parts: Parts, bare: greenstalk.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entries are queued; the documents cannot be stored."""

    def full(*_: object) -> None:
        raise DiskFull(parts.settings.data)

    monkeypatch.setattr(parts.scheduler._jobs, "create_all", full)
    with pytest.raises(DiskFull):
        parts.scheduler.submit_all([parts.request(), parts.request("bob")])
    assert [parts.scheduler.jobs_of(owner).total for owner in ("ada", "bob")] == [0, 0]
    assert bare.stats()["current-jobs-ready"] + bare.stats()["current-jobs-delayed"] == 0


def test_jobs_that_cannot_be_handed_out_at_once_are_accepted_all_the_same(
    parts: Parts, worker: Worker, bare: greenstalk.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise ConnectionResetError("cut")

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "exchange", cut)
        uuid = parts.submit()
    bare.use("zooscope.preview")
    waiting = bare.stats_job(bare.peek_delayed())
    assert waiting["delay"] == WAIT_SECONDS
    assert worker.reserve() is None
    # Its time has come.
    bare.kick_job(waiting["id"])
    assert worker.claim().uuid == uuid


def test_a_queue_that_took_nothing_is_not_asked_again(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def down(*_: object) -> None:
        asked.append(1)
        raise QueueDown("It is away.")

    monkeypatch.setattr(parts.scheduler._queue, "run", down)
    with pytest.raises(QueueDown):
        parts.submit()
    assert len(asked) == 1


def test_an_entry_of_an_earlier_run_of_beanstalkd_is_not_made_ready(parts: Parts) -> None:
    queue = parts.scheduler._queue
    (handle,) = queue.put_all([Put("some", b"one", 1, 30.0)])
    assert isinstance(handle, Handle)
    queue.stop_waiting([replace(handle, broker="an earlier run")])
    assert queue.stats()["current-jobs-delayed"] == 1
    queue.stop_waiting([handle, replace(handle, job_id=999_999)])
    assert queue.stats()["current-jobs-delayed"] == 0


def test_the_limit_counts_what_comes_in_the_same_request(parts: Parts) -> None:
    limit = parts.settings.queued_per_owner
    outcomes = parts.scheduler.submit_all([parts.request("ada")] * (limit + 2) + [parts.request("bob")])
    assert [isinstance(one, TooManyJobs) for one in outcomes] == [False] * limit + [True] * 2 + [False]


def test_a_list_sent_twice_under_one_key_is_accepted_once(parts: Parts, worker: Worker) -> None:
    jobs = [asdict(parts.request(owner)) for owner in ("ada", "ada")]
    first, again = (post(parts, worker, jobs, **{contract.IDEMPOTENCY_KEY: "a-key-of-mine"}) for _ in range(2))
    uuids = [[one["job"]["uuid"] for one in answer.json["jobs"]] for answer in (first, again)]
    assert uuids[0] == uuids[1]
    assert len(set(uuids[0])) == 2
    assert parts.scheduler.status()["queued"] == 2


@pytest.mark.parametrize("jobs", [[], "all", [1], [{}], None], ids=["none", "text", "a number", "an empty job", "null"])
def test_lists_that_are_none_are_refused(parts: Parts, worker: Worker, jobs: object) -> None:
    answer = post(parts, worker, jobs)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad-message")


def test_more_than_a_request_may_hold_are_refused(parts: Parts, worker: Worker) -> None:
    answer = post(parts, worker, [asdict(parts.request())] * (contract.MOST_AT_ONCE + 1))
    assert answer.status_code == 400
    assert str(contract.MOST_AT_ONCE) in answer.json["error"]["hint"]
    assert parts.scheduler.status()["queued"] == 0


def test_submissions_of_many_threads_are_all_accepted_once(parts: Parts) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda number: parts.scheduler.submit(parts.request(f"owner{number % 5}")), range(64)))
    assert len({job["uuid"] for job in jobs}) == 64
    assert parts.scheduler.status()["queued"] == 64
    handles = {(job["queue"]["job_id"], job["queue"]["broker"]) for job in jobs}
    assert len(handles) == 64


def test_without_a_queue_none_of_them_is_accepted(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise ConnectionResetError("cut")

    monkeypatch.setattr(Connection, "put_all", cut)
    outcomes = parts.scheduler.submit_all([parts.request()] * 3)
    assert [type(one) for one in outcomes] == [QueueDown] * 3
    assert parts.scheduler.jobs_of("ada").total == 0


def test_what_beanstalkd_refuses_is_told_and_the_connection_stays_in_step(parts: Parts) -> None:
    queue = parts.scheduler._queue
    large = b"x" * 70_000
    outcomes = queue.put_all([Put("some", b"one", 1, 0.0), Put("some", large, 1, 0.0), Put("other", b"two", 1, 5.0)])
    assert [type(one) for one in outcomes] == [Handle, QueueDown, Handle]
    assert isinstance(outcomes[0], Handle)
    assert isinstance(outcomes[2], Handle)
    assert queue.peek(outcomes[0].job_id) == b"one"
    assert queue.peek(outcomes[2].job_id) == b"two"


def test_a_full_binlog_is_told_as_such(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([b"INSERTED 7\r\nOUT_OF_MEM", b"ORY\r\n"])

    class Told:
        """A socket on which beanstalkd answers in pieces."""

        def sendall(self, data: bytes) -> None:
            assert data.count(b"put ") == 2

        def recv(self, size: int) -> bytes:
            return next(answers)

    with parts.scheduler._queue.connection() as connection:
        monkeypatch.setattr(connection, "_socket", Told())
        outcomes = connection.put_all([(b"one", 1, 0), (b"two", 1, 0)], 60)
        monkeypatch.undo()
    assert outcomes[0] == 7
    assert isinstance(outcomes[1], QueueFull)


def test_answers_with_data_arrive_in_pieces(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [b"FOUND 3 ", b"5\r\na\r\nbc\r", b"\nNOT_", b"FOUND\r\nDELETED\r\n"]

    class Told:
        def sendall(self, data: bytes) -> None:
            assert data == b"peek 3\r\npeek 4\r\ndelete 5\r\n"

        def recv(self, size: int) -> bytes:
            return pieces.pop(0)

    with parts.scheduler._queue.connection() as connection:
        monkeypatch.setattr(connection, "_socket", Told())
        found, missing, deleted = connection.exchange(b"peek 3", b"peek 4", b"delete 5")
        monkeypatch.undo()
    assert (found.words, found.data) == ([b"FOUND", b"3", b"5"], b"a\r\nbc")
    assert not missing.says(b"FOUND")
    assert deleted.says(b"DELETED")
    with pytest.raises(QueueDown):
        deleted.says(b"RELEASED")


def test_after_a_restart_an_entry_is_looked_at_before_anything_is_done_to_it(parts: Parts) -> None:
    queue = parts.scheduler._queue
    handle = handle_of(parts.job(parts.submit()))
    assert handle is not None
    before = replace(handle, broker="an earlier run")
    assert not queue.delete(before, new_uuid())
    assert not queue.delay_again(before, new_uuid(), 30.0, 5)
    assert not queue.bury(before, new_uuid())
    assert queue.peek(handle.job_id) is not None


def test_a_refusal_does_not_cost_the_connection(parts: Parts) -> None:
    queue = parts.scheduler._queue
    before = int(queue.stats()["total-connections"])
    assert queue.peek(999_999) is None
    assert not queue.has_tube("nobody-has-this")
    assert not queue.delete(Handle(999_999, "gone"), "0" * 32)
    with pytest.raises(greenstalk.NotFoundError):
        queue.run(lambda connection: connection.client.kick_job(999_999))
    assert int(queue.stats()["total-connections"]) == before
