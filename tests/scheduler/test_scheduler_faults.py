"""beanstalkd killed, restarted, stopped and drained; a scheduler that ends between two steps: nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import greenstalk
import pytest
from scheduler_parts import Brokers, Parts, Worker

from scheduler import contract
from scheduler.connection import QueueDown, QueueDraining
from scheduler.jobs import handle_of, new_body
from scheduler.maintenance import put_entry

NewWorker = Callable[[str], Worker]


def recover(parts: Parts) -> None:
    parts.scheduler.maintenance.recover()


def test_a_broker_killed_and_restarted_loses_nothing(parts: Parts, brokers: Brokers, new_worker: NewWorker) -> None:
    queued, running = parts.submit(), parts.submit(estimate_seconds=60.0)
    done = parts.submit()
    worker = new_worker("w1")
    claims = {claim.uuid: claim for claim in (worker.begin(), worker.begin(), worker.begin())}
    assert worker.finish(claims[done]).status_code == 200
    assert worker.say(contract.RELEASE, claims[queued]).status_code == 200
    worker.say(contract.LOG, claims[running], sequence=0, text="before\n")

    brokers.kill()
    brokers.start()

    assert worker.say(contract.LOG, claims[running], sequence=1, text="after\n").status_code == 200
    assert worker.claim().uuid == queued
    assert new_worker("w2").reserve() is None
    assert worker.finish(claims[running]).status_code == 200
    assert parts.scheduler.log_text(running) == "before\nafter\n"
    assert [parts.job(uuid)["state"] for uuid in (running, done)] == ["done", "done"]


def test_a_broker_lost_with_its_binlog_gets_every_job_again(
    parts: Parts, brokers: Brokers, new_worker: NewWorker
) -> None:
    queued, running = parts.submit(), parts.submit(estimate_seconds=60.0)
    worker = new_worker("w1")
    first, second = worker.begin(), worker.begin()
    assert worker.say(contract.RELEASE, first).status_code == 200
    brokers.kill()
    brokers.start(binlog=False)
    parts.restart()

    worker = new_worker("w1")
    assert worker.claim().uuid == queued
    with brokers.client() as bare:
        assert bare.stats()["current-jobs-delayed"] == 2
    assert worker.finish(second).status_code == 200
    assert parts.job(running)["state"] == "done"


def test_an_idle_reserve_finds_what_was_lost(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    assert worker.reserve() is None
    uuid = parts.submit()
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    bare.delete(handle.job_id)
    parts.scheduler.maintenance._looked_at -= 60.0
    assert worker.claim().uuid == uuid


def test_a_job_that_never_had_an_entry_is_queued(parts: Parts, worker: Worker) -> None:
    """As an earlier version left them, when it was cut off between the document and the queue."""
    body = new_body(parts.request(), 1.0, 5, 0, time.time())
    parts.scheduler._jobs.create_all([body])
    assert worker.claim().uuid == body["uuid"]


def test_recovery_leaves_sound_entries_alone(parts: Parts, bare: greenstalk.Client) -> None:
    parts.submit()
    recover(parts)
    assert bare.stats()["current-jobs-ready"] == 1


def test_a_second_entry_of_a_job_is_deleted(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit(estimate_seconds=60.0)
    stale = parts.scheduler._jobs.get(uuid).body | {
        "queue": {"tube": "zooscope.preview", "job_id": None, "broker": None, "priority": 0}
    }
    put_entry(parts.scheduler._queue, parts.scheduler._tokens, parts.scheduler._jobs, stale)
    assert bare.stats()["current-jobs-ready"] == 2
    claim = worker.begin()
    assert worker.reserve(1.0) is None
    assert bare.stats()["current-jobs-ready"] + bare.stats()["current-jobs-delayed"] == 1
    assert worker.finish(claim).status_code == 200


def test_a_reused_id_does_not_harm_the_other_job(parts: Parts, brokers: Brokers, worker: Worker) -> None:
    first = parts.submit()
    handle = handle_of(parts.job(first))
    brokers.kill()
    brokers.start(binlog=False)
    second = parts.submit()
    assert handle is not None
    assert handle_of(parts.job(second)).job_id == handle.job_id  # type: ignore[union-attr]
    parts.scheduler.cancel(first)
    assert worker.claim().uuid == second


def test_without_a_broker_submissions_are_refused_and_nothing_half_accepted(
    parts: Parts, brokers: Brokers, worker: Worker
) -> None:
    kept = parts.submit()
    brokers.kill()
    with pytest.raises(QueueDown) as refused:
        parts.submit()
    assert refused.value.status == 503
    assert parts.scheduler.jobs_of("ada").total == 1
    answer = worker.post(contract.RESERVE, {"worker": "w1", "timeout_seconds": 0})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert parts.scheduler.status()["beanstalkd"] == "down"
    brokers.start()
    assert worker.claim().uuid == kept


def test_a_result_is_taken_while_the_broker_is_away(parts: Parts, brokers: Brokers, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    worker.say(contract.LOG, claim, sequence=0, text="a line\n")
    brokers.kill()
    assert worker.finish(claim).status_code == 200
    assert parts.job(uuid)["state"] == "done"
    brokers.start()
    time.sleep(1.1)  # the delay of the entry that is still there
    assert worker.reserve() is None
    assert parts.scheduler.log_text(uuid) == "a line\n"
    with brokers.client() as bare:
        assert bare.stats()["current-jobs-delayed"] + bare.stats()["current-jobs-ready"] == 0


def test_a_broker_that_hangs_is_down_after_a_while(
    parts: Parts, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.connection.COMMAND_SECONDS", 0.5)
    assert brokers.running is not None
    os.kill(brokers.running.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(QueueDown):
            parts.submit()
    finally:
        os.kill(brokers.running.process.pid, signal.SIGCONT)
    assert parts.scheduler.jobs_of("ada").total == 0
    assert parts.submit()


def test_a_draining_broker_takes_no_new_jobs_and_hands_out_the_old(
    parts: Parts, brokers: Brokers, worker: Worker
) -> None:
    uuid = parts.submit()
    assert brokers.running is not None
    os.kill(brokers.running.process.pid, signal.SIGUSR1)
    with pytest.raises(QueueDraining):
        parts.submit()
    assert parts.scheduler.status()["beanstalkd"] == "draining"
    assert parts.scheduler.jobs_of("ada").total == 1
    assert worker.claim().uuid == uuid


def test_a_scheduler_cut_off_between_lease_and_release(
    parts: Parts, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is open, the entry still reserved when the process ends: it comes back at once, and must wait."""
    uuid = parts.submit()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("scheduler.connection.Reserved.release", killed)
    with pytest.raises(Killed):
        new_worker("w1").claim()
    monkeypatch.undo()
    parts.restart()
    worker = new_worker("w2")
    began = time.monotonic()
    assert worker.reserve() is None
    assert worker.claim().uuid == uuid
    assert time.monotonic() - began > 0.5


