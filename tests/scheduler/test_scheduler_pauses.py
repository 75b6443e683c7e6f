"""The pause switch holds whatever becomes of beanstalkd, of the scheduler, and of the replica that was told."""

from __future__ import annotations

import threading

import greenstalk
import pytest
from scheduler_parts import Brokers, Parts, Worker

from scheduler import pauses
from scheduler.clock import now
from scheduler.contract import Claim
from scheduler.service import Scheduler


@pytest.fixture
def other(parts: Parts) -> Scheduler:
    """Another replica on the same documents and queue."""
    return Scheduler(parts.documents, parts.blobs, parts.settings)


def test_a_pause_outlives_beanstalkd(parts: Parts, brokers: Brokers, worker: Worker) -> None:
    uuid = parts.submit()
    parts.scheduler.pause("preview", 600)
    brokers.kill()
    brokers.start()
    assert worker.reserve(0.0) is None
    assert 590 <= parts.scheduler.paused()["preview"] <= 600
    parts.scheduler.pause("preview", 0)
    assert worker.claim().uuid == uuid


def test_a_pause_outlives_the_scheduler(parts: Parts, worker: Worker, other: Scheduler) -> None:
    parts.scheduler.pause("preview", 600)
    assert list(other.paused()) == ["preview"]
    other.close()


def test_beanstalkd_forgets_the_pause_of_an_empty_tube_but_it_holds(
    parts: Parts, worker: Worker, bare: greenstalk.Client
) -> None:
    parts.scheduler.pause("preview", 600)
    parts.submit()
    assert bare.stats_tube("zooscope.preview")["pause-time-left"] == 0
    assert worker.reserve(0.0) is None


def test_a_request_that_waits_already_is_paused_and_resumed(
    parts: Parts, worker: Worker, bare: greenstalk.Client
) -> None:
    claims: list[Claim | None] = []
    thread = threading.Thread(target=lambda: claims.append(worker.reserve(5.0)))
    thread.start()
    while not bare.stats()["current-waiting"]:
        assert thread.is_alive()
    parts.scheduler.pause("preview", 600)
    uuid = parts.submit()
    thread.join(2.0)
    assert claims == []
    parts.scheduler.pause("preview", 0)
    thread.join()
    [claim] = claims
    assert claim is not None
    assert claim.uuid == uuid


def test_a_pause_ends_by_itself(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    parts.scheduler.pause("preview", 1)
    ends = now() + 0.5
    assert worker.claim().uuid == uuid
    assert now() > ends
    assert parts.scheduler.paused() == {}


def test_one_kind_is_paused_and_the_others_go_on(parts: Parts, worker: Worker) -> None:
    parts.submit(kind="preview")
    trained = parts.submit(kind="train")
    parts.scheduler.pause("preview", 600)
    claim = worker.reserve(2.0, capabilities=["preview", "train"])
    assert claim is not None
    assert claim.uuid == trained


def test_a_pause_holds_while_the_queue_is_away(parts: Parts, brokers: Brokers) -> None:
    brokers.kill()
    parts.scheduler.pause("run", 600)
    assert list(parts.scheduler.paused()) == ["run"]


def test_pauses_that_are_over_leave_no_trace(parts: Parts) -> None:
    for kind, seconds in (("run", 600), ("train", 600), ("run", 0)):
        parts.scheduler.pause(kind, seconds)
    body = parts.documents.get(pauses.COLLECTION, pauses.DOCUMENT).body
    assert list(body["until"]) == ["train"]
