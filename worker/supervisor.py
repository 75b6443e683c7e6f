"""The worker: takes jobs from the scheduler, has the child compute them, brings the outcomes back.

One loop waits on everything at once: the child's pipes, the watchdog's, and a bell rung by signals and by the threads
that talk HTTP. This process never imports TensorFlow and never computes, so it always answers.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from scheduler.contract import Alive, Claim, Progress, ReserveRequest
from worker.attempt import Attempt
from worker.cache import BlobCache, WorkerDiskFull
from worker.cards import find_card
from worker.child import ENGINE
from worker.client import BadToken, Draining, SchedulerClient, ServiceAway
from worker.crew import Crew
from worker.delivery import Delivery
from worker.errands import Errand
from worker.facts import introduce
from worker.job_folder import RESULT, JobFolder, Outcome, failure
from worker.presence import Presence
from worker.processes import ChildProcess, Patience, WatchdogProcess
from worker.reporter import Reporter
from worker.uploads import Uploads
from zoo.errors import ZooscopeError
from zoo.log_lines import about_job
from zoo.settings import Settings

FIRST_AWAY_SECONDS, LONGEST_AWAY_SECONDS = 0.25, 3.0  # between two tries to reach the scheduler
LAST_WORD_SECONDS = 3.0  # for telling the scheduler something before the worker ends

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Stopped(Exception):
    """The worker was told to end."""


class Supervisor:
    """One worker called `name`; `run` it in the main thread. `engine` is the module the child computes with."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        server: str,
        token: str,
        device: str = "cpu",
        *,
        engine: str = ENGINE,
    ) -> None:
        self._settings, self._name, self._device = settings, name, device
        folder = Path(settings.workers_folder) / name
        self._jobs = folder / "jobs"
        self._jobs.mkdir(parents=True, exist_ok=True)
        self._cache = BlobCache(folder / "cache", settings.worker_cache_bytes)
        self._client = SchedulerClient(server, token)
        self._crew = Crew(
            lambda: ChildProcess(settings, device, folder / "scratch", engine),
            lambda: WatchdogProcess(settings, server, token, folder),
            self,
        )
        self._attempt: Attempt | None = None
        self._card = None if device == "cpu" else find_card(device, os.environ)
        self._starting = True
        self._stopping = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT. Raises `BadToken` when the scheduler does not know the worker's token."""
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        self._crew.bell.listen_to_signals()
        self._presence = Presence(self._client, self._alive)
        try:
            self._deliver_left_over()
            while True:
                claim = self._next_claim()
                with about_job(claim.uuid):
                    self._work(claim)
        except Stopped:
            self._hand_back()
        finally:
            self._presence.close()
            signal.set_wakeup_fd(-1)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._crew.close()
            self._client.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        signal.signal(number, signal.SIG_DFL)  # a second signal ends it the hard way

    # What the crew tells

    def child_answered(self, answer: dict[str, Any]) -> None:
        if self._attempt is not None:
            self._attempt.hear(answer)

    def child_printed(self, line: str) -> None:
        child = self._crew.child
        if self._attempt is not None and child is not None and child.ready:
            self._attempt.reporter.log(f"{line}\n")
        else:  # what TensorFlow says at its start is no job's business
            _log.debug("child: %s", line)

    def child_ended(self, code: int, ready: bool) -> None:
        if self._attempt is not None:
            self._attempt.child_died(code, ready)

    def child_killed(self, reason: str) -> None:
        if self._attempt is not None:
            self._attempt.killed = reason

    # Waiting

    def _pump(self, seconds: float | None = None) -> None:
        if not self._stopping:
            self._crew.pump(seconds)
        if self._stopping:
            raise Stopped

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._pump(left)

    def _send_out(self, call: Callable[[], T]) -> T:
        """Run a slow call aside while the loop goes on."""
        errand = Errand(call, self._crew.bell.ring)
        while not errand.done:
            self._pump()
        return errand.value()

    def _last_word(self, call: Callable[[], T]) -> T:
        """Like `_send_out`, but once told to stop it still waits a little for the call to end."""
        errand = Errand(call, self._crew.bell.ring)
        until: float | None = None
        while not errand.done:
            if self._stopping and until is None:
                until = time.monotonic() + LAST_WORD_SECONDS
            if until is not None and time.monotonic() >= until:
                raise Stopped
            self._crew.pump(None if until is None else until - time.monotonic())
        return errand.value()

    def _insist(self, send: Callable[[Callable[[], T]], T], call: Callable[[], T]) -> T:
        """`send` a call again and again while the service is away."""
        patience = Patience(FIRST_AWAY_SECONDS, LONGEST_AWAY_SECONDS)
        while True:
            try:
                return send(call)
            except ServiceAway as away:
                if patience.until == 0.0:
                    _log.warning("%s Trying again until it does.", away.message)
                patience.failed()
                self._rest(patience.left)

    # A job, from the claim to the outcome

    def _next_claim(self) -> Claim:
        while True:
            while not self._able:
                self._pump()
            claim = self._insist(self._send_out, self._reserve)
            if claim is not None:
                return claim

    @property
    def _able(self) -> bool:
        """Whether to ask for a job. What a worker on a GPU can do is known once its child has found the GPU."""
        child = self._crew.child
        return self._crew.able and child is not None and (self._device == "cpu" or child.ready)

    def _reserve(self) -> Claim | None:
        self._starting = False
        try:
            claim = self._client.reserve(self._about())
        except Draining:
            self._presence.told(draining=True)
            return None
        self._presence.told(draining=False)
        return claim

    def _about(self) -> ReserveRequest:
        return introduce(self._settings, self._name, self._device, self._card, self._crew.child)

    def _alive(self) -> Alive | None:
        """What the presence says; None while requests for a job say it."""
        if (attempt := self._attempt) is not None:
            return Alive(self._about(), "working", attempt.claim.uuid)
        return Alive(self._about(), "starting") if self._starting else None

    def _work(self, claim: Claim) -> None:
        _log.info("Job %s: attempt %d.", claim.uuid, claim.attempt)
        try:
            folder = JobFolder.create(self._jobs, claim)
        except OSError:
            full = WorkerDiskFull("the job's folder")
            nowhere = JobFolder(self._jobs / claim.lease, claim.uuid, claim.lease)
            self._deliver(nowhere, failure(full.code, full.message, full.hint))
            return
        reporter = Reporter(self._client, claim, self._crew.bell.ring, self._settings.log_bytes)
        attempt = self._attempt = Attempt(claim, folder, reporter, Uploads(self._client, folder))
        try:
            self._crew.watch(claim, folder)
            outcome = self._compute(attempt)
            if outcome is None:
                folder.remove()
            else:
                self._crew.watch_upload(claim)
                reporter.progress(Progress("uploading", 0.98))
                outcome = Outcome(outcome.kind, outcome.content, reporter.take_log())
                folder.keep(outcome)
                self._deliver(folder, outcome, attempt.uploads)
        finally:
            reporter.finish()
            self._crew.forget(claim)
        self._attempt = None

    def _compute(self, attempt: Attempt) -> Outcome | None:
        """Have the child compute the job; None when nobody wants the outcome any more."""
        claim = attempt.claim
        wanted = (claim.package_sha256, claim.input_sha256)
        try:
            package, input_file = self._insist(self._send_out, lambda: self._cache.fetch(self._client, wanted))
        except BadToken:
            raise
        except (ZooscopeError, OSError) as error:
            return None if attempt.reporter.ended is not None else _not_fetched(error)
        while (child := self._crew.child) is None:
            self._pump()
        child.run(claim, attempt.folder, package, input_file)
        attempt.handed = True
        self._crew.watch_child(claim, child)
        while not attempt.over:
            self._pump(self._stop_child(attempt))
        outcome = attempt.outcome(self._settings.stall_seconds)
        if outcome is not None and outcome.kind == RESULT:
            child.has_run(claim)
        return outcome

    def _stop_child(self, attempt: Attempt) -> float | None:
        """A child whose job is not wanted is asked to stop, then killed; returns how long to wait for it."""
        child = self._crew.child
        asked = attempt.stop_at is not None
        left = attempt.seconds_to_kill(self._settings.cancel_seconds)
        if left is None or child is None:
            return None
        if not asked:
            child.tell(cancel=attempt.claim.lease)
        if left == 0.0:
            child.kill()
            return None
        return left

    def _deliver(self, folder: JobFolder, outcome: Outcome, uploads: Uploads | None = None) -> None:
        delivery = Delivery(folder, outcome, uploads or Uploads(self._client, folder))
        self._insist(self._last_word, lambda: delivery.post(self._client))
        _log.info("Job %s: %s", folder.uuid, outcome.content.get("message", outcome.kind))

    def _deliver_left_over(self) -> None:
        """Outcomes and broken-off attempts that an earlier run of this worker left on the disk."""
        for folder in list(JobFolder.left_over(self._jobs)):
            lost = failure("worker-lost", "The worker was restarted in the middle of the job.")
            self._deliver(folder, folder.kept() or lost)

    def _hand_back(self) -> None:
        """Told to stop: hand an unfinished job back at once. A finished one stays on disk for the next start."""
        attempt = self._attempt
        if attempt is None or attempt.folder.kept() is not None:
            return
        if self._crew.child is not None:
            self._crew.child.kill()
        errand = Errand(lambda: self._client.release(attempt.claim.uuid, attempt.claim.lease), self._crew.bell.ring)
        errand.wait(LAST_WORD_SECONDS)
        try:
            errand.value()
        except ZooscopeError as error:
            _log.warning("Job %s could not be handed back: %s", attempt.claim.uuid, error)
        attempt.folder.remove()


def _not_fetched(error: Exception) -> Outcome:
    if isinstance(error, ZooscopeError):
        return failure(error.code, error.message, error.hint)
    return failure("worker-disk", f"The worker could not store the job's files ({error}).")
