"""The races of the delay scheme (reference, end of 1.3 and 1.4), made to happen, against a real beanstalkd.

A step is interrupted by putting something else in front of it: the broker is stopped, the connection cut, another
worker comes first.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import greenstalk
import pytest
from scheduler_parts import Brokers, Parts, Worker

from scheduler import contract
from scheduler.connection import Connection, QueueDown, Reserved
from scheduler.jobs import handle_of

NewWorker = Callable[[str], Worker]


def entry(parts: Parts, bare: greenstalk.Client, uuid: str) -> dict[str, Any]:
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    return dict(bare.stats_job(handle.job_id))


def before(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, act: Callable[[], None]) -> None:
    """Do `act` once, just before the next call of a method."""
    method = getattr(owner, name)

    def acted(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, method)
        act()
        return method(*arguments, **options)

    monkeypatch.setattr(owner, name, acted)


@pytest.fixture
def stop(brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Stops beanstalkd, as a partition does; commands wait for half a second only."""
    monkeypatch.setattr("scheduler.connection.COMMAND_SECONDS", 0.5)
    return lambda: signal_to(brokers, signal.SIGSTOP)


def signal_to(brokers: Brokers, which: signal.Signals) -> None:
    assert brokers.running is not None
    os.kill(brokers.running.process.pid, which)


