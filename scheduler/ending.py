"""What comes after a job's final state, in this order: its log kept, its garbage collected, its queue entry gone last.

Everything here may be done twice. If it is cut short, the entry is still there, comes back, and it is done again.
"""

from __future__ import annotations

import logging

from scheduler.jobs import JobMissing, Jobs, handle_of
from scheduler.logs import Logs
from scheduler.queue import Queue
from scheduler.reaper import Reaper
from zoo.errors import ZooscopeError

log = logging.getLogger(__name__)


class Ending:
    def __init__(self, jobs: Jobs, queue: Queue, logs: Logs, reaper: Reaper) -> None:
        self._jobs = jobs
        self._queue = queue
        self._logs = logs
        self._reaper = reaper

    def settle(self, uuid: str) -> bool:
        """Keep the log and collect the garbage; False when that must be tried again later."""
        try:
            self._logs.drain(uuid)
            self._reaper.collect(uuid)
        except JobMissing:
            return True
        except ZooscopeError as error:
            log.warning("job %s: what follows its end is put off: %s", uuid, error)
            return False
        return True

    def collect(self, uuid: str) -> None:
        """Collect the garbage of an attempt; maintenance does it again when it fails now."""
        try:
            self._reaper.collect(uuid)
        except ZooscopeError as error:
            log.warning("job %s: its garbage is collected later: %s", uuid, error)

    def collect_orphans(self, seconds: float) -> bool:
        """See `Reaper.collect_orphans`."""
        return self._reaper.collect_orphans(seconds)

    def settle_and_delete(self, uuid: str) -> None:
        """The whole ending, as far as it goes now."""
        if self.settle(uuid):
            self._entry(uuid, bury=False)

    def settle_and_bury(self, uuid: str) -> None:
        """As `settle_and_delete`, but the entry is buried: an operator sees it, and may kick it."""
        if self.settle(uuid):
            self._entry(uuid, bury=True)

    def forget(self, uuid: str) -> bool:
        """Remove a job that is marked as deleted, with all it had; False when that must be tried again later."""
        if not self.settle(uuid) or not self._entry(uuid, bury=False):
            return False
        self._jobs.remove(uuid)
        return True

    def _entry(self, uuid: str, bury: bool) -> bool:
        handle = handle_of(self._jobs.get_any(uuid).body)
        try:
            if bury and handle is not None:
                self._queue.bury(handle, uuid)
            else:
                self._queue.delete(handle, uuid)
        except ZooscopeError as error:
            log.warning("job %s: its queue entry is removed later: %s", uuid, error)
            return False
        return True
