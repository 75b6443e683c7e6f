"""`Scheduler`: jobs as `web` sees them, and the parts behind the workers' API put together.

Thread-safe. It connects to beanstalkd when it first needs it, and raises Unavailable while it is down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scheduler import leases
from scheduler.accepting import Accepting, Draft
from scheduler.attempts import Attempts
from scheduler.capabilities import Needs, check_served
from scheduler.claims import Claims
from scheduler.clock import now
from scheduler.contract import FINAL_STATES
from scheduler.ending import Ending
from scheduler.entering import put_entry
from scheduler.ert import lease_seconds, prior
from scheduler.eta import Etas
from scheduler.events import EventHub
from scheduler.jobs import Body, JobMissing, JobRequest, Jobs, handle_of, note
from scheduler.limits import Limits, TooManyJobs
from scheduler.logs import Logs
from scheduler.maintenance import Maintenance, mark_deleted
from scheduler.metrics import Metrics
from scheduler.overview import Overview
from scheduler.pauses import Pauses
from scheduler.queue import Queue
from scheduler.reaper import Reaper
from scheduler.reserving import Reserving
from scheduler.resubmission import submitted_before, uuid_for
from scheduler.runtimes import Figures, Runtimes
from scheduler.tokens import Tokens
from scheduler.worker_tokens import WorkerTokens
from scheduler.workers import Workers
from zoo.blobs import BlobMissing, DiskBlobs
from zoo.documents import DocumentExists, Documents, Page, Query, Stored
from zoo.errors import UserError, ZooscopeError
from zoo.secrets import JOB_TOKENS, read_or_make_key
from zoo.settings import Settings

__all__ = ["InputGone", "JobRequest", "Scheduler", "TooManyJobs"]

Filters = dict[str, Sequence[str | int | float | bool]]


class InputGone(UserError):
    code = "input-gone"
    status = 409


class NotBuried(UserError):
    code = "not-buried"
    status = 409


class Scheduler:
    """`attempts` is what workers do to their jobs, `events` wakes those who watch one.

    Hold `blob_lock` from storing a blob until the document that refers to it is stored. `forget_blob` deletes a blob
    when no document refers to it any more. A simulation brings a `queue` of its own.
    """

    def __init__(self, documents: Documents, blobs: DiskBlobs, settings: Settings, queue: Queue | None = None) -> None:
        self.settings = settings
        self.blobs = blobs
        self.events = EventHub(self.job)
        self._jobs = Jobs(documents, self.events.changed)
        self._queue = queue or Queue(settings.beanstalkd)
        self._tokens = Tokens(read_or_make_key(settings, JOB_TOKENS), settings.token_hours)
        reaper = Reaper(documents, blobs, self._jobs)
        self.blob_lock = reaper.lock
        self.forget_blob = reaper.collect_one
        self._logs = Logs(documents, blobs, self._queue, self._jobs, reaper.lock, settings.log_bytes)
        self._ending = Ending(self._jobs, self._queue, self._logs, reaper)
        self.metrics = Metrics(lambda: self.overview.figures())
        self._limits = Limits(self._jobs, self._queue, settings)
        self._claims = Claims(self._jobs, self._queue, self._tokens, self._ending, self.metrics, self._limits, settings)
        self.workers = Workers(documents)
        self.worker_tokens = WorkerTokens(documents, self._jobs, self._queue)
        self._runtimes = Runtimes(documents)
        self.attempts = Attempts(
            self._jobs,
            self._queue,
            self._logs,
            blobs,
            reaper,
            self._ending,
            self.workers,
            self._runtimes,
            self.metrics,
            self._limits,
            settings,
        )
        self.maintenance = Maintenance(self._jobs, self._queue, self._logs, self._tokens, self._ending, settings)
        self._pauses = Pauses(documents, self._queue)
        self.pause, self.paused = self._pauses.pause, self._pauses.left
        self.etas = Etas(self._jobs, self._runtimes, self.workers.present, self.paused, settings)
        self.overview = Overview(self._jobs, self._queue, self.workers, self._pauses)
        self.status, self.buried = self.overview.status, self.overview.buried
        self._accepting = Accepting(self._jobs, self._queue, self._tokens, self._limits)
        self._closing = threading.Event()
        self.stopping: Callable[[], bool] = self._closing.is_set
        self._reserving = Reserving(
            self._queue, self._claims, self.workers, self.worker_tokens, self._pauses, self.maintenance, settings,
            lambda: self._closing.is_set() or self.stopping(),
        )  # fmt: skip
        self.reserve = self._reserving.reserve

    def close(self) -> None:
        """Let everybody who waits go, and hang up on beanstalkd."""
        self._closing.set()
        self.events.close()
        self._queue.close()

    def submit(self, request: JobRequest) -> dict[str, Any]:
        """Accept a job and queue it; returns its body. Raises TooManyJobs, InputGone, Unavailable: then it is not."""
        outcome = self.submit_all([request])[0]
        if isinstance(outcome, ZooscopeError):
            raise outcome
        return outcome

    def submit_all(self, requests: Sequence[JobRequest]) -> list[dict[str, Any] | ZooscopeError]:
        """As `submit` for several: the body of each job, or what `submit` raises in the place of one not accepted."""
        outcomes: list[dict[str, Any] | ZooscopeError | None] = [None] * len(requests)
        drafts: dict[int, Draft] = {}
        with self.blob_lock:
            for number, request in enumerate(requests):
                try:
                    if (known := submitted_before(self._jobs, request)) is not None:
                        outcomes[number] = self.job(known)
                    else:
                        drafts[number] = self._draft(request)
                except ZooscopeError as error:
                    outcomes[number] = error
            accepted = self._accepting.accept(list(drafts.values()))
        for number, outcome in zip(drafts, accepted, strict=True):
            outcomes[number] = self._told(outcome, requests[number])
        return [outcome for outcome in outcomes if outcome is not None]

    def _draft(self, request: JobRequest) -> Draft:
        """Raises NobodyCanServe and InputGone."""
        ert = request.ert_seconds or lease_seconds(
            request.estimate_seconds + request.load_seconds, self.settings.ert_slack, self.settings
        )
        self.check_served(request.kind, request.requires)
        return Draft(request, ert, self._input_size(request.input_sha256))

    def _told(self, outcome: Stored | ZooscopeError, request: JobRequest) -> dict[str, Any] | ZooscopeError:
        if isinstance(outcome, Stored):
            return outcome.body | {"revision": outcome.revision}
        if isinstance(outcome, DocumentExists) and request.uuid is not None:
            # The same submission, sent twice, was quicker in another thread or replica.
            try:
                return self.job(request.uuid)
            except JobMissing as error:
                return error
        return outcome

    def _input_size(self, sha256: str) -> int:
        try:
            return self.blobs.size(sha256)
        except BlobMissing:
            raise InputGone(
                "The region of this preview is no longer stored.", "Choose the image and region again."
            ) from None

    def uuid_for(self, owner: str, idempotency_key: str, number: int = 0) -> str:
        """The uuid for a JobRequest that may be submitted twice; raises BadKey. See `scheduler.resubmission`."""
        return uuid_for(read_or_make_key(self.settings, JOB_TOKENS), owner, idempotency_key, number)

    def check_served(self, kind: str, requires: Mapping[str, Any]) -> None:
        """Raise NobodyCanServe when workers are online and none can run a job of this kind with these needs."""
        check_served(kind, Needs.read(requires), self.workers.abilities())

    def figures(self, package_sha256: str, claimed: Mapping[str, Any], device: str) -> Figures:
        """Seconds that a model takes on a kind of device: learned from finished jobs, before them as `claimed`."""
        return self._runtimes.figures(package_sha256, device, prior(claimed, device))

    def job(self, uuid: str) -> dict[str, Any]:
        """The job's body, with its `revision`; raises JobMissing."""
        stored = self._jobs.get(uuid)
        return stored.body | {"revision": stored.revision}

    def revision(self, uuid: str) -> str:
        return self._jobs.get(uuid).revision

    def jobs_of(self, owner: str, page: int = 1, size: int = 20, rerun_of: str = "") -> Page:
        """The owner's jobs, newest first; only those that run the job `rerun_of` again when it is given."""
        filters: Filters = {"owner": [owner], "deleted": [False], "rerun_of": [rerun_of] if rerun_of else []}
        return self._jobs.search(Query(filters=filters, sort="created_at", page=page, size=size))

    def place(self, uuid: str) -> int | None:
        """How many jobs are before this one in the queue; None unless it is queued."""
        body = self._jobs.get(uuid).body
        return self._jobs.before(body) if body["state"] == "queued" else None

    def cancel(self, uuid: str) -> dict[str, Any]:
        """End the job wherever it is; one that is over already stays as it is. Its worker learns it when it reports."""
        self._jobs.get(uuid)

        def cancel(body: Body) -> bool | None:
            if body["state"] in FINAL_STATES:
                return False
            leases.finish(body, "cancelled", now())
            return None

        body = self._jobs.change(uuid, cancel).body
        if body["state"] == "cancelled":
            self._ending.settle_and_delete(uuid)
            self._limits.wake(body["owner"])
        return self.job(uuid)

    def delete(self, uuid: str) -> None:
        """Cancel the job if it is not over, and remove it with its result, log and input."""
        self.cancel(uuid)
        self._jobs.change(uuid, mark_deleted)
        self._ending.forget(uuid)

    def kick(self, uuid: str) -> dict[str, Any]:
        """For an operator: try a buried job once more, from its first attempt on. Raises NotBuried."""
        before = self._jobs.get(uuid).body
        handle = handle_of(before)
        # Asked first, so that nothing is half done while the queue is away. The document decides: a broker that lost
        # its binlog has lost the buried entries as well.
        self._queue.state(handle, uuid)
        if not before["buried"] or before["state"] != "failed":
            raise NotBuried("This job is not buried.", "Only a job that failed after all its attempts can be kicked.")

        def revive(body: Body) -> bool | None:
            if body["state"] != "failed" or not body["buried"]:
                return False
            body |= {
                "state": "queued",
                "buried": False,
                "attempt": 0,
                "lost_claims": 0,
                "error": None,
                "finished_at": None,
            }
            note(body, now(), "kicked")
            return None

        revived = self._jobs.change(uuid, revive).body
        # A new entry rather than the old one: the token in it is fresh.
        self._queue.delete(handle, uuid)
        put_entry(self._queue, self._tokens, self._jobs, revived)
        return self.job(uuid)

    def log_text(self, uuid: str) -> str:
        """The job's log, while it runs and afterwards."""
        return self._logs.text(uuid)

    def needs_blob(self, sha256: str, token: str = "") -> bool:
        """Whether a job that is not over has this blob as its input or its model's package: a worker may have it.
        With the name of a worker's token: whether a job that is leased under it does.
        """
        fields, held = ("input.sha256", "model.package_sha256"), {"lease.token": [token]} if token else {}
        return any(self._jobs.any(**{field: [sha256]}, **held, state=["queued", "running"]) for field in fields)
