"""The process that keeps leases alive: `python -m worker.watchdog`, one per supervisor, with its own connection.

JSON lines on stdin: first `{"server", "token", "stall_seconds"}`, then `{"watch": {uuid, lease, seconds, elapsed, pid,
created, heartbeat}}` when a job starts, `{"computed": lease}` when its child is done and only the upload is left, and
`{"forget": lease}`. JSON lines on stdout: `{"event": "ready"}`, `extended` {lease, seconds} and `killed` {lease,
reason: "hung" | "lost"}. At 90 % of the lease it looks at the child: alive and moving, the lease is extended; hung, the
child is killed. A closed stdin means that the supervisor is gone: its child is killed, the job is handed back for
another attempt, the process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import selectors
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from worker.client import SchedulerClient, ServiceAway
from worker.heartbeat import Heartbeat
from worker.lines import LineReader
from zoo.errors import ZooscopeError

CHECK_AT = 0.9  # of the lease
RETRY_SECONDS = 0.5
HUNG, LOST = "hung", "lost"


@dataclass
class Watched:
    """One job under watch. Times are of the monotonic clock."""

    uuid: str
    lease: str
    seconds: float
    pid: int
    created: float
    heartbeat: Heartbeat
    wake_at: float
    computing: bool = True
    extending: bool = False

    def child(self) -> psutil.Process | None:
        """The child, unless it ended; a process that took over its id does not count."""
        try:
            process = psutil.Process(self.pid)
            alive = process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


class Watchdog:
    """Watches at most one job at a time, as a supervisor runs one at a time."""

    def __init__(self, client: SchedulerClient, stall_seconds: float) -> None:
        self._client = client
        self._stall_seconds = stall_seconds
        self._watched: Watched | None = None

    def serve(self, commands: LineReader) -> None:
        """Obey commands and keep the lease until stdin closes."""
        with selectors.DefaultSelector() as selector:
            selector.register(commands, selectors.EVENT_READ)
            _tell(event="ready")
            while not commands.closed:
                if selector.select(self._patience()):
                    for line in commands.read():
                        self.obey(json.loads(line))
                if self._watched is not None and time.monotonic() >= self._watched.wake_at:
                    self._look(self._watched)
        self._orphaned()

    def _patience(self) -> float | None:
        return None if self._watched is None else max(0.0, self._watched.wake_at - time.monotonic())

    def obey(self, command: dict[str, Any]) -> None:
        if "watch" in command:
            job = command["watch"]
            self._forget()
            wake_at = time.monotonic() + CHECK_AT * job["seconds"] - job["elapsed"]
            try:
                heartbeat = Heartbeat(Path(job["heartbeat"]))
            except FileNotFoundError:
                return  # the job ended before this line was read
            names = ("uuid", "lease", "seconds", "pid", "created")
            self._watched = Watched(**{name: job[name] for name in names}, heartbeat=heartbeat, wake_at=wake_at)
        elif self._watched is None:
            return
        elif command.get("computed") == self._watched.lease:
            self._watched.computing = False
        elif command.get("forget") == self._watched.lease:
            self._forget()

    def _forget(self) -> None:
        if self._watched is not None:
            self._watched.heartbeat.close()
            self._watched = None

    def _look(self, job: Watched) -> None:
        if job.computing:
            if job.child() is None:
                self._forget()  # the supervisor sees its child's end and says why
                return
            # A lease may be shorter than the stall limit: a whole lease without a step is a hang as well.
            if job.heartbeat.age_seconds() >= min(self._stall_seconds, job.seconds):
                self._kill(job, HUNG)
                return
        self._extend(job)

    def _extend(self, job: Watched) -> None:
        try:
            lease = self._client.extend(job.uuid, job.lease)
        except ServiceAway:
            # Past its end too: nobody else can have the job while the scheduler is away, and it decides when back.
            job.wake_at = time.monotonic() + RETRY_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311
        except ZooscopeError:
            self._kill(job, LOST)
        else:
            job.seconds = lease.seconds
            job.wake_at = time.monotonic() + CHECK_AT * lease.seconds
            _tell(event="extended", lease=job.lease, seconds=lease.seconds)

    def _kill(self, job: Watched, reason: str) -> None:
        # Told before it is done: the supervisor finds the reason when it sees the child's end.
        _tell(event="killed", lease=job.lease, reason=reason)
        _kill_group(job)
        self._forget()

    def _orphaned(self) -> None:
        job = self._watched
        if job is None or not job.computing:
            return  # a finished result lies on disk and may still be posted under this lease
        _kill_group(job)
        with contextlib.suppress(ZooscopeError):
            self._client.fail(job.uuid, job.lease, "worker-lost", "The worker's supervisor was killed.", retry=True)


def _kill_group(job: Watched) -> None:
    if job.computing and job.child() is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)


def _tell(**answer: Any) -> None:
    with contextlib.suppress(BrokenPipeError):  # the supervisor is gone; stdin says so next
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def main() -> None:
    commands = LineReader(0)
    lines: list[str] = []
    while not lines and not commands.closed:
        lines = commands.wait()
    if not lines:
        return
    start, *more = map(json.loads, lines)
    client = SchedulerClient(start["server"], start["token"])
    watchdog = Watchdog(client, start["stall_seconds"])
    for command in more:
        watchdog.obey(command)
    watchdog.serve(commands)
    client.close()


if __name__ == "__main__":
    main()