def test_a_broker_stopped_in_the_middle_of_a_claim(
    parts: Parts, brokers: Brokers, new_worker: NewWorker, stop: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    before(monkeypatch, Reserved, "release", stop)
    worker = new_worker("w1")
    claim = worker.claim()
    signal_to(brokers, signal.SIGCONT)
    assert new_worker("w2").reserve() is None
    assert worker.say(contract.START, claim).status_code == 200
    assert worker.finish(claim).status_code == 200
    assert parts.job(uuid)["attempt"] == 1


@pytest.mark.parametrize("message", [contract.START, contract.EXTEND])
def test_a_broker_stopped_while_a_lease_is_extended(
    parts: Parts, brokers: Brokers, new_worker: NewWorker, stop: Callable[[], None], message: str
) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    worker = new_worker("w1")
    claim = worker.claim() if message == contract.START else worker.begin()
    until = parts.job(uuid)["lease"]["until"]
    stop()
    assert worker.say(message, claim).status_code == 200, "the lease is in the document"
    assert parts.job(uuid)["lease"]["until"] > until
    signal_to(brokers, signal.SIGCONT)
    assert new_worker("w2").reserve() is None
    assert worker.finish(claim).status_code == 200


def test_a_broker_stopped_while_a_job_is_put_keeps_no_job_that_was_refused(
    parts: Parts,
    brokers: Brokers,
    worker: Worker,
    bare: greenstalk.Client,
    stop: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It finds the put in its socket when it goes on, and obeys."""
    monkeypatch.setattr("scheduler.entering.WAIT_SECONDS", 1.0)
    before(monkeypatch, Connection, "put_all", stop)
    with pytest.raises(QueueDown):
        parts.submit()
    signal_to(brokers, signal.SIGCONT)
    bare.watch("zooscope.preview")
    bare.release(bare.reserve(timeout=10), priority=0)
    assert worker.reserve() is None
    assert bare.stats()["current-jobs-ready"] + bare.stats()["current-jobs-delayed"] == 0
    assert parts.scheduler.jobs_of("ada").total == 0


def test_the_connection_lost_between_reserve_job_and_release(
    parts: Parts, new_worker: NewWorker, bare: greenstalk.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Race 1: the entry is ready at once, while the worker runs."""
    uuid = parts.submit(estimate_seconds=30.0)
    worker = new_worker("w1")
    claim = worker.begin()
    exchange = Connection.exchange

    def cut(connection: Connection, *commands: bytes) -> Any:
        """Of what is sent together only the beginning arrives."""
        answers = exchange(connection, *commands[:1])
        if commands[0].startswith(b"reserve-job"):
            raise ConnectionResetError
        return answers + exchange(connection, *commands[1:])

    monkeypatch.setattr(Connection, "exchange", cut)
    assert worker.say(contract.EXTEND, claim).status_code == 200
    monkeypatch.setattr(Connection, "exchange", exchange)
    assert entry(parts, bare, uuid)["state"] == "ready"
    assert new_worker("w2").reserve() is None
    assert entry(parts, bare, uuid)["state"] == "delayed"
    assert worker.finish(claim).status_code == 200


def test_a_claim_slower_than_its_reservation_loses_to_a_quicker_one(
    parts: Parts, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Race 2: beanstalkd gives the entry to somebody else, and only one of them gets a lease."""
    monkeypatch.setattr("scheduler.queue.RESERVED_SECONDS", 1)
    uuid = parts.submit(estimate_seconds=30.0)
    quick, quicker = new_worker("quick"), []

    def outrun() -> None:
        # beanstalkd 1.12 ends no reservation for whom it hears from in its last moments: it is over before it is asked.
        time.sleep(1.1)
        quicker.append(quick.claim())

    before(monkeypatch, parts.scheduler._claims, "lease", outrun)
    assert new_worker("slow").reserve() is None
    (claim,) = quicker
    assert quick.say(contract.START, claim).status_code == 200
    assert quick.finish(claim).status_code == 200
    assert parts.job(uuid)["attempt"] == 1


@pytest.mark.parametrize("message", [contract.START, contract.EXTEND, contract.RELEASE, contract.FAIL, contract.RESULT])
def test_a_stale_worker_does_not_touch_the_new_owners_entry(
    parts: Parts, new_worker: NewWorker, bare: greenstalk.Client, message: str
) -> None:
    """Race 3: beanstalkd would let it, only the lease does not."""
    uuid = parts.submit(estimate_seconds=100.0)
    stale, owner = new_worker("stale"), new_worker("owner")
    old = stale.begin()
    parts.scheduler._jobs.change(uuid, lambda body: body["lease"].update(until=0.0))
    bare.kick_job(handle_of(parts.job(uuid)).job_id)  # type: ignore[union-attr]
    new = owner.begin()
    before_it = entry(parts, bare, uuid)
    words: dict[str, Any] = {"code": "x", "message": "y", "retry": True, "files": [{"name": "overlay.png"}]}
    assert stale.say(message, old, **words).status_code == 409
    after_it = entry(parts, bare, uuid)
    assert (after_it["state"], after_it["releases"]) == ("delayed", before_it["releases"])
    assert after_it["time-left"] > 90
    assert owner.finish(new).status_code == 200


def test_an_extension_while_somebody_has_the_entry_reserved_leaves_it_to_them(
    parts: Parts, new_worker: NewWorker, brokers: Brokers, bare: greenstalk.Client
) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    worker = new_worker("w1")
    claim = worker.begin()
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    with brokers.client() as somebody:
        somebody.reserve_job(handle.job_id)
        assert worker.say(contract.EXTEND, claim).status_code == 200
        assert entry(parts, bare, uuid)["state"] == "reserved"
    assert new_worker("w2").reserve() is None
    assert worker.finish(claim).status_code == 200
    assert parts.job(uuid)["attempt"] == 1


def test_two_watchdogs_extend_one_job(parts: Parts, new_worker: NewWorker, bare: greenstalk.Client) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    worker = new_worker("w1")
    claim = worker.begin()
    watchdogs = [new_worker("w1"), new_worker("w1")]

    def extend(watchdog: Worker) -> set[int]:
        return {watchdog.say(contract.EXTEND, claim).status_code for _ in range(10)}

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(extend, watchdogs)) == [{200}, {200}]
    assert entry(parts, bare, uuid)["state"] == "delayed"
    assert new_worker("w2").reserve() is None
    assert worker.finish(claim).status_code == 200
    assert bare.stats()["current-jobs-delayed"] + bare.stats()["current-jobs-ready"] == 0


def test_an_id_that_the_binlog_gives_out_again_is_another_job(
    parts: Parts, brokers: Brokers, new_worker: NewWorker
) -> None:
    """Race 4, with the binlog: when all its jobs are gone, ids begin again at 1."""
    first = parts.submit()
    handle = handle_of(parts.job(first))
    worker = new_worker("w1")
    claim = worker.begin()
    assert worker.finish(claim).status_code == 200
    for _ in range(3):
        brokers.kill()
        brokers.start()
    second = parts.submit()
    assert handle is not None
    assert handle_of(parts.job(second)).job_id == handle.job_id  # type: ignore[union-attr]
    assert worker.finish_refused(claim).status_code == 200, "the result of the first, told again"
    parts.scheduler.delete(first)
    assert worker.claim().uuid == second


def test_while_the_broker_drains_running_jobs_end_with_their_logs(
    parts: Parts, brokers: Brokers, worker: Worker
) -> None:
    uuid, failing = parts.submit("ada"), parts.submit("ben")
    claim, other = worker.begin(), worker.begin()
    assert worker.say(contract.LOG, claim, sequence=0, text="before\n").status_code == 200
    signal_to(brokers, signal.SIGUSR1)
    for _ in range(2):
        for sequence, text in enumerate(("during\n", "during\n"), 1):
            assert worker.say(contract.LOG, claim, sequence=sequence, text=text).status_code == 200
    assert parts.scheduler.log_text(uuid) == "before\nduring\nduring\n"
    assert worker.say(contract.FAIL, other, code="boom", message="It broke.", retry=True).status_code == 200
    assert worker.finish(claim).status_code == 200
    assert parts.scheduler.log_text(uuid) == "before\nduring\nduring\n"
    again = worker.begin()
    assert (again.uuid, again.attempt) == (failing, 2)
    assert worker.finish(again).status_code == 200


def test_a_body_of_65536_bytes_is_refused_and_the_connection_goes_on(parts: Parts, bare: greenstalk.Client) -> None:
    with pytest.raises(greenstalk.JobTooBigError):
        bare.put(b"x" * 65_536)
    with pytest.raises(QueueDown):
        parts.scheduler._queue.put("zooscope.preview", b"x" * 65_536)
    assert bare.put(b"x" * 65_535)
    assert parts.submit()
