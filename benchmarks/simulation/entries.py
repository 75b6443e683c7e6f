"""The jobs and tubes of a simulated beanstalkd, after its `job.c`, `tube.c` and `prot.c` (1.12): states, orders, times.

Heaps may hold outdated places; a place counts only while its job still has the same `version`.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

READY, RESERVED, DELAYED, BURIED = "ready", "reserved", "delayed", "buried"


@dataclass
class Entry:
    """A job. `deadline` is when a delay or a reservation ends; `holder` is the connection that has it reserved;
    `logged` is what the binlog knows of it: state, priority and deadline."""

    id: int
    tube: str
    body: bytes
    priority: int
    ttr: int
    state: str = READY
    deadline: float = 0.0
    holder: Any = None
    logged: tuple[str, int, float] = (READY, 0, 0.0)
    version: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("reserves", "timeouts", "releases"), 0))


@dataclass
class Tube:
    """`using` and `watching` count connections; a tube without them and without jobs is gone."""

    name: str
    ready: list[tuple[int, int, int]] = field(default_factory=list)
    buried: dict[int, None] = field(default_factory=dict)
    jobs: int = 0
    using: int = 0
    watching: int = 0
    unpause_at: float = 0.0
    pause: int = 0


class Entries:
    """Every job by its id, and every tube by its name. Times are the broker's, handed in as `now`."""

    def __init__(self) -> None:
        self.jobs: dict[int, Entry] = {}
        self.tubes: dict[str, Tube] = {}
        self._ends: list[tuple[float, int, int]] = []

    def tube(self, name: str) -> Tube:
        return self.tubes.setdefault(name, Tube(name))

    def forget_if_unused(self, name: str) -> None:
        tube = self.tubes.get(name)
        if tube is not None and name != "default" and not (tube.jobs or tube.using or tube.watching):
            del self.tubes[name]

    def add(self, entry: Entry) -> None:
        """A new job, in no state yet."""
        self.jobs[entry.id] = entry
        self.tube(entry.tube).jobs += 1

    def remove(self, entry: Entry) -> None:
        self._leave(entry)
        del self.jobs[entry.id]
        self.tube(entry.tube).jobs -= 1
        self.forget_if_unused(entry.tube)

    def make_ready(self, entry: Entry) -> None:
        self._leave(entry)
        entry.state = READY
        heapq.heappush(self.tube(entry.tube).ready, (entry.priority, entry.id, entry.version))

    def delay(self, entry: Entry, until: float) -> None:
        self._leave(entry)
        entry.state, entry.deadline = DELAYED, until
        heapq.heappush(self._ends, (until, entry.id, entry.version))

    def bury(self, entry: Entry) -> None:
        self._leave(entry)
        entry.state = BURIED
        self.tube(entry.tube).buried[entry.id] = None

    def reserve(self, entry: Entry, holder: Any, now: float) -> None:
        self._leave(entry)
        entry.state, entry.holder = RESERVED, holder
        entry.counts["reserves"] += 1
        holder.reserved[entry.id] = entry
        self.renew(entry, now)

    def renew(self, entry: Entry, now: float) -> None:
        """The reservation lasts for the whole of its TTR again."""
        entry.deadline = now + entry.ttr
        heapq.heappush(self._ends, (entry.deadline, entry.id, entry.version))

    def _leave(self, entry: Entry) -> None:
        """Out of whatever state it is in: its places in the heaps count no more."""
        entry.version += 1
        if entry.holder is not None:
            entry.holder.reserved.pop(entry.id, None)
            entry.holder = None
        self.tube(entry.tube).buried.pop(entry.id, None)

    def end_times(self, now: float) -> None:
        """Make ready what was delayed or reserved until `now`."""
        while self._ends and self._ends[0][0] <= now:
            _, id, version = heapq.heappop(self._ends)
            entry = self.jobs.get(id)
            if entry is None or entry.version != version or entry.deadline > now:
                continue
            if entry.state == RESERVED:
                entry.counts["timeouts"] += 1
            self.make_ready(entry)

    def next_end(self) -> float:
        """When the next delay or reservation ends; infinity when none does."""
        while self._ends:
            end, id, version = self._ends[0]
            entry = self.jobs.get(id)
            if entry is not None and entry.version == version and entry.deadline == end:
                return end
            heapq.heappop(self._ends)
        return float("inf")

    def first_ready(self, names: set[str], now: float) -> Entry | None:
        """Of all these tubes that are not paused: the smallest priority, then the smallest id."""
        best: Entry | None = None
        for name in names:
            tube = self.tubes.get(name)
            entry = None if tube is None or tube.unpause_at > now else self._head(tube)
            if entry is not None and (best is None or (entry.priority, entry.id) < (best.priority, best.id)):
                best = entry
        return best

    def _head(self, tube: Tube) -> Entry | None:
        while tube.ready:
            _, id, version = tube.ready[0]
            entry = self.jobs.get(id)
            if entry is not None and entry.version == version:
                return entry
            heapq.heappop(tube.ready)
        return None

    def of(self, state: str, tube: str | None = None) -> list[Entry]:
        """The jobs in a state, in the order in which `kick` takes them."""
        found = [entry for entry in self.jobs.values() if entry.state == state and tube in (None, entry.tube)]
        return sorted(found, key=lambda entry: (entry.deadline if state == DELAYED else 0.0, entry.id))
