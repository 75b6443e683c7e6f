"""Slow calls run beside the supervisor's loop, and the bell that wakes the loop when one is done."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from zoo.log_lines import in_this_context

T = TypeVar("T")


class Bell:
    """A pipe to wait on together with others. Rung by threads, and by signals between `listen` and `close`."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        return self._read

    def listen_to_signals(self) -> None:
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # full: it rings already; closed: nobody listens
            os.write(self._write, b"\0")

    def hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class Errand(Generic[T]):
    """A call in a thread of its own; once `done`, `value` gives what it returned or raises what it raised.

    Daemon threads: a worker that was told to end does not wait for a scheduler that hangs.
    """

    def __init__(self, call: Callable[[], T], wake: Callable[[], None] = lambda: None) -> None:
        self.done = False
        self._call = in_this_context(call)
        self._wake = wake
        self._value: T | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="errand", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except Exception as error:
            self._error = error
        self.done = True
        self._wake()

    def wait(self, seconds: float | None = None) -> None:
        self._thread.join(seconds)

    @property
    def failed(self) -> bool:
        return self._error is not None

    def value(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # None only where T allows it
