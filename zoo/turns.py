"""Requests answered in turn, as long as each is short.

Python computes in one thread at a time, but a thread lets go of the interpreter at every statement of SQLite and every
message; another one takes it, and the first waits to have it back, again and again: threads that answer short requests
at the same time need up to twice the processor time. So a thread has a turn, and leaves it while it waits for others.
A turn is never a lock: one that takes longer than Python's own switch interval is over as soon as somebody waits.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator


class _Turn:
    """A thread's turn, or its wait for one."""

    def __init__(self) -> None:
        self.began = 0.0
        self._called = threading.Lock()
        self._called.acquire()

    def begin(self) -> None:
        self.began = time.monotonic()
        self._called.release()

    def wait(self, seconds: float) -> bool:
        """Whether it began within so long."""
        return self._called.acquire(timeout=max(0.0, seconds))


class Turns:
    """Turns of the threads of a process, first come, first served; `seconds` is how long a turn lasts for certain."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._current: _Turn | None = None
        self._waiting: deque[_Turn] = deque()
        self._mine = threading.local()
        # Called in a thread that has a turn and begins to wait for others, and when it waits no more.
        self.on_leaving: Callable[[], None] = _nothing
        self.on_coming_back: Callable[[], None] = _nothing

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """A turn for this thread, which has none."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Let others have their turns in the block, which waits for something, and come back behind them; nothing for
        a thread that has no turn.
        """
        if getattr(self._mine, "turn", None) is None:
            yield
            return
        self._end()
        self.on_leaving()
        try:
            yield
        finally:
            self.on_coming_back()
            self._begin()

    def _begin(self) -> None:
        mine = self._mine.turn = _Turn()
        with self._lock:
            self._waiting.append(mine)
            if self._current is None:
                self._next()
            current = self._current
        while current is not None and not mine.wait(current.began + self._seconds - time.monotonic()):
            with self._lock:
                if self._current is current:
                    self._next()
                current = self._current

    def _end(self) -> None:
        mine, self._mine.turn = self._mine.turn, None
        with self._lock:
            if self._current is mine:
                self._next()

    def _next(self) -> None:
        self._current = self._waiting.popleft() if self._waiting else None
        if self._current is not None:
            self._current.begin()


def _nothing() -> None:
    pass


# Those of the requests to this process.
REQUESTS = Turns(sys.getswitchinterval())
