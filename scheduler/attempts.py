"""What a worker may do to the job it holds a lease on: start, extend, report, upload, and end the attempt.

The document changes first, under the lease, and only then the queue entry follows; when the second step fails the
entry comes back by itself and heals. Every message may be sent twice.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scheduler import leases
from scheduler.clock import now
from scheduler.contract import STAGE_LABELS
from scheduler.ending import Ending
from scheduler.jobs import Body, Jobs, handle_of, note
from scheduler.limits import Limits
from scheduler.logs import Logs
from scheduler.metrics import Metrics
from scheduler.queue import Queue
from scheduler.reaper import Reaper
from scheduler.result_files import BadResult, ResultFiles, ended_by_result
from scheduler.runtimes import Runtimes
from scheduler.workers import Workers
from zoo.blobs import DiskBlobs
from zoo.documents import Stored
from zoo.errors import Unavailable, UserError
from zoo.settings import Settings

log = logging.getLogger(__name__)

MAXIMUM_MESSAGE = 2000
MAXIMUM_SUMMARY = 16 * 2**10
ERROR_CODE = re.compile(r"[a-z][a-z0-9-]{0,49}")


class BadProgress(UserError):
    code = "bad-progress"


class Attempts:
    def __init__(
        self,
        jobs: Jobs,
        queue: Queue,
        logs: Logs,
        blobs: DiskBlobs,
        reaper: Reaper,
        ending: Ending,
        workers: Workers,
        runtimes: Runtimes,
        metrics: Metrics,
        limits: Limits,
        settings: Settings,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._logs = logs
        self._files = ResultFiles(jobs, blobs, reaper.lock, settings.result_file_bytes, self._change)
        self.file = self._files.store
        self._ending = ending
        self._workers = workers
        self._runtimes = runtimes
        self._metrics = metrics
        self._limits = limits
        self._settings = settings

    def start(self, uuid: str, lease: str) -> dict[str, float]:
        """The worker has the job: the lease now lasts for ERT. Answers lease_until (epoch s) and ert_seconds."""
        told = False

        def start(body: Body) -> None:
            nonlocal told
            told = bool(body["lease"]) and body["lease"]["started"]
            leases.start(body, lease, now())

        body = self._prolong(uuid, start)
        if not told:
            self._metrics.started(body, now())
        return _lasts_until(body)

    def extend(self, uuid: str, lease: str) -> dict[str, float]:
        """The watchdog vouches for the job: ERT from now again."""
        return _lasts_until(self._prolong(uuid, lambda body: leases.extend(body, lease, now())))

    def _prolong(self, uuid: str, transition: Callable[[Body], None]) -> Body:
        body = self._change(uuid, transition).body
        self._delay(body, body["estimate"]["ert_seconds"])
        return body

    def progress(self, uuid: str, lease: str, stage: str, fraction: float, message: str) -> None:
        """Where the attempt is: a stage of the contract, a fraction in 0..1, a sentence."""
        if stage not in STAGE_LABELS or not math.isfinite(fraction):
            raise BadProgress(f"{stage[:50]!r} is not a stage, or the fraction is not a number.", "See the contract.")
        said = {"stage": stage, "fraction": min(1.0, max(0.0, fraction)), "message": message[:MAXIMUM_MESSAGE]}

        def report(body: Body) -> bool | None:
            leases.check(body, lease)
            if body["progress"] == said | {"at": body["progress"]["at"]}:
                return False
            body["progress"] = said | {"at": now()}
            return None

        self._change(uuid, report)

    def log(self, uuid: str, lease: str, sequence: int, text: str) -> None:
        """A piece of the attempt's log; the same `sequence` of a lease is kept once."""
        body = self._held(uuid, lease)
        self._logs.append(uuid, lease, body["attempt"], sequence, text)

    def result(
        self,
        uuid: str,
        lease: str,
        files: Sequence[Mapping[str, Any]],
        summary: Mapping[str, Any],
        timings: Mapping[str, Any],
        along: Mapping[str, bytes] | None = None,
    ) -> None:
        """The attempt succeeded. The fence: only the current lease is believed; the same result twice is harmless.

        Each of `files` has a name and a sha256, and was uploaded before or is in `along`, by name.
        """
        if len(json.dumps([summary, timings])) > MAXIMUM_SUMMARY:
            raise BadResult("The summary of the result is too long.", f"Keep it below {MAXIMUM_SUMMARY} bytes.")
        named = {str(file.get("name")): str(file.get("sha256")) for file in files}
        if not named or len(named) != len(files):
            raise BadResult("The result names no file, or one twice.", "Name every uploaded file once.")
        known = self._files.store_along(uuid, lease, along) if along else None

        def accept(body: Body) -> bool | None:
            if body["state"] == "done" and ended_by_result(body, lease):
                return False
            leases.check(body, lease)
            kept = [self._files.stored(body, name, sha256) for name, sha256 in named.items()]
            body["result"] = {
                "files": kept,
                "summary": dict(summary),
                "timings": dict(timings),
                "worker": body["lease"]["worker"],
                "device": body["lease"]["device"],
                "attempt": body["attempt"],
                "lease": lease,
            }
            body["progress"] = {"stage": "uploading", "fraction": 1.0, "message": "", "at": now()}
            leases.finish(body, "done", now())
            return None

        repeated = False

        def accept_once(body: Body) -> bool | None:
            nonlocal repeated
            repeated = accept(body) is False
            return False if repeated else None

        body = self._end(uuid, lease, accept_once, known).body
        if not repeated:
            self._metrics.done(body)
            self._runtimes.learn_from(body)
        self._ending.settle_and_delete(uuid)

    def fail(self, uuid: str, lease: str, code: str, message: str, hint: str, retry: bool) -> str:
        """The attempt failed. With `retry` the job is tried again, up to `attempts` times; answers its state."""
        error = {
            "code": code if ERROR_CODE.fullmatch(code) else "failed",
            "message": message[:MAXIMUM_MESSAGE] or "The worker gave no reason.",
            "hint": hint[:MAXIMUM_MESSAGE],
        }
        repeated = False

        def fail(body: Body) -> bool | None:
            nonlocal repeated
            repeated = leases.ended_by(body, lease) and body["state"] in ("queued", "failed")
            if repeated:
                return False
            leases.check(body, lease)
            time = now()
            if retry and not leases.exhausted(body, self._settings.attempts):
                note(body, time, "attempt failed", error["message"])
                leases.requeue(body, time)
                return None
            leases.finish(body, "failed", time, error)
            if retry:
                leases.bury(body, time)
            return None

        body = self._end(uuid, lease, fail).body
        if not repeated:
            self._metrics.ended(body["kind"], "failed", error["code"])
        # Also when told twice: the first time may have been cut off before this.
        self._after_failure(body, retry)
        return str(body["state"])

    def _after_failure(self, body: Mapping[str, Any], retry: bool) -> None:
        if body["state"] == "queued":
            self._delay(body, leases.retry_seconds(body["attempt"]))
            self._ending.collect(body["uuid"])
        elif retry:
            self._ending.settle_and_bury(body["uuid"])
        else:
            self._ending.settle_and_delete(body["uuid"])

    def release(self, uuid: str, lease: str) -> None:
        """The worker hands the job back: ready for another at once, and the attempt does not count."""

        repeated = False

        def hand_back(body: Body) -> bool | None:
            nonlocal repeated
            repeated = leases.ended_by(body, lease) and body["state"] == "queued"
            if repeated:
                return False
            leases.hand_back(body, lease, now())
            return None

        body = self._end(uuid, lease, hand_back).body
        if not repeated:
            self._metrics.ended(body["kind"], "handed back")
        self._delay(body, 0.0)
        self._ending.collect(uuid)

    def _held(self, uuid: str, lease: str) -> dict[str, Any]:
        """The job's body while `lease` holds it; raises JobMissing, JobOver or StaleLease."""
        body = self._jobs.get(uuid).body
        leases.check(body, lease)
        return body

    def _change(self, uuid: str, transition: Callable[[Body], bool | None]) -> Stored:
        """A transition within an attempt; shows the worker as working."""
        stored = self._jobs.change(uuid, transition)
        held = stored.body["lease"]
        if held:
            self._workers.working(held["worker"], held["device"], uuid)
        return stored

    def _end(
        self, uuid: str, lease: str, transition: Callable[[Body], bool | None], known: Stored | None = None
    ) -> Stored:
        """A transition that ends an attempt; shows the worker as free."""
        held: dict[str, Any] | None = None

        def end(body: Body) -> bool | None:
            nonlocal held
            held = body["lease"]
            return transition(body)

        stored = self._jobs.change(uuid, end, known)
        if held and held["id"] == lease:
            self._workers.free(held["worker"], uuid)
            self._limits.wake(stored.body["owner"])
        return stored

    def _delay(self, body: Mapping[str, Any], seconds: float) -> None:
        """Let the queue entry follow the document. If it cannot, it comes back early and is delayed by its lease."""
        handle = handle_of(body)
        try:
            if handle is not None:
                self._queue.delay_again(handle, body["uuid"], seconds, body["queue"]["priority"])
        except Unavailable as error:
            log.warning("job %s: its queue entry is delayed later: %s", body["uuid"], error)


def _lasts_until(body: Mapping[str, Any]) -> dict[str, float]:
    return {"lease_until": body["lease"]["until"], "ert_seconds": body["estimate"]["ert_seconds"]}
