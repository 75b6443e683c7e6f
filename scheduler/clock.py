"""The time as every module of the scheduler knows it: the system's, or a clock that a simulation puts in its place."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol


class Clock(Protocol):
    """Both in seconds."""

    def now(self) -> float:
        """Since the epoch: leases must mean the same in every process and after a restart."""

    def monotonic(self) -> float:
        """Since anything: for how long something takes, which no step of the system's clock may change."""


class _SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


_current: Clock = _SystemClock()


def now() -> float:
    """Seconds since the epoch."""
    return _current.now()


def monotonic() -> float:
    """Seconds since anything, never going back."""
    return _current.monotonic()


@contextlib.contextmanager
def replaced(clock: Clock) -> Iterator[None]:
    """Let `clock` tell the time to the whole process within the block: for simulations and tests."""
    global _current
    before, _current = _current, clock
    try:
        yield
    finally:
        _current = before
