"""Two replicas do two things to the same job, one in the middle of the other, between any two of its steps.

Each answer must be one that the two, done one after the other, could have given, and what is told to be so must stay
so; at the end every job is over and nothing is left lying about.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from job_model import CLAIM_SECONDS, ERT_SECONDS
from mortal_scheduler import SHARED_MEMORY, World

from scheduler import clock
from scheduler.contract import FINAL_STATES, Claim, ReserveRequest
from scheduler.fairness import KINDS
from scheduler.jobs import JobRequest
from scheduler.service import Scheduler
from zoo.errors import UserError

INPUT, OVERLAY, TABLE = b"an input crop", b"an overlay", b"a table"
OVERLAY_SHA256, TABLE_SHA256 = (hashlib.sha256(data).hexdigest() for data in (OVERLAY, TABLE))
REFUSALS = {"stale-lease", "job-over", "not-found", "not-buried"}
# The other one goes on when the first waits for a lock that it holds, or is done before it comes so far.
STUCK_SECONDS = 0.3
PATIENCE_SECONDS = 60.0

Deed = Callable[[Scheduler, str, str], Any]


def _reserve(scheduler: Scheduler, uuid: str, lease: str) -> Claim | None:
    return scheduler.reserve(ReserveRequest("other", tuple(KINDS), timeout_seconds=0.0))


def _submit(scheduler: Scheduler, uuid: str, lease: str) -> Any:
    with scheduler.blob_lock:
        scheduler.blobs.put_bytes(INPUT)
        return scheduler.submit(request("9" * 32))


def _result(scheduler: Scheduler, uuid: str, lease: str) -> None:
    files = [{"name": "overlay.png", "sha256": OVERLAY_SHA256}]
    scheduler.attempts.result(uuid, lease, files, {"objects": 1}, {"inferring": 1.0})


def _file(scheduler: Scheduler, uuid: str, lease: str) -> Any:
    return scheduler.attempts.file(uuid, lease, "objects.csv", io.BytesIO(TABLE), TABLE_SHA256)


DEEDS: dict[str, Deed] = {
    "submit": _submit,
    "reserve": _reserve,
    "cancel": lambda scheduler, uuid, lease: scheduler.cancel(uuid),
    "delete": lambda scheduler, uuid, lease: scheduler.delete(uuid),
    "kick": lambda scheduler, uuid, lease: scheduler.kick(uuid),
    "start": lambda scheduler, uuid, lease: scheduler.attempts.start(uuid, lease),
    "extend": lambda scheduler, uuid, lease: scheduler.attempts.extend(uuid, lease),
    "progress": lambda scheduler, uuid, lease: scheduler.attempts.progress(uuid, lease, "inferring", 0.5, ""),
    "log": lambda scheduler, uuid, lease: scheduler.attempts.log(uuid, lease, 2, "another line\n"),
    "file": _file,
    "result": _result,
    "fail": lambda scheduler, uuid, lease: scheduler.attempts.fail(uuid, lease, "broken", "It broke.", "", True),
    "give up": lambda scheduler, uuid, lease: scheduler.attempts.fail(uuid, lease, "broken", "It broke.", "", False),
    "release": lambda scheduler, uuid, lease: scheduler.attempts.release(uuid, lease),
    "recover": lambda scheduler, uuid, lease: scheduler.maintenance.recover(),
    "sweep": lambda scheduler, uuid, lease: scheduler.maintenance.sweep(),
}
# What a job can be like when the two come: waiting, running, running beyond its lease, or buried.
CASES = ("queued", "running", "expired", "buried")


def request(uuid: str) -> JobRequest:
    return JobRequest(
        kind="preview",
        owner="ada",
        model={"id": "nuclei", "version": "1.0.0", "name": "Nuclei", "package_sha256": "a" * 64},
        settings={},
        input_sha256=hashlib.sha256(INPUT).hexdigest(),
        source={},
        estimate_seconds=1.0,
        load_seconds=1.0,
        ert_seconds=ERT_SECONDS,
        uuid=uuid,
    )


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        world = World(Path(folder), claim_seconds=CLAIM_SECONDS, ert_floor_seconds=1.0, attempts=2)
        with clock.replaced(world.clock):
            try:
                yield world
            finally:
                world.close()


def prepare(world: World, case: str) -> tuple[str, str]:
    """A job of this case, with its latest lease."""
    scheduler = world.schedulers[0]
    world.blobs.put_bytes(INPUT)
    # As every replica does with its first request: not to be met in the middle of something else.
    for each in world.schedulers:
        _reserve(each, "", "")
    uuid = scheduler.submit(request("1" * 32))["uuid"]
    if case == "queued":
        return uuid, "0" * 32
    for attempt in range(2 if case == "buried" else 1):
        world.clock.advance(10.0 * attempt)
        claim = _reserve(scheduler, "", "")
        assert claim is not None
        scheduler.attempts.start(uuid, claim.lease)
        scheduler.attempts.log(uuid, claim.lease, 1, "a line\n")
        scheduler.attempts.file(uuid, claim.lease, "overlay.png", io.BytesIO(OVERLAY), OVERLAY_SHA256)
        if case == "buried":
            scheduler.attempts.fail(uuid, claim.lease, "broken", "It broke.", "", True)
    if case == "expired":
        world.clock.advance(ERT_SECONDS + 1)
    return uuid, claim.lease


def hear(deed: Callable[[], Any]) -> Any:
    try:
        return deed()
    except UserError as error:
        return error


def interleave(world: World, outer: Deed, inner: Deed, step: int, after: bool, job: tuple[str, str]) -> list[Any]:
    """Their answers. The first one stops at the step until the second is done, or is stuck because of the first."""
    reached, go_on = threading.Event(), threading.Event()
    answers: list[Any] = [None, None]

    def pause() -> None:
        reached.set()
        go_on.wait(PATIENCE_SECONDS)

    def run(number: int, deed: Deed) -> None:
        answers[number] = hear(lambda: deed(world.schedulers[number], *job))
        (reached if number == 0 else go_on).set()

    world.fuses[0].arm(step, after, pause)
    first = threading.Thread(target=run, args=(0, outer))
    second = threading.Thread(target=run, args=(1, inner))
    first.start()
    assert reached.wait(PATIENCE_SECONDS)
    second.start()
    second.join(STUCK_SECONDS)
    go_on.set()
    for thread in (first, second):
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    world.fuses[0].disarm()
    return answers


def check_answers(world: World, names: list[str], answers: list[Any], job: tuple[str, str]) -> None:
    uuid, lease = job
    body = next((one.body for one in world.all("jobs") if one.id == uuid and not one.body["deleted"]), None)
    deleted = "delete" in names and None in [a for n, a in zip(names, answers, strict=True) if n == "delete"]
    assert (body is None) == deleted
    claims = [answer for answer in answers if isinstance(answer, Claim)]
    assert len({claim.uuid for claim in claims}) == len(claims), "one job was handed out twice"
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, Exception):
            assert isinstance(answer, UserError)
            assert answer.code in REFUSALS, answer
        elif body is None:
            continue
        elif name == "result":
            assert body["state"] == "done"
            assert body["result"]["lease"] == lease
        elif name == "cancel":
            assert body["state"] == answer["state"]
            assert body["state"] in FINAL_STATES or "kick" in names
        elif answer == "failed":
            assert body["state"] == "failed" or "kick" in names
        elif isinstance(answer, Claim) and answer.uuid == uuid:
            over_since = {"cancel", "delete"} & set(names)
            assert over_since or body["lease"]["id"] == answer.lease


def settle(world: World) -> None:
    scheduler, idle = world.schedulers[0], 0
    while idle < 2 or world.entries_wait():
        claim = _reserve(scheduler, "", "")
        if claim is None:
            idle += 1
            assert idle < 100, "a job is lost"
            world.clock.advance(61.0)
            continue
        idle = 0
        scheduler.attempts.start(claim.uuid, claim.lease)
        scheduler.attempts.file(claim.uuid, claim.lease, "overlay.png", io.BytesIO(OVERLAY), OVERLAY_SHA256)
        _result(scheduler, claim.uuid, claim.lease)
    scheduler.maintenance.sweep()
    world.check_nothing_is_left(hashlib.sha256(INPUT).hexdigest())


EXAMPLES = os.environ.get("ZOOSCOPE_TEST_EXAMPLES")


@hypothesis_settings(max_examples=int(EXAMPLES or 60), derandomize=EXAMPLES is None, deadline=None)
@given(
    case=st.sampled_from(CASES),
    outer=st.sampled_from(sorted(DEEDS)),
    inner=st.sampled_from(sorted(DEEDS)),
    step=st.integers(0, 12),
    after=st.booleans(),
)
def test_two_replicas_at_the_same_job(case: str, outer: str, inner: str, step: int, after: bool) -> None:
    with world() as there:
        job = prepare(there, case)
        answers = interleave(there, DEEDS[outer], DEEDS[inner], step, after, job)
        check_answers(there, [outer, inner], answers, job)
        settle(there)
