"""beanstalkd, spoken to here and in `connection`, and nowhere else.

Every use takes a connection of its own from a small pool. A beanstalkd id is only a handle: ids are reused after a
restart, though not before. So a job is addressed by its `Handle`, which names the run of beanstalkd, and its uuid:
after a restart nothing is done to an entry that speaks of another job.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import greenstalk

from scheduler.connection import (
    NO_TUBES,
    Connection,
    Handle,
    Lies,
    QueueDown,
    QueueDraining,
    QueueFull,
    Reserved,
    Woken,
    broken_is_down,
    connect,
    delay_seconds,
)
from scheduler.entry import entry_uuid
from zoo.errors import Unavailable
from zoo.settings import BadSetting

__all__ = ["Handle", "Lies", "Queue", "QueueDown", "QueueDraining", "QueueFull", "Reserved"]

DEFAULT_ADDRESS = "127.0.0.1:11300"
MAXIMUM_BODY = 65535
# The window between reserve and release: token check and lease. Not the runtime.
RESERVED_SECONDS = 60
IDLE_CONNECTIONS = 64
DEFAULT_PRIORITY = greenstalk.DEFAULT_PRIORITY

T = TypeVar("T")


def _parse_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BadSetting(f"ZOOSCOPE_BEANSTALKD is {address!r}.", "Give host:port, such as 127.0.0.1:11300.")
    return host.strip("[]"), int(port)


class Put(NamedTuple):
    """A job for a tube that will be used again; `delay` in seconds."""

    tube: str
    body: bytes
    priority: int
    delay: float


class Queue:
    """The broker at `address` ("host:port"). Thread-safe; every method raises QueueDown when it does not answer."""

    def __init__(self, address: str) -> None:
        self._address = _parse_address(address or DEFAULT_ADDRESS)
        self._idle: list[Connection] = []
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        self._closed = True
        self._drop_idle()

    @contextlib.contextmanager
    def connection(self, tubes: Collection[str] = NO_TUBES) -> Iterator[Connection]:
        """A connection for one thread, at best one that watches `tubes` already; back in the pool afterwards unless it
        was closed or anything at all went wrong.
        """
        with broken_is_down():
            connection = self._take(frozenset(tubes))
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._idle) < IDLE_CONNECTIONS and not self._closed and not connection.closed:
                self._idle.append(connection)
                return
        connection.close()

    def _take(self, tubes: frozenset[str]) -> Connection:
        """An idle connection that is not dead, or a new one: after a restart of beanstalkd the idle ones are."""
        with self._lock:
            best = next((one for one in reversed(self._idle) if one.watched == tubes), None)
            connection = best or (self._idle[-1] if self._idle else None)
            if connection is not None:
                self._idle.remove(connection)
        if connection is not None:
            if connection.alive():
                return connection
            connection.close()
            self._drop_idle()
        return Connection(self._dial())

    def _dial(self) -> socket.socket:
        """A socket to beanstalkd; a simulation brings another one."""
        return connect(self._address)

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def run(self, use: Callable[[Connection], T]) -> T:
        """`use` with a connection; what breaks on the way becomes QueueDown, beanstalkd's own answers pass."""
        with self.connection() as connection, broken_is_down():
            try:
                return use(connection)
            except greenstalk.NotFoundError as error:
                # An answer like any other: the connection is as good as before.
                refused = error
        raise refused

    def put(
        self, tube: str, body: bytes, priority: int = DEFAULT_PRIORITY, delay: float = 0.0, stays: bool = False
    ) -> Handle:
        """Put a job into `tube`, the smallest priority first; raises QueueDraining when beanstalkd takes no more.

        `stays` says that the tube will be used again and need not vanish when it is empty.
        """

        def use(connection: Connection) -> Handle:
            connection.use(tube)
            seconds = delay_seconds(delay) if delay > 0 else 0
            job_id = connection.client.put(body, priority, seconds, RESERVED_SECONDS)
            if not stays:
                # A tube vanishes only when nobody uses it any more, and a job's log has a tube of its own.
                connection.use(greenstalk.DEFAULT_TUBE)
            return Handle(job_id, connection.broker)

        try:
            return self.run(use)
        except greenstalk.DrainingError:
            raise QueueDraining from None

    def put_all(self, puts: Sequence[Put]) -> list[Handle | Unavailable]:
        """As `put` for several: the handle of each, or QueueDown or QueueDraining in its place."""
        outcomes: list[Handle | Unavailable] = []
        for tube, group in itertools.groupby(puts, key=lambda put: put.tube):
            alike = list(group)
            try:
                outcomes += self.run(functools.partial(_put_alike, tube, alike))
            except QueueDown as error:
                outcomes += [error] * len(alike)
        return outcomes

    def stop_waiting(self, handles: Sequence[Handle]) -> None:
        """Make delayed jobs ready. Those of an earlier run of beanstalkd become so when their time has come."""

        def use(connection: Connection) -> None:
            # One that is not found is ready already. Answered, they are ready for certain, whatever beanstalkd suffers.
            ours = [handle for handle in handles if handle.broker == connection.broker]
            for kicked in connection.exchange(*(b"kick-job %d" % handle.job_id for handle in ours)):
                kicked.says(b"KICKED")

        self.run(use)

    @contextlib.contextmanager
    def reserving(self, tubes: Sequence[str], seconds: int, wake: int | None = None) -> Iterator[Reserved | None]:
        """The next job of `tubes`, or None when none came within `seconds`, or before `wake`, a file descriptor, became
        readable. Left unsettled, the job is ready again.
        """
        with self.connection(tubes) as connection:
            job = None
            try:
                with broken_is_down():
                    connection.watch(tubes)
                    job = connection.reserve(seconds, wake)
            except Woken:
                connection.close()
            reserved = None if job is None else Reserved(connection, job)
            try:
                yield reserved
            finally:
                if reserved is not None and not reserved.settled:
                    connection.close()

    @contextlib.contextmanager
    def emptying(self, tube: str) -> Iterator[list[tuple[int, bytes]]]:
        """Everything that is ready in `tube`, as (id, body); deleted when the block ends well, else left there."""
        with self.connection() as connection:
            with broken_is_down():
                connection.watch([tube])
                jobs = []
                while (job := connection.reserve(0)) is not None:
                    jobs.append(job)
            yield [(job.id, bytes(job.body)) for job in jobs]
            with broken_is_down():
                for job in jobs:
                    connection.client.delete(job)
                connection.watch([greenstalk.DEFAULT_TUBE])

    def state(self, handle: Handle | None, uuid: str) -> str | None:
        """ready, delayed, reserved or buried; None when the job `uuid` does not lie at `handle` (any more)."""
        if handle is None:
            return None
        return self.run(lambda connection: _state(connection, handle, uuid))

    def look(self, handle: Handle | None, uuid: str) -> Lies | None:
        """How the job lies; None as for `state`."""
        return None if handle is None else self.run(lambda connection: _look(connection, handle, uuid))

    def delay_again(self, handle: Handle, uuid: str, seconds: float, priority: int | None = None) -> bool:
        """Make the job ready in `seconds` from now; 0 makes it ready at once. The caller holds its lease. `priority` is
        its own, if that is known.

        True when done. A job that somebody has reserved is left alone: they will find the lease and delay it.
        """

        def use(connection: Connection) -> bool:
            own = priority if handle.broker == connection.broker else None
            if own is None:
                lies = _look(connection, handle, uuid)
                if lies is None or lies.state not in ("delayed", "ready"):
                    return False
                own = lies.priority
            delay = delay_seconds(seconds) if seconds > 0 else 0
            taken, released = connection.exchange(
                b"reserve-job %d" % handle.job_id, b"release %d %d %d" % (handle.job_id, own, delay)
            )
            return taken.says(b"RESERVED") and released.says(b"RELEASED")

        return self.run(use)

    def delete(self, handle: Handle | None, uuid: str) -> bool:
        """Delete the job unless somebody has it reserved; they will find its document over and delete it."""
        if handle is None:
            return False

        def use(connection: Connection) -> bool:
            if handle.broker != connection.broker:
                (entry,) = connection.exchange(b"peek %d" % handle.job_id)
                if not entry.says(b"FOUND") or entry_uuid(entry.data) != uuid:
                    return False
            (deleted,) = connection.exchange(b"delete %d" % handle.job_id)
            return deleted.says(b"DELETED")

        return self.run(use)

    def bury(self, handle: Handle, uuid: str) -> bool:
        def use(connection: Connection) -> bool:
            if _state(connection, handle, uuid) not in ("delayed", "ready"):
                return False
            connection.client.bury(connection.client.reserve_job(handle.job_id))
            return True

        return self._unless_gone(use)

    def _unless_gone(self, use: Callable[[Connection], bool]) -> bool:
        """False when the job vanished or was reserved by another between two commands."""
        try:
            return self.run(use)
        except greenstalk.NotFoundError:
            return False

    def pause(self, tube: str, seconds: int) -> None:
        """Reserve nothing from `tube` for so long; beanstalkd forgets it with a tube that is empty and unwatched."""

        def use(connection: Connection) -> None:
            connection.watch([tube])
            connection.client.pause_tube(tube, seconds)

        self.run(use)

    def peek(self, job_id: int) -> bytes | None:
        try:
            return bytes(self.run(lambda connection: connection.client.peek(job_id).body))
        except greenstalk.NotFoundError:
            return None

    def entries(self, prefix: str) -> int:
        """How many jobs lie in the tubes whose names begin so, the buried ones apart."""

        def use(connection: Connection) -> int:
            total = 0
            for tube in connection.client.tubes():
                if tube.startswith(prefix):
                    with contextlib.suppress(greenstalk.NotFoundError):
                        stats = connection.client.stats_tube(tube)
                        total += sum(int(stats[f"current-jobs-{state}"]) for state in ("ready", "reserved", "delayed"))
            return total

        return self.run(use)

    def stats(self) -> dict[str, Any]:
        return dict(self.run(lambda connection: connection.client.stats()))

    def has_tube(self, tube: str) -> bool:
        """Whether there is such a tube, however many others there are."""
        return self.run(lambda connection: connection.exchange(b"stats-tube " + tube.encode())[0].says(b"OK"))

    def tubes(self) -> list[str]:
        return list(self.run(lambda connection: connection.client.tubes()))


def _put_alike(tube: str, puts: Sequence[Put], connection: Connection) -> list[Handle | Unavailable]:
    connection.use(tube)
    jobs = [(put.body, put.priority, delay_seconds(put.delay) if put.delay > 0 else 0) for put in puts]
    return [
        Handle(answer, connection.broker) if isinstance(answer, int) else answer
        for answer in connection.put_all(jobs, RESERVED_SECONDS)
    ]


def _state(connection: Connection, handle: Handle, uuid: str) -> str | None:
    lies = _look(connection, handle, uuid)
    return None if lies is None else lies.state


def _look(connection: Connection, handle: Handle, uuid: str) -> Lies | None:
    job_id = handle.job_id
    entry, told = connection.exchange(b"peek %d" % job_id, b"stats-job %d" % job_id)
    if not entry.says(b"FOUND") or not told.says(b"OK") or entry_uuid(entry.data) != uuid:
        return None
    stats = dict(line.split(": ", 1) for line in told.data.decode().splitlines() if ": " in line)
    return Lies(stats["state"], float(stats["time-left"]), int(stats["pri"]))
