"""Healing what crashes left: jobs without their queue entry, logs without their job, garbage, half-deleted jobs.

Run before the first job is handed out and whenever a worker finds nothing to do: then every job that is still queued
is suspect, and there are few of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from scheduler import leases
from scheduler.clock import monotonic, now
from scheduler.contract import FINAL_STATES
from scheduler.ending import Ending
from scheduler.entry import Entry
from scheduler.jobs import Body, JobMissing, Jobs, handle_of, set_handle
from scheduler.logs import Logs
from scheduler.queue import Queue, QueueDown
from scheduler.tokens import Tokens
from zoo.documents import MAXIMUM_PAGE_SIZE, Query, Stored
from zoo.errors import ZooscopeError
from zoo.settings import Settings

log = logging.getLogger(__name__)

RECOVER_EVERY_SECONDS = 5.0
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
        self._recovered_at = self._swept_at = -float("inf")

    def run_if_due(self, idle: bool) -> None:
        """Recover if that never happened, or when `idle` and the last time is a while ago; in one thread at a time."""
        first = self._recovered_at == -float("inf")
        if not (first or (idle and monotonic() - self._recovered_at >= RECOVER_EVERY_SECONDS)):
            return
        if not self._one_at_a_time.acquire(blocking=False):
            return
        try:
            self.recover()
            self._recovered_at = monotonic()
            if monotonic() - self._swept_at >= SWEEP_EVERY_SECONDS:
                self.sweep()
                self._swept_at = monotonic()
        finally:
            self._one_at_a_time.release()

    def recover(self) -> None:
        """Queue again what the broker lost, and drain the logs of jobs that are over."""
        for stored in self._all({"state": ["queued", "running"]}):
            try:
                self._recover_one(stored)
            except QueueDown:
                raise
            except ZooscopeError as error:
                log.warning("job %s: it is queued again later: %s", stored.id, error)
        for uuid in self._logs.left_behind():
            try:
                over = self._jobs.get_any(uuid).body["state"] in FINAL_STATES
            except JobMissing:
                over = True
            if over:
                self._logs.drain(uuid)

    def _recover_one(self, stored: Stored) -> None:
        body, handle = stored.body, handle_of(stored.body)
        if handle is None and now() - body["created_at"] < self._settings.claim_seconds:
            # Its submission is probably still on the way; a second entry would be harmless, but useless.
            return
        state = self._queue.state(handle, stored.id)
        if state is None or state == "buried":
            if state == "buried":
                # Never by us: a job of ours has failed before its entry is buried.
                self._queue.delete(handle, stored.id)
            log.warning("job %s: its queue entry was lost, it is queued again", stored.id)
            put_entry(self._queue, self._tokens, self._jobs, body)

    def sweep(self) -> None:
        """Collect garbage, finish deletions, and delete results that are older than they are kept."""
        for stored in self._all({"has_garbage": [True]}):
            self._ending.collect(stored.id)
        oldest = now() - self._settings.job_days * DAY_SECONDS
        for stored in self._all({"state": sorted(FINAL_STATES)}, finished_before=oldest):
            self._jobs.change(stored.id, mark_deleted)
        for stored in self._all({"deleted": [True]}):
            self._ending.forget(stored.id)

    def _all(self, filters: Mapping[str, Any], finished_before: float | None = None) -> Iterator[Stored]:
        """Every job that matches, oldest first, however many: page after page by time of creation."""
        seen: set[str] = set()
        after: float | None = None
        while True:
            ranges: dict[str, tuple[float | None, float | None]] = {"created_at": (after, None)}
            if finished_before is not None:
                ranges["finished_at"] = (None, finished_before)
            query = Query(filters=filters, ranges=ranges, sort="created_at", descending=False, size=MAXIMUM_PAGE_SIZE)
            fresh = [stored for stored in self._jobs.search(query).items if stored.id not in seen]
            if not fresh:
                return
            seen.update(stored.id for stored in fresh)
            after = fresh[-1].body["created_at"]
            yield from fresh


def mark_deleted(body: Body) -> bool | None:
    """A transition: the job is gone for everybody, and all its blobs are garbage."""
    if body["deleted"]:
        return False
    body["garbage"] = sorted({*body["blobs"], *body["garbage"]})
    body |= {"deleted": True, "result": None, "log_sha256": None}
    return None


def put_entry(queue: Queue, tokens: Tokens, jobs: Jobs, body: Mapping[str, Any]) -> None:
    """Queue the job of this document, delayed while a lease on it lives, and write down where its entry lies.

    Another entry that was queued meanwhile wins; the claim that meets the loser deletes it.
    """
    known, place = handle_of(body), body["queue"]
    entry = Entry(body["uuid"], body["kind"], place["tube"], body["attempt"], tokens.make(body))
    handle = queue.put(place["tube"], entry.to_bytes(), place["priority"], delay=leases.remaining(body, now()))

    def enter(body: Body) -> bool | None:
        if handle_of(body) != known or body["state"] in FINAL_STATES:
            return False
        set_handle(body, handle)
        return None

    jobs.change(body["uuid"], enter)
