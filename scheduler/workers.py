"""Which workers are there: remembered from their own requests, in this process, for a minute."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.clock import now

PRESENT_SECONDS = 60.0


@dataclass
class Worker:
    """`job` is the uuid of what it works on, None while it waits; `models` are the model versions it holds warm."""

    name: str
    device: str = ""
    models: tuple[str, ...] = ()
    job: str | None = None
    seen_at: float = field(default_factory=now)


class Workers:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[str, Worker] = {}

    def waiting(self, name: str, device: str, models: Sequence[str]) -> None:
        """A worker asks for a job."""
        with self._lock:
            self._workers[name] = Worker(name, device, tuple(models))

    def working(self, name: str, device: str, job: str) -> None:
        """A worker says something about its job."""
        with self._lock:
            worker = self._workers.setdefault(name, Worker(name))
            worker.device, worker.job, worker.seen_at = device or worker.device, job, now()

    def free(self, name: str, job: str) -> None:
        """A worker is done with its job."""
        with self._lock:
            worker = self._workers.get(name)
            if worker is not None and worker.job == job:
                worker.job, worker.seen_at = None, now()

    def present(self) -> list[dict[str, Any]]:
        """Those seen in the last minute, by name; forgets the others."""
        with self._lock:
            oldest = now() - PRESENT_SECONDS
            self._workers = {name: worker for name, worker in self._workers.items() if worker.seen_at >= oldest}
            return [
                {
                    "name": worker.name,
                    "device": worker.device,
                    "models": list(worker.models),
                    "job": worker.job,
                    "state": "working" if worker.job else "waiting",
                    "seen_at": worker.seen_at,
                }
                for _, worker in sorted(self._workers.items())
            ]