@pytest.mark.parametrize("step", ["scheduler.logs.Logs.drain", "scheduler.queue.Queue.delete"])
def test_a_scheduler_cut_off_after_the_result(
    parts: Parts, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch, bare: greenstalk.Client, step: str
) -> None:
    uuid = parts.submit()
    worker = new_worker("w1")
    claim = worker.begin()
    worker.say(contract.LOG, claim, sequence=0, text="kept\n")

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(step, killed)
    with pytest.raises(Killed):
        worker.finish(claim)
    monkeypatch.undo()
    parts.restart()
    assert parts.job(uuid)["state"] == "done"
    assert new_worker("w2").reserve(2.0) is None
    assert parts.scheduler.log_text(uuid) == "kept\n"
    assert bare.stats()["current-jobs-delayed"] + bare.stats()["current-jobs-ready"] == 0


def test_many_threads_share_one_scheduler(parts: Parts, new_worker: NewWorker, bare: greenstalk.Client) -> None:
    """Eight workers and eight submitters at once: every job is done exactly once."""

    def submit(number: int) -> str:
        return parts.submit(owner=f"owner-{number % 8}", estimate_seconds=30.0)

    def work(number: int) -> None:
        worker = workers[number]
        while len(done) < 24 and time.monotonic() < deadline:
            if (claim := worker.reserve(0.2)) is None:
                continue
            assert worker.say(contract.START, claim).status_code == 200
            assert worker.say(contract.LOG, claim, sequence=0, text="x\n").status_code == 200
            assert worker.finish(claim).status_code == 200
            done.append(claim.uuid)

    # Not made in the threads: Werkzeug compiles rules, and Python 3.11 may fail when several threads do at once.
    workers = [new_worker(f"w{number}") for number in range(8)]
    done: list[str] = []
    deadline = time.monotonic() + 60.0
    with ThreadPoolExecutor(16) as pool:
        working = [pool.submit(work, number) for number in range(8)]
        uuids = sorted(pool.map(submit, range(24)))
        for one in working:
            one.result()
    assert sorted(done) == uuids
    assert {parts.job(uuid)["state"] for uuid in uuids} == {"done"}
    assert {parts.scheduler.log_text(uuid) for uuid in uuids} == {"x\n"}
    recover(parts)
    assert not [tube for tube in bare.tubes() if tube.startswith("log.")]
    assert bare.stats()["current-jobs-delayed"] + bare.stats()["current-jobs-ready"] == 0
