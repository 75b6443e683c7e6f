"""The log of every process of ours: one line an event, as text for people or as JSON for programs.

Every line about a job names it. The job is that of the context (`about_job`), or else the one given with the line
(`extra={"job": uuid}`) or named in its sentence, so that `grep UUID` over the logs of web, scheduler and workers tells
the whole story of a job.
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

FORMATS = ("text", "json")
NAMED_JOB = re.compile(r"\bjob ([0-9a-f]{32})\b", re.IGNORECASE)

T = TypeVar("T")

_job: contextvars.ContextVar[str] = contextvars.ContextVar("zooscope_job", default="")


@contextmanager
def about_job(uuid: str) -> Iterator[None]:
    """Lines logged in this block, in this thread, are about the job `uuid`."""
    token = _job.set(uuid)
    try:
        yield
    finally:
        _job.reset(token)


def now_about(uuid: str) -> None:
    """Lines of this thread are about the job `uuid` until it is told otherwise; "" for no job."""
    _job.set(uuid)


def in_this_context(call: Callable[[], T]) -> Callable[[], T]:
    """`call`, which may then run in another thread and still logs about the job of this one."""
    context = contextvars.copy_context()
    return lambda: context.run(call)


def job_of(record: logging.LogRecord) -> str:
    """The uuid of the job that a line is about, "" when it is about none."""
    given = getattr(record, "job", "") or _job.get()
    if given:
        return str(given)
    named = NAMED_JOB.search(record.getMessage())
    return named[1].lower() if named else ""


# Libraries that log every request they make.
TALKATIVE = ("elastic_transport", "httpx")


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC, RFC 3339), level, service, logger, message, and job and error if any."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if job := job_of(record):
            line["job"] = job
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False).encode("utf-8", "replace").decode()


class TextLines(logging.Formatter):
    """`time service level: message [job uuid]`, the level only when it is no mere information; local time."""

    def __init__(self, service: str) -> None:
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S")
        self._service = service
        self._second = (0, "")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Made once a second: that is slow, and lines come in heaps."""
        second = int(record.created)
        if self._second[0] != second:
            self._second = (second, super().formatTime(record, datefmt))
        return self._second[1]

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f" {record.levelname.lower()}"
        # A line break in what a worker or a visitor said would look like a line of ours.
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{self.formatTime(record, self.datefmt)} {self._service}{level}: {message}"
        job = job_of(record)
        if job and job not in message:
            line += f" [job {job}]"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def begin(service: str, form: str, stream: TextIO | None = None) -> None:
    """Log what this process has to say from now on, as `form` (of FORMATS), to `stream` or stderr.

    `service` says which process it is: `web`, or `worker` and its name.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(service) if form == "json" else TextLines(service))
    # Nothing that a line of ours tells: where in the program it was said, and which thread and process said it.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    for former in [one for one in root.handlers if isinstance(one.formatter, JsonLines | TextLines)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
