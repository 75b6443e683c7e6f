"""A scheduler killed (SIGKILL) between any two steps of anything it does; another one goes on: nothing shows.

Each operation runs in a process that dies before its first step, then before its second, and so on until it lives.
After each death the worker or user either repeats the message to another scheduler, or is never heard of again. Then
time passes for scheduler and broker, without waiting, and every job must be over, once, with nothing left anywhere.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import greenstalk
import pytest
from dying_scheduler import Ahead, call
from scheduler_parts import Parts, Worker

from scheduler import clock, contract
from scheduler.contract import Claim
from scheduler.jobs import handle_of
from scheduler.service import Scheduler
from zoo.documents import Query, Stored
from zoo.errors import ZooscopeError
from zoo.settings import Settings

pytestmark = pytest.mark.slow

NewWorker = Callable[[str], Worker]
ROUNDS = 12
ATTEMPT = re.compile(r"\[attempt \d+\]\n")
MOST_STEPS = 40


class Mortal:
    """Schedulers that are killed at a step; see dying_scheduler."""

    def __init__(self, settings: Settings) -> None:
        given = {name: getattr(settings, name) for name in ("beanstalkd", "ert_floor_seconds", "ert_slack",
                 "claim_seconds", "reserve_seconds", "free_disk_bytes", "attempts")}  # fmt: skip
        script = Path(__file__).with_name("dying_scheduler.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(given | {"data": str(settings.data)})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def killed(self, step: int, ahead: float, method: str, given: dict[str, Any]) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"step": step, "ahead": ahead, "call": [method, given]}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return bool(json.loads(self._process.stdout.readline())["killed"])

    def close(self) -> None:
        self._process.communicate()


@dataclass
class Scene:
    """The world in which schedulers die: `ahead` is what the clock of all of them is ahead."""

    parts: Parts
    bare: greenstalk.Client
    new_worker: NewWorker
    ahead: Ahead
    number: int = 0
    uuid: str = ""
    claim: Claim | None = None
    served: Scheduler | None = None
    hand: Worker | None = None
    # Stored by whoever submits, before the scheduler knows of it: left to them until a job has it.
    offered: set[str] = field(default_factory=set)

    @property
    def worker(self) -> Worker:
        """Of the scheduler that lives now."""
        if self.served != self.parts.scheduler:
            self.served, self.hand = self.parts.scheduler, self.new_worker("w1")
        assert self.hand is not None
        return self.hand

    def submit(self) -> str:
        self.number += 1
        self.uuid = self.parts.submit(input_sha256=self.new_input())
        return self.uuid

    def new_input(self) -> str:
        return self.parts.blobs.put_bytes(f"input {self.number}".encode()).sha256

    def begin(self) -> Claim:
        self.claim = self.worker.begin()
        assert self.claim.uuid == self.uuid
        assert self.worker.say(contract.LOG, self.claim, sequence=0, text="first line\n").status_code == 200
        return self.claim

    def fail(self) -> None:
        assert self.worker.say(contract.FAIL, self.begin(), **FAILURE).status_code == 200

    def documents(self) -> list[Stored]:
        return self.parts.documents.search("jobs", Query(sort="created_at", size=100)).items

    def time_passes(self) -> None:
        """Every lease and every delay runs out."""
        self.ahead.seconds += 100.0
        for tube in self.bare.tubes():
            self.bare.use(tube)
            while self.bare.stats_tube(tube)["current-jobs-delayed"]:
                self.bare.kick_job(self.bare.peek_delayed())
        self.bare.use("default")

    def go_on(self) -> None:
        """Another scheduler, another worker and time, until everything is over."""
        self.parts.restart()
        worker = self.worker
        for _ in range(ROUNDS):
            self.time_passes()
            self.parts.scheduler.maintenance.recover()
            self.parts.scheduler.maintenance.sweep()
            while (claim := worker.reserve()) is not None:
                assert worker.say(contract.START, claim).status_code == 200
                assert worker.say(contract.LOG, claim, sequence=0, text="last line\n").status_code == 200
                assert worker.finish(claim, f"overlay {self.number}".encode()).status_code == 200
            if not self.entries() and all(job.body["state"] in contract.FINAL_STATES for job in self.documents()):
                return
        pytest.fail(f"not over after {ROUNDS} rounds: {self.entries()}, {[job.body for job in self.documents()]}")

    def entries(self) -> dict[str, int]:
        stats = self.bare.stats()
        counts = {state: int(stats[f"current-jobs-{state}"]) for state in ("ready", "delayed", "reserved")}
        return {state: count for state, count in counts.items() if count}

    def check(self) -> None:
        """Nothing is left anywhere, and what was done was done once."""
        needed = {self.parts.package_sha256, self.parts.input_sha256} | self.offered
        jobs = self.documents()
        for job in jobs:
            body = job.body
            whats = [line["what"] for line in body["history"]]
            assert whats.count("done") == (body["state"] == "done"), whats
            assert (body["lease"], body["garbage"], body["deleted"]) == (None, [], False)
            logs = ATTEMPT.split(self.parts.scheduler.log_text(job.id))
            assert all(log.count(line) <= 1 for log in logs for line in ("first line\n", "last line\n")), logs
            assert body["state"] != "done" or "last line\n" in logs[-1], logs
            needed |= set(body["blobs"])
        assert not [tube for tube in self.bare.tubes() if tube.startswith("log.")]
        assert self.parts.documents.search("job_logs", Query(size=0)).total == 0
        assert self.bare.stats()["current-jobs-buried"] <= sum(job.body["buried"] for job in jobs)
        assert set(self.parts.blobs.sha256s()) <= needed
        self.parts.blobs.remove_stale(0.0)

    def forget(self) -> None:
        """Remove every job, so that the next step is seen by itself."""
        for job in self.documents():
            self.parts.scheduler.delete(job.id)
        assert self.bare.stats()["current-jobs-buried"] == 0


@pytest.fixture
def scene(parts: Parts, bare: greenstalk.Client, new_worker: NewWorker) -> Iterator[Scene]:
    ahead = Ahead()
    with clock.replaced(ahead):
        yield Scene(parts, bare, new_worker, ahead)


@pytest.fixture
def mortal(parts: Parts) -> Iterator[Mortal]:
    mortal = Mortal(parts.settings)
    yield mortal
    mortal.close()


FAILURE = {"code": "boom", "message": "It broke.", "hint": "", "retry": True}
FOR_GOOD = {"code": "too-large", "message": "Too large.", "hint": "", "retry": False}
OVERLAY = "an overlay"


def submitting(scene: Scene) -> dict[str, Any]:
    scene.number += 1
    request = scene.parts.request(input_sha256=scene.new_input())
    scene.offered.add(request.input_sha256)
    return {name: getattr(request, name) for name in request.__dataclass_fields__}


def reserving(scene: Scene) -> dict[str, Any]:
    scene.submit()
    return {"worker": "w1", "timeout_seconds": 0.0}


def reserving_a_lost_job(scene: Scene) -> dict[str, Any]:
    """Its last attempt has been lost: the claim gives it up."""
    scene.submit()
    scene.fail()
    scene.time_passes()
    scene.begin()
    scene.time_passes()
    return {"worker": "w1", "timeout_seconds": 0.0}


def reserving_an_entry_twice(scene: Scene) -> dict[str, Any]:
    """The job has two entries in the queue."""
    handle = handle_of(scene.parts.job(scene.submit()))
    assert handle is not None
    scene.bare.use("zooscope.preview")
    scene.bare.put(scene.bare.peek(handle.job_id).body, priority=0)
    scene.bare.use("default")
    return {"worker": "w1", "timeout_seconds": 0.0}


def claimed(scene: Scene) -> dict[str, Any]:
    scene.submit()
    scene.claim = scene.worker.claim()
    return {"uuid": scene.uuid, "lease": scene.claim.lease}


def running(scene: Scene) -> dict[str, Any]:
    scene.submit()
    return {"uuid": scene.uuid, "lease": scene.begin().lease}


def reporting(scene: Scene) -> dict[str, Any]:
    return running(scene) | {"stage": "inferring", "fraction": 0.5, "message": "tile 2 of 4"}


def logging(scene: Scene) -> dict[str, Any]:
    return running(scene) | {"sequence": 1, "text": "another line\n" * 1000}


def uploading(scene: Scene) -> dict[str, Any]:
    data = f"{OVERLAY} {scene.number}"
    sha256 = hashlib.sha256(data.encode()).hexdigest()
    return running(scene) | {"name": "overlay.png", "stream": data, "sha256": sha256}


def uploading_again(scene: Scene) -> dict[str, Any]:
    """In place of other bytes of the same name."""
    given = uploading(scene)
    assert scene.claim is not None
    assert scene.worker.upload(scene.claim, "overlay.png", b"before").status_code == 200
    return given


def finishing(scene: Scene) -> dict[str, Any]:
    given, data = running(scene), f"overlay {scene.number}".encode()
    assert scene.claim is not None
    assert scene.worker.upload(scene.claim, "overlay.png", data).status_code == 200
    assert scene.worker.upload(scene.claim, "log.txt", b"of no use in the end").status_code == 200
    scene.worker.say(contract.LOG, scene.claim, sequence=1, text="last line\n")
    files = [{"name": "overlay.png", "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}]
    return given | {"files": files, "summary": {}, "timings": {}}


def finishing_with_a_file(scene: Scene) -> dict[str, Any]:
    """One file was uploaded, another one comes along in the place of an upload."""
    given, text = finishing(scene), f"a log of {scene.number}"
    files = [*given["files"], {"name": "log.txt", "sha256": hashlib.sha256(text.encode()).hexdigest()}]
    return given | {"files": files, "along": {"log.txt": text}}


def failing(scene: Scene) -> dict[str, Any]:
    given = running(scene)
    assert scene.claim is not None
    assert scene.worker.upload(scene.claim, "overlay.png", b"half a result").status_code == 200
    return given | FAILURE


def failing_again(scene: Scene) -> dict[str, Any]:
    scene.submit()
    scene.fail()
    scene.time_passes()
    return {"uuid": scene.uuid, "lease": scene.begin().lease} | FAILURE


def failing_for_good(scene: Scene) -> dict[str, Any]:
    return running(scene) | FOR_GOOD


def only_uuid(prepare: Callable[[Scene], dict[str, Any]]) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"uuid": prepare(scene)["uuid"]}


def waiting(scene: Scene) -> dict[str, Any]:
    return {"uuid": scene.submit()}


def buried(scene: Scene) -> dict[str, Any]:
    given = failing_again(scene)
    assert scene.claim is not None
    assert scene.worker.say(contract.FAIL, scene.claim, **FAILURE).status_code == 200
    return {"uuid": given["uuid"]}


def lost_by_the_broker(scene: Scene) -> dict[str, Any]:
    handle = handle_of(scene.parts.job(scene.submit()))
    assert handle is not None
    scene.bare.delete(handle.job_id)
    scene.ahead.seconds += 100.0
    return {}


def full_of_garbage(scene: Scene) -> dict[str, Any]:
    """An old result, and a deletion that was cut off."""
    claim = finishing(scene)
    scene.parts.scheduler.attempts.result(**claim)
    scene.parts.scheduler._jobs.change(scene.uuid, lambda body: body.update(finished_at=1.0))
    return {}


# A reserve is never repeated, and the rest is done again by itself.
UNREPEATED = ("submit", "reserve", "recover", "sweep")
# What is done, how the world is prepared for it, and how its job may end.
OPERATIONS: dict[str, tuple[str, Callable[[Scene], dict[str, Any]], set[str]]] = {
    "submit": ("submit", submitting, {"done"}),
    "claim": ("reserve", reserving, {"done"}),
    "claim of a job lost too often": ("reserve", reserving_a_lost_job, {"failed"}),
    "claim of a second entry": ("reserve", reserving_an_entry_twice, {"done"}),
    "start": ("start", claimed, {"done"}),
    "extend": ("extend", running, {"done"}),
    "progress": ("progress", reporting, {"done"}),
    "log": ("log", logging, {"done"}),
    "file": ("file", uploading, {"done"}),
    "file again": ("file", uploading_again, {"done"}),
    "file whose lease is lost on the way": ("file of a cancelled job", uploading, {"cancelled", "done"}),
    "result": ("result", finishing, {"done"}),
    "result with a file": ("result with a file", finishing_with_a_file, {"done"}),
    "fail": ("fail", failing, {"done"}),
    "fail again": ("fail", failing_again, {"failed"}),
    "fail for good": ("fail", failing_for_good, {"failed", "done"}),
    "release": ("release", running, {"done"}),
    "cancel a waiting job": ("cancel", waiting, {"cancelled", "done"}),
    "cancel a running job": ("cancel", only_uuid(running), {"cancelled", "done"}),
    "delete": ("remove", only_uuid(finishing), {"cancelled", "done"}),
    "kick": ("kick", buried, {"done", "failed"}),
    "recover": ("recover", lost_by_the_broker, {"done"}),
    "sweep": ("sweep", full_of_garbage, set()),
}


def repeat(scene: Scene, method: str, given: dict[str, Any]) -> None:
    """Who sent the message sends it again, to another scheduler; being told that it is too late is fine, too."""
    try:
        call(scene.parts.scheduler, method, given)
    except ZooscopeError as error:
        if error.status not in (404, 409, 410):
            raise


def killed_before_every_step(scene: Scene, mortal: Mortal, operation: str, repeated: bool) -> None:
    method, prepare, expected = OPERATIONS[operation]
    for step in itertools.count():
        given = prepare(scene)
        killed = mortal.killed(step, scene.ahead.seconds, method, given)
        if repeated:
            repeat(scene, method, given)
        scene.go_on()
        scene.check()
        assert {job.body["state"] for job in scene.documents()} <= expected
        scene.forget()
        if not killed:
            assert step > 0, "the operation does nothing"
            return
        assert step < MOST_STEPS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_before_any_step_and_nobody_comes_back(scene: Scene, mortal: Mortal, operation: str) -> None:
    killed_before_every_step(scene, mortal, operation, repeated=False)


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if OPERATIONS[name][0] not in UNREPEATED])
def test_killed_before_any_step_and_told_again(scene: Scene, mortal: Mortal, operation: str) -> None:
    killed_before_every_step(scene, mortal, operation, repeated=True)
