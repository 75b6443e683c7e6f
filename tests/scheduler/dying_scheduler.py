"""A scheduler that is killed just before its n-th change of the world: `python dying_scheduler.py SETTINGS`.

SETTINGS is a JSON object. For every JSON line on stdin, {step, ahead, call: [method, arguments]}, a process of its own
builds a scheduler and makes the call; SIGKILL ends it just before step `step` (from 0). What is a step: a command to
beanstalkd that changes something or takes a job, a write of a document, the arrival and the publishing of a blob, its
removal. `ahead` is by how many seconds its clock is ahead. The answer is a JSON line: {killed}, false when it lived.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import greenstalk

from scheduler import clock
from scheduler.connection import Connection
from scheduler.contract import ReserveRequest
from scheduler.service import JobRequest, Scheduler
from zoo.blobs import DiskBlobs
from zoo.documents_sqlite import SqliteDocuments
from zoo.errors import ZooscopeError
from zoo.settings import Settings

STEPS = {
    greenstalk.Client: ("put", "reserve", "reserve_job", "release", "delete", "bury", "kick_job"),
    Connection: ("put_all", "exchange"),
    SqliteDocuments: ("write", "delete"),
    DiskBlobs: ("_receive", "_publish", "delete"),
}

Method = TypeVar("Method", bound=Callable[..., Any])


class Ahead:
    """The system's clock, `seconds` ahead."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return time.time() + self.seconds

    def monotonic(self) -> float:
        return time.monotonic() + self.seconds


class CancelledOnTheWay(io.BytesIO):
    """An upload during which its user cancels the job."""

    def __init__(self, scheduler: Scheduler, given: dict[str, Any]) -> None:
        super().__init__(given["stream"].encode())
        self._cancel = lambda: scheduler.cancel(given["uuid"])

    def read(self, size: int | None = -1) -> bytes:
        self._cancel()
        return super().read(size)


def die_at(last: int) -> None:
    """From here on the process is killed just before step `last`."""
    numbers = itertools.count()

    def dying(method: Method) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            if next(numbers) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*arguments, **options)

        return step

    for owner, names in STEPS.items():
        for name in names:
            setattr(owner, name, dying(getattr(owner, name)))


def call(scheduler: Scheduler, method: str, given: dict[str, Any]) -> None:
    attempts, maintenance = scheduler.attempts, scheduler.maintenance
    calls: dict[str, Callable[[], Any]] = {
        "submit": lambda: scheduler.submit(JobRequest(**given)),
        "reserve": lambda: scheduler.reserve(ReserveRequest(**given)),
        "cancel": lambda: scheduler.cancel(**given),
        "remove": lambda: scheduler.delete(**given),
        "kick": lambda: scheduler.kick(**given),
        "recover": maintenance.recover,
        "sweep": maintenance.sweep,
        "file": lambda: attempts.file(**given | {"stream": io.BytesIO(given["stream"].encode())}),
        "result with a file": lambda: attempts.result(
            **given | {"along": {name: text.encode() for name, text in given["along"].items()}}
        ),
        "file of a cancelled job": lambda: attempts.file(**given | {"stream": CancelledOnTheWay(scheduler, given)}),
    }
    calls.get(method, lambda: getattr(attempts, method)(**given))()


def run(settings: Settings, order: dict[str, Any]) -> None:
    """One call in this process, which ends with it."""
    with clock.replaced(Ahead(order["ahead"])):
        documents, blobs = SqliteDocuments(settings.documents_file), DiskBlobs(settings.blobs_folder)
        scheduler = Scheduler(documents, blobs, settings)
        # Its first reserve would recover; that is a call of its own.
        scheduler.maintenance.run_if_due = lambda idle: None  # type: ignore[method-assign]
        die_at(order["step"])
        method, given = order["call"]
        call(scheduler, method, given)


def main() -> None:
    given = json.loads(sys.argv[1])
    settings = Settings(**given | {"data": Path(given["data"])})
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                run(settings, json.loads(line))
            except ZooscopeError as error:
                os._exit(0 if error.status in (404, 409, 410) else 1)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, -signal.SIGKILL):
            sys.exit(f"status {status} of {line}")
        print(json.dumps({"killed": status != 0}), flush=True)


if __name__ == "__main__":
    main()
