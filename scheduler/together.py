"""What several threads want done at the same time, done once for all of them.

The first to come does it; those who come meanwhile make up the next group, which one of them does, as databases commit
in groups (DeWitt et al. 1984): under load a transaction is shared by many. Who comes alone does not wait for company;
clients that were in one group are likely to send their next requests at about the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from zoo.errors import ZooscopeError
from zoo.turns import REQUESTS

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

# For so long a group waits until it is as large as the one before, as PostgreSQL's commit_delay does.
COMPANY_SECONDS = 0.002


class _Part(Generic[Item, Outcome]):
    """One thread's part of a group, and what became of it."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.outcomes: list[Outcome | ZooscopeError] = []
        self.error: Exception | None = None
        self.over = False
        # Set when it is over, or its turn to do the next group.
        self.called = threading.Event()


class Together(Generic[Item, Outcome]):
    """`act` is given a group's items and returns what became of each, in order; it runs in one thread at a time.

    What it raises is raised for the whole group: what may be the fault of one item belongs among the outcomes.
    """

    def __init__(self, act: Callable[[Sequence[Item]], list[Outcome | ZooscopeError]]) -> None:
        self._act = act
        self._lock = threading.Lock()
        self._waiting: list[_Part[Item, Outcome]] = []
        self._acting = False
        # How many threads were in the last group, and whether as many have come for the next one.
        self._last = 1
        self._complete = threading.Event()

    def do(self, items: Sequence[Item]) -> list[Outcome | ZooscopeError]:
        """What became of the items, in order; raises what `act` raised."""
        if not items:
            return []
        mine: _Part[Item, Outcome] = _Part(items)
        with self._lock:
            self._waiting.append(mine)
            first, self._acting = not self._acting, True
            if len(self._waiting) >= self._last:
                self._complete.set()
        if not first:
            with REQUESTS.away():
                mine.called.wait()
        if not mine.over:
            self._do_waiting(mine)
        if mine.error is not None:
            raise mine.error
        return mine.outcomes

    def _do_waiting(self, mine: _Part[Item, Outcome]) -> None:
        parts = [mine]
        try:
            parts = self._group()
            outcomes = iter(self._act([item for part in parts for item in part.items]))
            for part in parts:
                part.outcomes, part.over = [next(outcomes) for _ in part.items], True
        except Exception as error:
            # For all of them: part of it may be done, so it is not tried again.
            for part in parts:
                part.error, part.over = error, True
        finally:
            with self._lock:
                # Those that this thread, when it is being stopped, leaves undone come first.
                left = [part for part in parts + self._waiting if not part.over and part is not mine]
                self._waiting, self._acting = left, bool(left)
            for part in [part for part in parts if part.over] + left[:1]:
                part.called.set()

    def _group(self) -> list[_Part[Item, Outcome]]:
        """Those who wait now, or in a moment."""
        with REQUESTS.away():
            if self._last > 1:
                self._complete.wait(COMPANY_SECONDS)
        with self._lock:
            parts, self._waiting = self._waiting, []
            self._last = len(parts)
            self._complete.clear()
        return parts
