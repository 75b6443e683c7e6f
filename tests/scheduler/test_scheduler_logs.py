"""Logs of jobs: in a tube while they run, in a blob afterwards, capped, and no tube stays."""

from __future__ import annotations

import threading
from collections.abc import Callable

import greenstalk
import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract
from zoo.documents import DocumentMissing

NewWorker = Callable[[str], Worker]


def log_tubes(bare: greenstalk.Client) -> list[str]:
    return [tube for tube in bare.tubes() if tube.startswith("log.")]


def test_the_log_is_in_a_tube_of_its_own_until_the_end(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    for sequence, text in enumerate(["one\n", "two \u00b5m \U0001f52c\n"]):
        assert worker.say(contract.LOG, claim, sequence=sequence, text=text).status_code == 200
    assert log_tubes(bare) == [f"log.{uuid}"]
    assert parts.scheduler.log_text(uuid) == "one\ntwo \u00b5m \U0001f52c\n"
    worker.finish(claim)
    assert log_tubes(bare) == []
    assert parts.scheduler.log_text(uuid) == "one\ntwo \u00b5m \U0001f52c\n"
    assert parts.job(uuid)["log_sha256"] in parts.job(uuid)["blobs"]
    with pytest.raises(DocumentMissing):
        parts.documents.get("job_logs", uuid)


def test_a_log_that_is_drained_while_it_is_read_is_read_whole(
    parts: Parts, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    for sequence, text in enumerate(["one\n", "two\n"]):
        worker.say(contract.LOG, claim, sequence=sequence, text=text)
    queue, peeked = parts.scheduler._queue, []

    def peek(job_id: int) -> bytes | None:
        found = type(queue).peek(queue, job_id)
        if not peeked:
            worker.finish(claim)
        peeked.append(found)
        return found

    monkeypatch.setattr(queue, "peek", peek)
    assert parts.scheduler.log_text(uuid) == "one\ntwo\n"
    assert [found is None for found in peeked] == [False, True], "it was drained between the two"


def test_the_same_sequence_is_kept_once(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    for sequence, text in ((0, "one\n"), (1, "two\n"), (1, "two\n"), (0, "one\n")):
        worker.say(contract.LOG, claim, sequence=sequence, text=text)
    assert parts.scheduler.log_text(uuid) == "one\ntwo\n"
    worker.finish(claim)
    assert parts.scheduler.log_text(uuid) == "one\ntwo\n"


def test_a_long_text_travels_in_chunks_below_the_brokers_limit(
    parts: Parts, worker: Worker, bare: greenstalk.Client
) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    text = "\x1b\U0001f52c" * 20_000
    assert worker.say(contract.LOG, claim, sequence=0, text=text).status_code == 200
    assert bare.stats_tube(f"log.{uuid}")["current-jobs-ready"] == 4
    assert parts.scheduler.log_text(uuid) == text
    worker.finish(claim)
    assert parts.scheduler.log_text(uuid) == text


def test_a_log_is_cut_at_its_limit(parts: Parts, new_worker: NewWorker) -> None:
    parts.settings = parts.settings.replace(log_bytes=1000)
    parts.restart()
    worker = new_worker("w1")
    uuid = parts.submit()
    claim = worker.begin()
    for sequence in range(5):
        assert worker.say(contract.LOG, claim, sequence=sequence, text="x" * 400).status_code == 200
    worker.finish(claim)
    text = parts.scheduler.log_text(uuid)
    assert text == "x" * 1000 + "\n[The log is cut here, at 1000 bytes.]\n"


def test_the_log_of_every_attempt_is_kept(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    worker.say(contract.LOG, claim, sequence=0, text="first try\n")
    worker.say(contract.FAIL, claim, code="x", message="y", hint="", retry=True)
    claim = worker.begin()
    worker.say(contract.LOG, claim, sequence=0, text="second try\n")
    worker.finish(claim)
    assert parts.scheduler.log_text(uuid) == "[attempt 1]\nfirst try\n[attempt 2]\nsecond try\n"


def test_a_log_left_behind_is_drained_by_maintenance(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit()
    worker.finish(worker.begin())
    job = parts.job(uuid)
    parts.scheduler._logs.append(uuid, job["result"]["lease"], 1, 7, "a straggler\n")
    bare.use("log." + "0" * 32)
    bare.put(b"of no job")
    bare.use("default")
    parts.scheduler.maintenance.recover()
    assert log_tubes(bare) == []
    assert parts.scheduler.log_text(uuid) == "a straggler\n"


def test_a_drain_that_was_cut_off_adds_nothing_twice(
    parts: Parts, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    worker.say(contract.LOG, claim, sequence=0, text="once\n")
    keep = parts.scheduler._logs._keep

    class Killed(BaseException):
        pass

    def killed_after(uuid: str, text: str) -> None:
        keep(uuid, text)
        raise Killed

    monkeypatch.setattr(parts.scheduler._logs, "_keep", killed_after)
    with pytest.raises(Killed):
        worker.finish(claim)
    monkeypatch.undo()
    parts.scheduler.maintenance.recover()
    assert parts.scheduler.log_text(uuid) == "once\n"


def test_an_event_wakes_who_watches_a_job(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    revision = parts.job(uuid)["revision"]
    assert parts.scheduler.events.wait(uuid, revision, 0.05) is None
    seen = []
    waiting = threading.Thread(target=lambda: seen.append(parts.scheduler.events.wait(uuid, revision, 5.0)))
    waiting.start()
    worker.say(contract.PROGRESS, claim, progress={"stage": "drawing", "fraction": 0.9})
    waiting.join(2.0)
    assert seen[0]["progress"]["stage"] == "drawing"
    assert parts.scheduler.events.wait(uuid, revision, 0.0)["revision"] == seen[0]["revision"]


def test_a_change_by_another_process_is_seen_within_a_second_or_so(parts: Parts) -> None:
    uuid = parts.submit()
    stored = parts.documents.get("jobs", uuid)
    seen = []
    waiting = threading.Thread(target=lambda: seen.append(parts.scheduler.events.wait(uuid, stored.revision, 5.0)))
    waiting.start()
    parts.documents.replace("jobs", uuid, stored.body | {"started_at": 1.0}, stored.revision)
    waiting.join(2.5)
    assert seen[0]["started_at"] == 1.0


def test_waiters_are_let_go_when_the_scheduler_closes(parts: Parts) -> None:
    uuid = parts.submit()
    revision = parts.job(uuid)["revision"]
    seen = []
    waiting = threading.Thread(target=lambda: seen.append(parts.scheduler.events.wait(uuid, revision, 30.0)))
    waiting.start()
    parts.scheduler.close()
    waiting.join(2.5)
    assert seen == [None]
