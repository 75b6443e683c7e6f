"""Healing what crashes left: jobs without their queue entry, logs without their job, garbage, half-deleted jobs.

Run before the first job is handed out and whenever a worker finds nothing to do: then every job that is still queued
is suspect, and there are few of them. While all are busy, it is enough to count from time to time. However many jobs
there are, a worker's request is held up for a moment only: the next one goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from scheduler import leases
from scheduler.capabilities import TUBE_PREFIX
from scheduler.clock import monotonic, now
from scheduler.contract import FINAL_STATES
from scheduler.ending import Ending
from scheduler.entering import put_entry
from scheduler.jobs import Body, JobMissing, Jobs, handle_of
from scheduler.logs import Logs
from scheduler.queue import Handle, Lies, Queue, QueueDown, QueueFull
from scheduler.tokens import Tokens
from zoo.documents import MAXIMUM_PAGE_SIZE, Query, Stored
from zoo.errors import ZooscopeError
from zoo.settings import Settings

log = logging.getLogger(__name__)

RECOVER_EVERY_SECONDS = 5.0
# While workers are busy: after how long the entries are counted, and after how long all are looked at all the same.
COUNT_EVERY_SECONDS = 60.0
RECOVER_BUSY_SECONDS = 600.0
# For how long one request does this, while entries are missing and while none is: then a job that comes is not to wait
# for it. And how soon another one goes on with it, while workers are idle and while they are busy.
PIECE_SECONDS, SHORT_PIECE_SECONDS = 1.0, 0.02
GO_ON_IDLE_SECONDS, GO_ON_SECONDS = 1.0, 10.0
# An entry that is later than its document says by more than this is set right.
LATE_SECONDS = 5.0
# For as long may the entry of a job wait that nobody holds: until a retry, or while its owner has too many running.
LONGEST_PAUSE_SECONDS = 60.0
SWEEP_EVERY_SECONDS = 60.0
DAY_SECONDS = 86400.0


class Maintenance:
    def __init__(
        self, jobs: Jobs, queue: Queue, logs: Logs, tokens: Tokens, ending: Ending, settings: Settings
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._logs = logs
        self._tokens = tokens
        self._ending = ending
        self._settings = settings
        self._one_at_a_time = threading.Lock()
        # When all jobs were looked at last, when anything was done last, and the scan that is not at its end.
        self._recovered_at = self._looked_at = self._swept_at = self._combed_at = -float("inf")
        self._scan: Iterator[Stored] | None = None
        self._missing = False

    def run_if_due(self, idle: bool) -> None:
        """Recover if that never happened, when `idle` and the last time is a while ago, or when entries are missing; a
        piece of it, in one thread at a time. What cannot be done now is done another time.
        """
        if not self._due(idle) or not self._one_at_a_time.acquire(blocking=False):
            return
        try:
            self._run(idle)
        except ZooscopeError as error:
            log.warning("maintenance is put off: %s", error)
        finally:
            self._looked_at = monotonic()
            self._one_at_a_time.release()

    def _due(self, idle: bool) -> bool:
        if self._scan is not None:
            pause = (0.0 if self._missing else GO_ON_IDLE_SECONDS) if idle else GO_ON_SECONDS
        else:
            pause = RECOVER_EVERY_SECONDS if idle else COUNT_EVERY_SECONDS
        return monotonic() - self._looked_at >= pause

    def _run(self, idle: bool) -> None:
        now_due = idle or self._scan is not None or monotonic() - self._recovered_at >= RECOVER_BUSY_SECONDS
        self._missing = self._queue.entries(TUBE_PREFIX) < self._jobs.count(state=["queued", "running"])
        if not (now_due or self._missing):
            return
        if not self.recover(PIECE_SECONDS if self._missing else SHORT_PIECE_SECONDS):
            return
        self._recovered_at = monotonic()
        if monotonic() - self._swept_at >= SWEEP_EVERY_SECONDS:
            self.sweep()
            self._swept_at = monotonic()
        if idle and monotonic() - self._combed_at >= DAY_SECONDS and self._ending.collect_orphans(PIECE_SECONDS):
            self._combed_at = monotonic()

    def recover(self, seconds: float | None = None) -> bool:
        """Queue again what the broker lost, set right what waits too long, drain the logs of jobs that are over.

        With `seconds` it goes on where the last call stopped, for no longer than that; False when it leaves some.
        """
        scan = self._scan if seconds is not None and self._scan is not None else self._open()
        deadline = float("inf") if seconds is None else monotonic() + seconds
        self._scan = None
        try:
            for stored in scan:
                self._recover_one(stored)
                if monotonic() > deadline:
                    self._scan = scan
                    return False
        except QueueFull as error:
            log.warning("jobs that lost their queue entries are queued again later: %s", error)
        self._drain_logs()
        return True

    def _drain_logs(self) -> None:
        for uuid in self._logs.left_behind():
            try:
                over = self._jobs.get_any(uuid).body["state"] in FINAL_STATES
            except JobMissing:
                over = True
            if over:
                self._logs.drain(uuid)

    def _recover_one(self, stored: Stored) -> None:
        try:
            self._set_right(stored)
        except JobMissing:
            return
        except QueueDown:
            raise
        except ZooscopeError as error:
            log.warning("job %s: it is queued again later: %s", stored.id, error)
        except Exception:
            # A damaged document must not keep the others from being looked after.
            log.exception("job %s: its document is damaged", stored.id)

    def _set_right(self, stored: Stored) -> None:
        body, handle = stored.body, handle_of(stored.body)
        lies = self._queue.look(handle, stored.id)
        if _sound(body, lies):
            return
        # The entry may be newer than what the search found.
        body = self._jobs.get(stored.id).body
        if body["state"] in FINAL_STATES or handle_of(body) != handle or _sound(body, lies):
            return
        if handle is not None and lies is not None and lies.state == "delayed":
            log.warning("job %s: its queue entry waits %.0f s too long, it is set right", stored.id, lies.seconds_left)
            self._queue.delay_again(handle, stored.id, leases.remaining(body, now()))
            return
        log.warning("job %s: its queue entry was lost, it is queued again", stored.id)
        self._put_again(body, handle, lies)

    def _put_again(self, body: Body, handle: Handle | None, lies: Lies | None) -> None:
        if lies is not None and lies.state == "buried":
            # Never by us: a job of ours has failed before its entry is buried.
            self._queue.delete(handle, body["uuid"])
        put_entry(self._queue, self._tokens, self._jobs, body)

    def sweep(self) -> None:
        """Collect garbage, finish deletions, and delete results that are older than they are kept."""
        for stored in self._all({"has_garbage": [True]}):
            self._ending.collect(stored.id)
        oldest = now() - self._settings.job_days * DAY_SECONDS
        for stored in self._all({"deleted": [False]}, by="finished_at", until=oldest):
            self._jobs.change(stored.id, mark_deleted)
        for stored in self._all({"deleted": [True]}):
            self._ending.forget(stored.id)

    def _open(self) -> Iterator[Stored]:
        """Every job that is not over, state by state because each is in the order of an index."""
        for state in ("queued", "running"):
            yield from self._all({"state": [state], "deleted": [False]})

    def _all(self, filters: Mapping[str, Any], by: str = "created_at", until: float | None = None) -> Iterator[Stored]:
        """Every job that matches, oldest first, however many: page after page in the order of a time."""
        seen: set[str] = set()
        after: float | None = None
        while True:
            query = Query(
                filters=filters,
                ranges={by: (after, until)},
                sort=by,
                descending=False,
                size=MAXIMUM_PAGE_SIZE,
                count_limit=0,
            )
            fresh = [stored for stored in self._jobs.search(query).items if stored.id not in seen]
            if not fresh:
                return
            seen.update(stored.id for stored in fresh)
            after = fresh[-1].body[by]
            yield from fresh


def _sound(body: Mapping[str, Any], lies: Lies | None) -> bool:
    """Whether the job's entry will be handed out when it should be; early is well, a claim puts it off."""
    if lies is None or lies.state == "buried":
        return False
    if lies.state == "reserved":
        return lies.seconds_left >= 0
    due = leases.remaining(body, now()) if body["lease"] else LONGEST_PAUSE_SECONDS
    return lies.state == "ready" or lies.seconds_left <= due + LATE_SECONDS


def mark_deleted(body: Body) -> bool | None:
    """A transition: the job is gone for everybody, and all its blobs are garbage."""
    if body["deleted"]:
        return False
    body["garbage"] = sorted({*body["blobs"], *body["garbage"]})
    body |= {"deleted": True, "result": None, "log_sha256": None}
    return None
