"""Who works: what workers say, written now and then, shared by replicas, and who is being drained."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from scheduler_parts import Parts, Worker

from scheduler import clock, contract
from scheduler.contract import ReserveRequest
from scheduler.reserving import Draining
from scheduler.workers import COLLECTION, FORGET_SECONDS, WorkerMissing, Workers
from zoo.documents import DocumentMissing, DocumentsUnavailable


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1e9

    def now(self) -> float:
        return self.at

    monotonic = now


@pytest.fixture
def watch() -> Any:
    watch = Watch()
    with clock.replaced(watch):
        yield watch


def states(workers: Workers) -> dict[str, str]:
    return {worker["name"]: worker["state"] for worker in workers.present()}


def test_what_one_replica_hears_the_others_know(parts: Parts, watch: Watch) -> None:
    here, there = Workers(parts.documents), Workers(parts.documents)
    here.says("w1", phase="starting", device="gpu:0", kinds=["preview"], gpu_formats=["keras"], gpu_memory_gb=15.0)
    here.says("w2", phase="waiting", kinds=["preview"])
    watch.at += 2
    assert states(there) == {"w1": "starting", "w2": "waiting"}
    here.working("w1", "gpu:0", "a" * 32)
    watch.at += 3
    here.working("w1", "gpu:0", "a" * 32)
    assert states(here)["w1"] == "working"
    assert states(there)["w1"] == "working"
    watch.at += 1
    # It may ask the other replica for its next job: the newer word counts, at either.
    there.waiting("w1", models=["m"])
    watch.at += 3
    there.waiting("w1", models=["m"])
    watch.at += 1
    assert states(there)["w1"] == states(here)["w1"] == "waiting"
    assert here.one("w1")["models"] == ["m"]
    assert [ability.gpu_memory_gb for ability in there.abilities()] == [15.0, 0.0]


def test_little_is_written_however_much_workers_say(parts: Parts, watch: Watch) -> None:
    workers, written = Workers(parts.documents), []

    def revision() -> str:
        return parts.documents.get(COLLECTION, "w1").revision

    for number in range(1000):
        watch.at += 0.01
        if number % 2:
            workers.waiting("w1", kinds=["preview"])
        else:
            workers.working("w1", "cpu", "a" * 32)
        written.append(revision())
    assert len(set(written)) <= 8
    assert states(workers) == {"w1": "waiting"}
    before = revision()
    watch.at += 16
    workers.waiting("w1", kinds=["preview"])
    assert revision() != before


def test_a_worker_that_is_silent_for_a_minute_is_gone_and_after_a_month_forgotten(parts: Parts, watch: Watch) -> None:
    workers = Workers(parts.documents)
    workers.waiting("w1", kinds=["preview"])
    watch.at += 59
    assert states(workers) == {"w1": "waiting"}
    watch.at += 2
    assert states(workers) == {}
    assert workers.abilities() == []
    assert [worker["name"] for worker in workers.known()] == ["w1"]
    watch.at += FORGET_SECONDS
    workers.forget_old()
    with pytest.raises(DocumentMissing):
        parts.documents.get(COLLECTION, "w1")
    assert workers.known() == []


def test_a_drained_worker_is_known_as_such_at_once_and_everywhere(parts: Parts, watch: Watch) -> None:
    here, there = Workers(parts.documents), Workers(parts.documents)
    here.waiting("w1", kinds=["preview"])
    assert there.drain("w1")["state"] == "draining"
    assert here.draining("w1")
    watch.at += 1
    assert states(here) == states(there) == {"w1": "draining"}
    here.working("w1", "cpu", "a" * 32)
    assert here.one("w1")["state"] == "working"
    assert here.one("w1")["draining"]
    # What it says about itself does not end it; only an operator does.
    watch.at += 20
    here.waiting("w1", kinds=["preview"])
    assert there.draining("w1")
    assert not there.drain("w1", on=False)["draining"]
    assert not here.draining("w1")
    with pytest.raises(WorkerMissing):
        here.drain("nobody")


def test_what_is_heard_never_fails_for_the_documents_sake(
    parts: Parts, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(parts.documents)

    def away(*arguments: Any, **named: Any) -> None:
        raise DocumentsUnavailable("The disk is away.")

    with monkeypatch.context() as patched:
        patched.setattr(parts.documents, "create", away)
        workers.waiting("w1", kinds=["preview"])
    workers.waiting("w1", kinds=["preview"])
    assert parts.documents.get(COLLECTION, "w1").body["kinds"] == ["preview"]


def test_many_threads_lose_nothing_that_a_worker_says(parts: Parts) -> None:
    workers = [Workers(parts.documents) for _ in range(3)]
    threads = [
        threading.Thread(target=workers[index % 3].waiting, args=(f"w{index}",), kwargs={"device": f"gpu:{index}"})
        for index in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {worker["name"]: worker["device"] for worker in Workers(parts.documents).present()} == {
        f"w{index}": f"gpu:{index}" for index in range(12)
    }


def test_a_drained_worker_is_given_nothing_and_told_so(parts: Parts, worker: Worker) -> None:
    worker.reserve()
    parts.scheduler.workers.drain("w1")
    uuid = parts.submit()
    answer = worker.post(contract.RESERVE, {"worker": "w1", "timeout_seconds": 0})
    assert answer.status_code == 204
    assert "drained" in answer.headers[contract.DRAINING_HEADER]
    alive = worker.post(contract.ALIVE, {"about": {"worker": "w1"}, "phase": "working", "job": uuid})
    assert alive.json == {"draining": True}
    parts.scheduler.workers.drain("w1", on=False)
    assert worker.claim().uuid == uuid


def test_a_worker_that_waits_while_it_is_drained_takes_nothing(parts: Parts) -> None:
    ended: list[BaseException] = []
    entered = threading.Event()
    parts.scheduler.reserve(ReserveRequest("w1", timeout_seconds=0.0))

    def gone() -> bool:
        entered.set()
        return False

    def wait() -> None:
        try:
            parts.scheduler.reserve(ReserveRequest("w1", timeout_seconds=3.0), gone)
        except Draining as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert entered.wait(10)
    parts.scheduler.workers.drain("w1")
    uuid = parts.submit()
    other = parts.scheduler.reserve(ReserveRequest("w2", timeout_seconds=5.0))
    assert other is not None
    assert other.uuid == uuid
    thread.join()
    assert len(ended) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"about": "w1", "phase": "working"},
        {"about": {"worker": "w1"}, "phase": "sleeping"},
        {"about": {"worker": "w1"}, "phase": "working", "job": 3},
        {"about": {"worker": "w1"}, "phase": "working", "job": "x" * 100_000},
        {"about": {"worker": 7}, "phase": "starting"},
        {"phase": "starting"},
    ],
)
def test_a_sign_of_life_that_makes_no_sense_is_refused(worker: Worker, body: dict[str, Any]) -> None:
    assert worker.post(contract.ALIVE, body).status_code == 400
