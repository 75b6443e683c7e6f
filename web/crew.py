"""Threads that serve whoever is first in line, so many at a time.

One that waits for other threads, for the queue or for events has another in its place meanwhile, as in Java's
ForkJoinPool (`managedBlock`): else a few that wait would hold up all who could be served.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

Client = TypeVar("Client")


class Crew(Generic[Client]):
    """At most `size` threads of the `pool` serve clients at the same time, besides those that wait; a thread that is
    back from waiting goes on though there are as many already, and is one of the first to stop.

    `serve` must not raise.
    """

    def __init__(self, pool: Executor, size: int, serve: Callable[[Client], None]) -> None:
        self._pool = pool
        self._size = size
        self._serve = serve
        self._lock = threading.Lock()
        self._line: deque[Client] = deque()
        self._serving = 0

    @property
    def has_line(self) -> bool:
        """Whether anybody waits for a thread."""
        return bool(self._line)

    def line_up(self, client: Client) -> None:
        """Serve a client when it is its turn."""
        with self._lock:
            self._line.append(client)
        self._call_another()

    def left(self) -> None:
        """This thread begins to wait."""
        with self._lock:
            self._serving -= 1
        self._call_another()

    def back(self) -> None:
        """This thread waits no more."""
        with self._lock:
            self._serving += 1

    def _call_another(self) -> None:
        with self._lock:
            if not self._line or self._serving >= self._size:
                return
            self._serving += 1
        try:
            self._pool.submit(self._work)
        except RuntimeError:
            # The pool was shut down: nobody is served any more.
            with self._lock:
                self._serving -= 1

    def _work(self) -> None:
        while (client := self._next()) is not None:
            self._serve(client)

    def _next(self) -> Client | None:
        with self._lock:
            if self._line and self._serving <= self._size:
                return self._line.popleft()
            self._serving -= 1
            return None
