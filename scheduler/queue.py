"""beanstalkd, spoken to here and nowhere else.

Every use takes a connection of its own from a small pool: greenstalk's client is not thread-safe and knows no
timeouts, so the sockets are ours and a connection that saw any error is closed, never reused. Closing a connection
makes what it has reserved ready again at once, which is how an interrupted use heals.

A beanstalkd id is only a handle: ids are reused after a restart. So a job is addressed by its `Handle` and its uuid,
and nothing is done to an entry that speaks of another job.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import greenstalk

from scheduler.entry import entry_uuid
from zoo.errors import Unavailable

DEFAULT_ADDRESS = "127.0.0.1:11300"
MAXIMUM_BODY = 65535
# The window between reserve and release: token check and lease. Not the runtime.
RESERVED_SECONDS = 60
CONNECT_SECONDS = 2.0
COMMAND_SECONDS = 5.0
IDLE_CONNECTIONS = 8
LONGEST_DELAY = 2**31

T = TypeVar("T")


class QueueDown(Unavailable):
    code = "queue-down"

    def __init__(self, reason: object) -> None:
        super().__init__(f"The job queue does not answer ({reason}).", "Try again in a moment; accepted jobs are kept.")


class QueueDraining(Unavailable):
    code = "queue-draining"
    retry_after_seconds = 60

    def __init__(self) -> None:
        super().__init__("The service takes no new jobs while it is being restarted.", "Try again in a few minutes.")


@dataclass(frozen=True)
class Handle:
    """Where a job lies: its id within one running beanstalkd, which `broker` names."""

    job_id: int
    broker: str


def delay_seconds(seconds: float) -> int:
    """beanstalkd counts whole seconds, and a delay of 0 would make a running job ready."""
    return min(max(1, math.ceil(seconds)), LONGEST_DELAY)


class Connection:
    """One client on a socket of ours. Used by one thread at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = _connect(address)
        try:
            self.client = greenstalk.Client(self._socket, encoding=None)
            self.broker = str(self.client.stats()["id"])
        except BaseException:
            self._socket.close()
            raise
        self._tube = greenstalk.DEFAULT_TUBE
        self._watched: frozenset[str] = frozenset({greenstalk.DEFAULT_TUBE})

    def use(self, tube: str) -> None:
        if tube != self._tube:
            self.client.use(tube)
            self._tube = tube

    def watch(self, tubes: Sequence[str]) -> None:
        wanted = frozenset(tubes)
        for tube in sorted(wanted - self._watched):
            self.client.watch(tube)
        for tube in sorted(self._watched - wanted):
            self.client.ignore(tube)
        self._watched = wanted

    def reserve(self, seconds: int) -> greenstalk.Job | None:
        """The next job of the watched tubes, None when there is none within `seconds`."""
        self._socket.settimeout(seconds + COMMAND_SECONDS)
        try:
            return self.client.reserve(timeout=seconds)
        except greenstalk.TimedOutError:
            return None
        finally:
            self._socket.settimeout(COMMAND_SECONDS)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.client.close()


def _connect(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, timeout=CONNECT_SECONDS)
    connection.settimeout(COMMAND_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 15000)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


class Reserved:
    """A job this connection holds until exactly one of release, delete and bury is called."""

    def __init__(self, connection: Connection, job: greenstalk.Job) -> None:
        self._client = connection.client
        self._job = job
        self.handle = Handle(job.id, connection.broker)
        self.body: bytes = job.body
        self.settled = False

    def release(self, seconds: float) -> None:
        """Give it back; it becomes ready after `seconds`, at least one."""
        self._settle(lambda: self._client.release(self._job, delay=delay_seconds(seconds)))

    def delete(self) -> None:
        self._settle(lambda: self._client.delete(self._job))

    def bury(self) -> None:
        self._settle(lambda: self._client.bury(self._job))

    def _settle(self, command: Callable[[], None]) -> None:
        with _broken_is_down(), contextlib.suppress(greenstalk.NotFoundError):
            command()
            self.settled = True


