"""Relays a running job to the scheduler from a thread of its own: start, progress, log, and the heartbeat they are.

The supervisor's loop only leaves the latest progress here, so that a slow network never holds it up; the scheduler's
answers come back as `ended`: the reason why the job must stop.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable

from scheduler.contract import Claim, Progress
from worker.client import Refused, SchedulerClient, ServiceAway
from zoo.errors import ZooscopeError

SHORTEST_SECONDS = 0.2  # between two posts
LONGEST_SECONDS = 1.0  # a cancelled job is noticed this late at most
LOG_CHUNK = 8000  # characters; 48 kB when each is escaped, and a log message must stay below 64 KiB
WAITING_CHUNKS = 64  # of the log, held back while the scheduler is away
CUT = "\n[the log was cut here: it is too long]\n"

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class Reporter:
    """Reports on one claim until `finish`; `wake` is called from its thread when `ended` was set."""

    def __init__(self, client: SchedulerClient, claim: Claim, wake: Callable[[], None], log_bytes: int) -> None:
        self._client = client
        self._claim = claim
        self._wake = wake
        self._log_left = log_bytes
        self._news = threading.Condition()
        self._progress = Progress("loading")
        self._fresh = True
        self._text = ""
        self._chunks: deque[tuple[int, str]] = deque()
        self._sequence = 0
        self._finished = False
        self.ended: ZooscopeError | None = None
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def progress(self, progress: Progress) -> None:
        with self._news:
            self._progress, self._fresh = progress, True
            self._news.notify()

    def log(self, text: str) -> None:
        with self._news:
            if self._log_left <= 0:
                return
            text = _CONTROL.sub("", text)
            data = text.encode("utf-8", "replace")
            kept = data[: self._log_left].decode("utf-8", "ignore")
            self._text += kept if len(data) <= self._log_left else kept + CUT
            self._log_left -= len(data)
            while len(self._text) > LOG_CHUNK:
                self._cut_chunk()
            self._news.notify()

    def take_log(self) -> list[tuple[int, str]]:
        """What was not posted yet, as (sequence, text); from now on somebody else posts it."""
        with self._news:
            if self._text:
                self._cut_chunk()
            chunks = list(self._chunks)
            self._chunks.clear()
            return chunks

    def finish(self) -> None:
        with self._news:
            self._finished = True
            self._news.notify()

    def join(self) -> None:
        """Wait for the last post to end."""
        self._thread.join()

    def _cut_chunk(self) -> None:
        if len(self._chunks) < WAITING_CHUNKS:
            chunk, self._text = self._text[:LOG_CHUNK], self._text[LOG_CHUNK:]
        else:
            # More than the scheduler takes meanwhile: what is posted says that the rest is missing.
            chunk, self._text, self._log_left = CUT, "", 0
        self._chunks.append((self._sequence, chunk))
        self._sequence += 1

    def _run(self) -> None:
        try:
            started = False
            while not self._finished:
                try:
                    if not started:
                        self._client.start(self._claim.uuid, self._claim.lease)
                        started = True
                    self._post()
                except ServiceAway:
                    self._rest(LONGEST_SECONDS)
                else:
                    self._rest(SHORTEST_SECONDS)
                    self._await_news(LONGEST_SECONDS - SHORTEST_SECONDS)
        except ZooscopeError as reason:
            self.ended = reason
            self._wake()

    def _post(self) -> None:
        with self._news:
            progress, self._fresh = self._progress, False
            if self._text:
                self._cut_chunk()
        uuid, lease = self._claim.uuid, self._claim.lease
        self._client.progress(uuid, lease, progress)
        while True:
            with self._news:
                if not self._chunks:
                    return
                chunk = self._chunks[0]
            with contextlib.suppress(Refused):  # the log is a courtesy; the job goes on without this piece
                self._client.log(uuid, lease, *chunk)
            with self._news:
                if self._chunks and self._chunks[0] is chunk:
                    self._chunks.popleft()

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._news:
            while not self._finished and (left := until - time.monotonic()) > 0:
                self._news.wait(left)

    def _await_news(self, seconds: float) -> None:
        with self._news:
            if not (self._fresh or self._text or self._finished):
                self._news.wait(seconds)
