"""Whether the watchdog still answers while a job is watched: a process that is stopped or hung keeps no lease.

It is called after every half of a lease and has a fifth of one to answer, so that another watchdog can be hired and
extend the lease before it ends. Anything that it says is an answer. A new one is first given time to start.
"""

from __future__ import annotations

import time

CALL_AFTER, ANSWER_WITHIN = 0.5, 0.2  # of the lease
SHORTEST_SECONDS, LONGEST_SECONDS = 2.0, 15.0  # to answer
START_SECONDS = 30.0


class RollCall:
    """Times are of the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._lease = 0.0
        self._starting = True
        self._call_at: float | None = None
        self._answer_by: float | None = None

    def begin(self, lease_seconds: float) -> None:
        """A job is watched, under a lease of so many seconds."""
        self._lease = lease_seconds
        self._wait()

    def hired(self) -> None:
        """There is a new watchdog."""
        self._starting = True
        self._wait()

    def heard(self) -> None:
        """The watchdog has said something."""
        self._starting = False
        self._wait()

    def _wait(self) -> None:
        now = time.monotonic()
        if self._lease and self._starting:
            self._call_at, self._answer_by = None, now + START_SECONDS
        elif self._lease:
            self._call_at, self._answer_by = now + CALL_AFTER * self._lease, None

    def end(self) -> None:
        """No job is watched any more."""
        self._lease, self._call_at, self._answer_by = 0.0, None, None

    @property
    def left(self) -> float | None:
        """Seconds until something is due; None when nothing is."""
        times = [at for at in (self._call_at, self._answer_by) if at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def due(self) -> bool:
        """Whether to call now; from then on an answer is awaited."""
        if self._call_at is None or time.monotonic() < self._call_at:
            return False
        seconds = min(max(ANSWER_WITHIN * self._lease, SHORTEST_SECONDS), LONGEST_SECONDS)
        self._call_at, self._answer_by = None, time.monotonic() + seconds
        return True

    def missed(self) -> bool:
        """Whether no answer came in time; asked once."""
        if self._answer_by is None or time.monotonic() < self._answer_by:
            return False
        self._answer_by = None
        return True