class Queue:
    """The broker at `address` ("host:port"). Thread-safe; every method raises QueueDown when it does not answer."""

    def __init__(self, address: str) -> None:
        host, _, port = (address or DEFAULT_ADDRESS).rpartition(":")
        self._address = (host.strip("[]") or "127.0.0.1", int(port))
        self._idle: list[Connection] = []
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for one thread; back in the pool afterwards unless anything at all went wrong."""
        with _broken_is_down():
            connection = self._take()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._idle) < IDLE_CONNECTIONS and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _take(self) -> Connection:
        """An idle connection that still answers, or a new one: after a restart of beanstalkd the idle ones are dead."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return Connection(self._address)
            try:
                connection.client.using()
            except (OSError, greenstalk.Error, AssertionError, ValueError):
                connection.close()
            else:
                return connection

    def run(self, use: Callable[[Connection], T]) -> T:
        """`use` with a connection; what breaks on the way becomes QueueDown, beanstalkd's own answers pass."""
        with self.connection() as connection, _broken_is_down():
            return use(connection)

    def put(self, tube: str, body: bytes, delay: float = 0.0) -> Handle:
        """Put a job into `tube`; raises QueueDraining when beanstalkd takes no more."""

        def use(connection: Connection) -> Handle:
            connection.use(tube)
            seconds = delay_seconds(delay) if delay > 0 else 0
            job_id = connection.client.put(body, delay=seconds, ttr=RESERVED_SECONDS)
            # A tube vanishes only when nobody uses it any more, and a job's log has a tube of its own.
            connection.use(greenstalk.DEFAULT_TUBE)
            return Handle(job_id, connection.broker)

        try:
            return self.run(use)
        except greenstalk.DrainingError:
            raise QueueDraining from None

    @contextlib.contextmanager
    def reserving(self, tubes: Sequence[str], seconds: int) -> Iterator[Reserved | None]:
        """The next job of `tubes`, or None when none came within `seconds`. Left unsettled, it is ready again."""
        with self.connection() as connection:
            with _broken_is_down():
                connection.watch(tubes)
                job = connection.reserve(seconds)
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
            with _broken_is_down():
                connection.watch([tube])
                jobs = []
                while (job := connection.reserve(0)) is not None:
                    jobs.append(job)
            yield [(job.id, bytes(job.body)) for job in jobs]
            with _broken_is_down():
                for job in jobs:
                    connection.client.delete(job)
                connection.watch([greenstalk.DEFAULT_TUBE])

    def state(self, handle: Handle | None, uuid: str) -> str | None:
        """ready, delayed, reserved or buried; None when the job `uuid` does not lie at `handle` (any more)."""
        if handle is None:
            return None
        return self.run(lambda connection: _state(connection, handle, uuid))

    def delay_again(self, handle: Handle, uuid: str, seconds: float) -> bool:
        """Make the job ready in `seconds` from now; 0 makes it ready at once. The caller holds its lease.

        True when done. A job that somebody has reserved is left alone: they will find the lease and delay it.
        """

        def use(connection: Connection) -> bool:
            if _state(connection, handle, uuid) not in ("delayed", "ready"):
                return False
            job = connection.client.reserve_job(handle.job_id)
            connection.client.release(job, delay=delay_seconds(seconds) if seconds > 0 else 0)
            return True

        return self._unless_gone(use)

    def delete(self, handle: Handle | None, uuid: str) -> bool:
        """Delete the job unless somebody has it reserved; they will find its document over and delete it."""
        if handle is None:
            return False

        def use(connection: Connection) -> bool:
            if _state(connection, handle, uuid) is None:
                return False
            connection.client.delete(handle.job_id)
            return True

        return self._unless_gone(use)

    def bury(self, handle: Handle, uuid: str) -> bool:
        def use(connection: Connection) -> bool:
            if _state(connection, handle, uuid) not in ("delayed", "ready"):
                return False
            connection.client.bury(connection.client.reserve_job(handle.job_id))
            return True

        return self._unless_gone(use)

    def kick(self, handle: Handle, uuid: str) -> bool:
        """Make one buried job ready; never `kick n`, which would restart running jobs."""

        def use(connection: Connection) -> bool:
            if _state(connection, handle, uuid) != "buried":
                return False
            connection.client.kick_job(handle.job_id)
            return True

        return self._unless_gone(use)

    def _unless_gone(self, use: Callable[[Connection], bool]) -> bool:
        """False when the job vanished or was reserved by another between two commands."""
        try:
            return self.run(use)
        except greenstalk.NotFoundError:
            return False

    def peek(self, job_id: int) -> bytes | None:
        try:
            return bytes(self.run(lambda connection: connection.client.peek(job_id).body))
        except greenstalk.NotFoundError:
            return None

    def stats(self) -> dict[str, Any]:
        return dict(self.run(lambda connection: connection.client.stats()))

    def tubes(self) -> list[str]:
        return list(self.run(lambda connection: connection.client.tubes()))


def _state(connection: Connection, handle: Handle, uuid: str) -> str | None:
    try:
        if entry_uuid(connection.client.peek(handle.job_id).body) != uuid:
            return None
        return str(connection.client.stats_job(handle.job_id)["state"])
    except greenstalk.NotFoundError:
        return None


@contextlib.contextmanager
def _broken_is_down() -> Iterator[None]:
    try:
        yield
    except (greenstalk.NotFoundError, greenstalk.DrainingError):
        raise
    except greenstalk.Error as error:
        raise QueueDown(type(error).__name__) from error
    except (OSError, AssertionError, ValueError) as error:
        raise QueueDown(str(error) or type(error).__name__) from error
