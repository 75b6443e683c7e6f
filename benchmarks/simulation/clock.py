"""A clock that stands still until it is told to go on; put it in the system's place with `scheduler.clock.replaced`."""

from __future__ import annotations

from collections.abc import Callable

# Some day: a simulation must not depend on when it runs.
START = 1_700_000_000.0


class SimulatedClock:
    """Seconds. Whoever is in `listeners` is called after every step."""

    def __init__(self, start: float = START) -> None:
        self._start = self._now = start
        self.listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - self._start

    def advance(self, seconds: float) -> None:
        self.advance_to(self._now + seconds)

    def advance_to(self, moment: float) -> None:
        """Go on to `moment`, in seconds since the epoch; never back."""
        self._now = max(self._now, moment)
        for listener in list(self.listeners):
            listener()
