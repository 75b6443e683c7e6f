"""A beanstalkd made of Python objects, with faults to order. It speaks the protocol to sockets of `wire`.

It keeps what ../shared/reference/beanstalkd.md measured: what the binlog forgets (reservations, releases without delay,
ends of delays), ids that are used again, jobs of a lost connection that are ready at once, a pause that is forgotten.
"""

from __future__ import annotations

import threading
import uuid

from benchmarks.simulation.clock import SimulatedClock
from benchmarks.simulation.entries import BURIED, DELAYED, READY, Entries, Entry
from benchmarks.simulation.wire import Link, SimulatedSocket, socket_and_link

MAXIMUM_BODY = 65535


class SimulatedBroker:
    """`clock` tells its time, `offset` seconds away from it; with `binlog` jobs survive `kill` and `start`."""

    def __init__(self, clock: SimulatedClock, binlog: bool = True) -> None:
        self.clock = clock
        self.binlog = binlog
        self.offset = 0.0
        self.draining = False
        self.stopped = False
        self.running = False
        # First in, first out, whatever the priority: for comparison.
        self.fifo = False
        self.lock = threading.RLock()
        self.commands = 0
        # Counts down with every command; at 0 the connection is cut, before or after the command takes effect.
        self.cut_in: int | None = None
        self.cut_after = False
        self.links: list[Link] = []
        self._kept: list[Entry] = []
        clock.listeners.append(self.tick)
        self.start()

    def now(self) -> float:
        return self.clock.now() + self.offset

    def start(self, binlog: bool | None = None) -> None:
        """Begin with what the binlog says, or with nothing."""
        self.binlog = self.binlog if binlog is None else binlog
        self.id = uuid.uuid4().hex[:16]
        self.entries = Entries()
        self.running, self.draining, self.stopped = True, False, False
        for entry in self._kept if self.binlog else []:
            self._replay(entry)
        self.next_id = max(self.entries.jobs, default=0) + 1
        self.tick()

    def _replay(self, old: Entry) -> None:
        state, priority, deadline = old.logged
        entry = Entry(old.id, old.tube, old.body, priority, old.ttr, logged=old.logged)
        self.entries.add(entry)
        if state == BURIED:
            self.entries.bury(entry)
        elif state == DELAYED and deadline > self.now():
            self.entries.delay(entry, deadline)
        else:
            self.entries.make_ready(entry)

    def kill(self) -> None:
        """Every connection breaks, and what the binlog does not know is forgotten."""
        with self.lock:
            self.running = False
            self._kept = list(self.entries.jobs.values())
            for link in list(self.links):
                link.cut()

    def stop(self) -> None:
        """As SIGSTOP: it takes what is sent and does nothing with it."""
        self.stopped = True

    def resume(self) -> None:
        """Do what was sent meanwhile, even by those who hung up since."""
        with self.lock:
            self.stopped = False
            for link in list(self.links):
                link.catch_up()

    def cut_links(self) -> None:
        """Every connection breaks, as when a network cable is drawn; new ones can be made."""
        with self.lock:
            for link in list(self.links):
                link.cut()

    def dial(self) -> SimulatedSocket:
        """A client's end of a new connection."""
        if not self.running:
            raise ConnectionRefusedError("the simulated beanstalkd is down")
        with self.lock:
            client, link = socket_and_link(self)
            self.links.append(link)
            return client

    def step(self, seconds: float) -> None:
        """Put the broker's clock, and only that, forward or back."""
        with self.lock:
            self.offset += seconds
            self.tick()

    def tick(self) -> None:
        """What time brings: ends of delays, of reservations and of waiting."""
        with self.lock:
            if self.running and not self.stopped:
                self.entries.end_times(self.now())
                self.serve_waiting()

    def serve_waiting(self) -> None:
        """Hand ready jobs to those who wait, the longest waiting first; let those go whose time is over."""
        if not self.running:
            return
        for link in sorted((link for link in self.links if link.waits_until is not None), key=lambda one: one.waits_as):
            link.answer_wait()

    def log(self, entry: Entry) -> None:
        """What the binlog would write down now."""
        entry.logged = (entry.state, entry.priority, entry.deadline)

    def state_of(self, id: int) -> str | None:
        entry = self.entries.jobs.get(id)
        return None if entry is None else entry.state

    def count(self, state: str) -> int:
        return sum(entry.state == state for entry in self.entries.jobs.values())

    def kick(self, tube: str, bound: int) -> int:
        """As an operator's `kick`: the buried, and when there are none the delayed, which may be running."""
        found = self.entries.of(BURIED, tube) or self.entries.of(DELAYED, tube)
        for entry in found[:bound]:
            self.kick_job(entry)
        return len(found[:bound])

    def kick_job(self, entry: Entry) -> bool:
        if entry.state not in (BURIED, DELAYED):
            return False
        self.entries.make_ready(entry)
        self.log(entry)
        self.serve_waiting()
        return True

    def bodies(self) -> list[tuple[str, str, bytes]]:
        """Tube, state and body of every job."""
        return [(entry.tube, entry.state, entry.body) for entry in self.entries.jobs.values()]

    def ready(self, tube: str) -> int:
        return len(self.entries.of(READY, tube))
