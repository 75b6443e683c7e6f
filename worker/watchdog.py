"""The process that keeps leases alive: `python -m worker.watchdog`, one per supervisor, with its own connection.

JSON lines on stdin: first `{"server", "token", "stall_seconds"}`; for a job `{"watch": {uuid, lease, seconds,
heartbeat, taken_over}}` when it was claimed, `{"computing": lease, "pid", "created"}` when the child has it,
`{"computed": lease}` when only the upload is left, `{"forget": lease}` at its end, `{"call": true}` to hear whether it
is there. JSON lines on stdout: `{"event": "ready"}`, `here`, `extended` {lease, seconds} and `killed` {lease, reason:
"hung" | "lost"}.

At 90 % of the lease it looks at the child: alive and moving, the lease is extended; hung, the child is killed. A
closed stdin means that the supervisor is gone: its child is killed, the job is handed back for another attempt, the
process ends.
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
from enum import Enum
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


class Phase(Enum):
    CLAIMED = "claimed"
    COMPUTING = "computing"
    COMPUTED = "computed"


@dataclass
class Watched:
    """One job under watch; `wake_at`, of the monotonic clock, is when to look next."""

    uuid: str
    lease: str
    seconds: float
    heartbeat: Heartbeat
    wake_at: float
    phase: Phase = Phase.CLAIMED
    pid: int = 0
    created: float = 0.0

    def child_lives(self) -> bool:
        """Whether the child runs; a process that took over its id does not count."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill_child(self) -> None:
        if self.phase is Phase.COMPUTING and self.child_lives():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


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
            self._begin(command["watch"])
            return
        if "call" in command:
            _tell(event="here")
            return
        job = self._watched
        if job is None or job.lease not in command.values():
            return  # about a job that this watchdog has given up already
        if "computing" in command:
            job.phase, job.pid, job.created = Phase.COMPUTING, command["pid"], command["created"]
        elif "computed" in command:
            job.phase = Phase.COMPUTED
        else:
            self._forget()

    def _begin(self, job: dict[str, Any]) -> None:
        self._forget()
        with contextlib.suppress(FileNotFoundError):  # the job ended before this line was read
            heartbeat = Heartbeat(Path(job["heartbeat"]))
            # A watchdog that takes over in mid-job looks at once: how much of the lease is left is not known.
            wake_at = time.monotonic() + (0.0 if job["taken_over"] else CHECK_AT * job["seconds"])
            self._watched = Watched(job["uuid"], job["lease"], job["seconds"], heartbeat, wake_at)

    def _forget(self) -> None:
        if self._watched is not None:
            self._watched.heartbeat.close()
            self._watched = None

    def _look(self, job: Watched) -> None:
        if job.phase is Phase.COMPUTING:
            if not job.child_lives():
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
        job.kill_child()
        self._forget()

    def _orphaned(self) -> None:
        job = self._watched
        if job is None or job.phase is Phase.COMPUTED:
            return  # a finished result lies on disk and may still be posted under this lease
        job.kill_child()
        with contextlib.suppress(ZooscopeError):
            self._client.fail(job.uuid, job.lease, "worker-lost", "The worker's supervisor was killed.", retry=True)


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
