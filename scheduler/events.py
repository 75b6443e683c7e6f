"""Waiting for a job to change: woken at once by changes in this process, within a second by those of others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from scheduler.clock import monotonic

REREAD_SECONDS = 1.0


class _Waiting:
    """Who waits for one job, and how often it changed since the first of them came."""

    def __init__(self, lock: threading.Lock) -> None:
        self.condition = threading.Condition(lock)
        self.changes = 0
        self.waiters = 0


class EventHub:
    """`read` gives a job's body with its `revision`, or raises; the hub never keeps bodies."""

    def __init__(self, read: Callable[[str], dict[str, Any]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._closed = False

    def changed(self, uuid: str) -> None:
        """Wake whoever waits for this job."""
        with self._lock:
            waiting = self._waiting.get(uuid)
            if waiting is not None:
                waiting.changes += 1
                waiting.condition.notify_all()

    def close(self) -> None:
        """Let every waiter go."""
        with self._lock:
            self._closed = True
            for waiting in self._waiting.values():
                waiting.condition.notify_all()

    def wait(self, uuid: str, revision: str | None, timeout: float) -> dict[str, Any] | None:
        """The job as soon as its revision is not `revision`; None after `timeout` seconds without a change.

        Raises JobMissing when there is no such job (any more).
        """
        deadline = monotonic() + timeout
        with self._lock:
            waiting = self._waiting.setdefault(uuid, _Waiting(self._lock))
            waiting.waiters += 1
        try:
            return self._wait(waiting, uuid, revision, deadline)
        finally:
            with self._lock:
                waiting.waiters -= 1
                if waiting.waiters == 0:
                    del self._waiting[uuid]

    def _wait(self, waiting: _Waiting, uuid: str, revision: str | None, deadline: float) -> dict[str, Any] | None:
        while True:
            seen = waiting.changes
            job = self._read(uuid)
            if job["revision"] != revision:
                return job
            left = deadline - monotonic()
            with self._lock:
                if left <= 0 or self._closed:
                    return None
                if waiting.changes == seen:
                    waiting.condition.wait(min(left, REREAD_SECONDS))
