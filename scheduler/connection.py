"""One connection to beanstalkd, on a socket of ours with timeouts, and what is done with a job it holds.

greenstalk's client is not thread-safe and knows no timeouts: a connection serves one thread at a time, and after any
error it is closed, never used again. Closing it makes what it has reserved ready at once.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import greenstalk

from zoo.errors import Unavailable
from zoo.turns import REQUESTS

CONNECT_SECONDS = 2.0
COMMAND_SECONDS = 5.0
LONGEST_DELAY = 2**31
ANSWER_BYTES = 65536
# The first words of answers that are followed by as many bytes as their last word says.
WITH_DATA = frozenset({b"FOUND", b"RESERVED", b"OK"})
# A connection always watches a tube; in this one there are no jobs.
NO_TUBES = frozenset({greenstalk.DEFAULT_TUBE})
# Seconds and probes after which a dead peer is noticed; the last one in milliseconds.
SOCKET_OPTIONS = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 15_000))


class Woken(Exception):
    """The wait for a job was broken off from outside; the connection is of no use any more."""


class WakeableSocket(socket.socket):
    """Waits for bytes or for `wake`, a file descriptor that becomes readable: then reading raises Woken. Bytes that
    are there already are read first.
    """

    wake: int | None = None

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        if self.wake is not None:
            waiting = select.poll()
            waiting.register(self, select.POLLIN)
            waiting.register(self.wake, select.POLLIN)
            timeout = self.gettimeout()
            ready = [found for found, _ in waiting.poll(None if timeout is None else timeout * 1000)]
            if ready == [self.wake]:
                raise Woken
            if not ready:
                raise TimeoutError
        return super().recv_into(*arguments, **named)


class QueueDown(Unavailable):
    code = "queue-down"

    def __init__(self, reason: object) -> None:
        super().__init__(f"The job queue does not answer ({reason}).", "Try again in a moment; accepted jobs are kept.")


class QueueDraining(Unavailable):
    code = "queue-draining"
    retry_after_seconds = 60

    def __init__(self) -> None:
        super().__init__("The service takes no new jobs while it is being restarted.", "Try again in a few minutes.")


class QueueFull(QueueDown):
    """beanstalkd has no room in its binlog. What it was told to delay or bury meanwhile it may have dropped from its
    memory: reserved by nobody, until maintenance queues it again.
    """

    code = "queue-full"
    retry_after_seconds = 60

    def __init__(self) -> None:
        Unavailable.__init__(
            self,
            "The job queue takes no new jobs: its disk is full.",
            "Try again in a few minutes; accepted jobs are kept.",
        )


class Answer(NamedTuple):
    """What beanstalkd says to a command: the words of its line, and the data that follow it, if any."""

    words: list[bytes]
    data: bytes

    def says(self, word: bytes) -> bool:
        """Whether it is this word; False for NOT_FOUND. Raises for anything else."""
        if self.words[0] in (word, b"NOT_FOUND"):
            return self.words[0] == word
        raise self.refusal()

    def refusal(self) -> Unavailable:
        refused: dict[bytes, Unavailable] = {b"DRAINING": QueueDraining(), b"OUT_OF_MEMORY": QueueFull()}
        return refused.get(self.words[0]) or QueueDown(self.words[0].decode("ascii", "replace"))


@dataclass(frozen=True)
class Lies:
    """How an entry lies in beanstalkd: ready, delayed, reserved or buried, and for how many seconds more it is delayed
    or reserved. Fewer than 0: beanstalkd has lost track of it.
    """

    state: str
    seconds_left: float
    priority: int = 0


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

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.client = greenstalk.Client(self._socket, encoding=None)
        try:
            # The name of this run of beanstalkd: it changes with every restart.
            self.broker = str(self.client.stats()["id"])
        except BaseException:
            self.close()
            raise
        self._tube = greenstalk.DEFAULT_TUBE
        self.watched = NO_TUBES
        self.closed = False

    def alive(self) -> bool:
        """Whether beanstalkd has not hung up, as far as is known without asking. No answer may be outstanding."""
        reading = select.poll()
        try:
            reading.register(self._socket, select.POLLIN)
            return not reading.poll(0)
        except (OSError, ValueError):
            return False

    def use(self, tube: str) -> None:
        if tube != self._tube:
            self.client.use(tube)
            self._tube = tube

    def watch(self, tubes: Sequence[str]) -> None:
        wanted = frozenset(tubes)
        for tube in sorted(wanted - self.watched):
            self.client.watch(tube)
        for tube in sorted(self.watched - wanted):
            self.client.ignore(tube)
        self.watched = wanted

    def reserve(self, seconds: int, wake: int | None = None) -> greenstalk.Job | None:
        """The next job of the watched tubes, None when there is none within `seconds`; raises Woken when `wake` becomes
        readable meanwhile.
        """
        self._socket.settimeout(seconds + COMMAND_SECONDS)
        if isinstance(self._socket, WakeableSocket):
            self._socket.wake = wake
        try:
            with REQUESTS.away():
                return self.client.reserve(timeout=seconds)
        except greenstalk.TimedOutError:
            return None
        finally:
            self._socket.settimeout(COMMAND_SECONDS)
            if isinstance(self._socket, WakeableSocket):
                self._socket.wake = None

    def put_all(self, jobs: Sequence[tuple[bytes, int, int]], ttr: int) -> list[int | Unavailable]:
        """Put (body, priority, delay) into the used tube, all sent before the first answer is read: a wait instead of
        many. The id of each, or QueueDraining, QueueFull or QueueDown in its place.
        """
        said = [b"put %d %d %d %d\r\n%b\r\n" % (pri, delay, ttr, len(body), body) for body, pri, delay in jobs]
        return [_put_answer(answer) for answer in self._said(b"".join(said), len(jobs))]

    def exchange(self, *commands: bytes) -> list[Answer]:
        """Send commands, all before the first answer is read: a wait instead of several."""
        return self._said(b"".join(command + b"\r\n" for command in commands), len(commands))

    def _said(self, data: bytes, count: int) -> list[Answer]:
        self._socket.sendall(data)
        unread = b""
        answers: list[Answer] = []
        while len(answers) < count:
            answer, rest = _first_answer(unread)
            if answer is not None:
                answers.append(answer)
                unread = rest
                continue
            more = self._socket.recv(ANSWER_BYTES)
            if not more:
                raise ConnectionError("beanstalkd hung up")
            unread += more
        return answers

    def close(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            self.client.close()


def _first_answer(unread: bytes) -> tuple[Answer | None, bytes]:
    """The first answer in what was received, None if it is not there as a whole, and what follows it."""
    line, ended, rest = unread.partition(b"\r\n")
    if not ended:
        return None, unread
    words = line.split(b" ")
    if words[0] not in WITH_DATA or not words[-1].isdigit():
        return Answer(words, b""), rest
    size = int(words[-1])
    if len(rest) < size + 2:
        return None, unread
    return Answer(words, rest[:size]), rest[size + 2 :]


def _put_answer(answer: Answer) -> int | Unavailable:
    word, number = answer.words[0], answer.words[-1]
    if word == b"INSERTED" and number.isdigit():
        return int(number)
    return answer.refusal()


def connect(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, timeout=CONNECT_SECONDS)
    connection.settimeout(COMMAND_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in SOCKET_OPTIONS:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    timeout = connection.gettimeout()
    wakeable = WakeableSocket(fileno=connection.detach())
    wakeable.settimeout(timeout)
    return wakeable


class Reserved:
    """A job this connection holds until exactly one of release, delete and bury is called."""

    def __init__(self, connection: Connection, job: greenstalk.Job) -> None:
        self._client = connection.client
        self._job = job
        self.handle = Handle(job.id, connection.broker)
        self.body: bytes = job.body
        self.settled = False

    def release(self, seconds: float, priority: int | None = None) -> None:
        """Give it back; it becomes ready after `seconds`, at least one. `priority` is its own, if that is known:
        released with another one it would lose its place.
        """

        def release() -> None:
            own = int(self._client.stats_job(self._job)["pri"]) if priority is None else priority
            self._client.release(self._job, own, delay_seconds(seconds))

        self._settle(release)

    def delete(self) -> None:
        self._settle(lambda: self._client.delete(self._job))

    def bury(self) -> None:
        self._settle(lambda: self._client.bury(self._job))

    def _settle(self, command: Callable[[], None]) -> None:
        with broken_is_down(), contextlib.suppress(greenstalk.NotFoundError):
            command()
            self.settled = True


@contextlib.contextmanager
def broken_is_down() -> Iterator[None]:
    try:
        yield
    except (greenstalk.NotFoundError, greenstalk.DrainingError):
        raise
    except greenstalk.OutOfMemoryError as error:
        raise QueueFull from error
    except greenstalk.Error as error:
        raise QueueDown(type(error).__name__) from error
    except (OSError, AssertionError, ValueError) as error:
        raise QueueDown(str(error) or type(error).__name__) from error
