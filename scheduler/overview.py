"""What there is to see: how many jobs wait and run, of which kind and how old, who works, what failed and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.clock import now
from scheduler.fairness import KINDS
from scheduler.jobs import Jobs
from scheduler.pauses import Pauses
from scheduler.queue import Queue
from scheduler.workers import Workers
from zoo.documents import Page, Query
from zoo.errors import Unavailable

Filters = Mapping[str, Sequence[str | int | float | bool]]

DAY_SECONDS = 86400.0


class Overview:
    def __init__(self, jobs: Jobs, queue: Queue, workers: Workers, pauses: Pauses) -> None:
        self._jobs = jobs
        self._queue = queue
        self._workers = workers
        self._pauses = pauses

    def status(self) -> dict[str, Any]:
        """Workers seen in the last minute, how many jobs are queued and running, and the oldest queued one's age."""
        waiting, oldest_s = self._oldest({"state": ["queued"]})
        return {
            "workers": self._workers.present(),
            "queued": waiting,
            "running": self._jobs.count(state=["running"]),
            "oldest_s": oldest_s,
            "beanstalkd": self.queue_state(),
        }

    def figures(self) -> dict[str, Any]:
        """`status`, by kind, with the pauses and how many jobs are buried."""
        buried = self.buried(size=1).total
        kinds = {kind: self._kind(kind) for kind in KINDS}
        return self.status() | {"kinds": kinds, "paused": self._pauses.left(), "buried": buried}

    def _kind(self, kind: str) -> dict[str, float]:
        waiting, oldest_s = self._oldest({"state": ["queued"], "kind": [kind]})
        running = self._jobs.count(state=["running"], kind=[kind])
        return {"queued": waiting, "running": running, "oldest_s": oldest_s}

    def _oldest(self, filters: Filters) -> tuple[int, float]:
        """How many jobs match, and the age of the oldest in seconds."""
        query = Query(filters={**filters, "deleted": [False]}, sort="created_at", descending=False, size=1)
        found = self._jobs.search(query)
        return found.total, max(0.0, now() - found.items[0].body["created_at"]) if found.items else 0.0

    def queue_state(self) -> str:
        """ok, draining (it takes no new jobs) or down."""
        try:
            return "draining" if self._queue.stats()["draining"] == "true" else "ok"
        except Unavailable:
            return "down"

    def buried(self, page: int = 1, size: int = 50) -> Page:
        """Jobs that failed after all their attempts, the latest first."""
        filters: Filters = {"buried": [True], "deleted": [False]}
        return self._jobs.search(Query(filters=filters, sort="finished_at", page=page, size=size))

    def running(self, size: int = 50) -> Page:
        """Jobs that run, the longest first."""
        filters: Filters = {"state": ["running"], "deleted": [False]}
        return self._jobs.search(Query(filters=filters, sort="started_at", descending=False, size=size))

    def recent(self, size: int = 20) -> Page:
        """Jobs that ended, the latest first."""
        filters: Filters = {"state": ["done", "failed", "cancelled"], "deleted": [False]}
        return self._jobs.search(Query(filters=filters, sort="finished_at", size=size))

    def failures(self, seconds: float = DAY_SECONDS) -> list[dict[str, Any]]:
        """Why jobs failed in the last so many seconds, the commonest reason first: its `code`, how many, and the
        `message` and `uuid` of the latest."""
        filters: Filters = {"state": ["failed"], "deleted": [False]}
        lately: Mapping[str, tuple[float | None, float | None]] = {"finished_at": (now() - seconds, None)}
        query = Query(filters=filters, ranges=lately, facets=["error.code"], sort="finished_at", size=1)
        found = self._jobs.search(query)
        reasons = []
        for code, count in found.facets["error.code"].items():
            query = Query(filters={**filters, "error.code": [code]}, ranges=lately, sort="finished_at", size=1)
            for latest in self._jobs.search(query).items:
                message = latest.body["error"]["message"]
                reasons.append({"code": code, "jobs": count, "message": message, "uuid": latest.id})
        return reasons
