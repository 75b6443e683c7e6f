"""Sockets to a simulated beanstalkd: the client's end is a real one, the broker's end answers in the same call.

So greenstalk and `scheduler.queue` run as they are, and no thread is needed: whoever sends a command finds the answer
waiting to be read.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from benchmarks.simulation.commands import COMMANDS, put
from benchmarks.simulation.entries import Entry

if TYPE_CHECKING:
    from benchmarks.simulation.broker import SimulatedBroker

LONGEST_LINE = 224
SAFETY_SECONDS = 1.0


class SimulatedSocket(socket.socket):
    """The client's end. What is sent is done before `sendall` returns, unless the broker is stopped.

    `around` is entered for every command: a client that dies before or after one raises there.
    """

    link: Link
    around: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext

    def sendall(self, data: Any, flags: int = 0) -> None:
        with self.around():
            self.link.receive(bytes(data))

    def close(self) -> None:
        super().close()
        self.link.hang_up()


def socket_and_link(broker: SimulatedBroker) -> tuple[SimulatedSocket, Link]:
    ours, theirs = socket.socketpair()
    client = SimulatedSocket(fileno=theirs.detach())
    client.link = Link(broker, ours)
    return client, client.link


class Link:
    """The broker's end of one connection, with what the connection uses, watches and has reserved."""

    def __init__(self, broker: SimulatedBroker, end: socket.socket) -> None:
        self.broker = broker
        self._end: socket.socket | None = end
        self._received = b""
        self._hung_up = False
        self.used = "default"
        self.watched = {"default"}
        self.reserved: dict[int, Entry] = {}
        self.waits_until: float | None = None
        self.waits_as = 0
        tube = broker.entries.tube("default")
        tube.using, tube.watching = tube.using + 1, tube.watching + 1

    def receive(self, data: bytes) -> None:
        with self.broker.lock:
            if self._end is None:
                raise BrokenPipeError("the simulated link is cut")
            self._received += data
            if self.broker.stopped:
                raise TimeoutError("the simulated beanstalkd is stopped")
            self.catch_up()

    def hang_up(self) -> None:
        """The client closed its end."""
        with self.broker.lock:
            self._hung_up = True
            if not self.broker.stopped:
                self.cut()

    def cut(self) -> None:
        """The connection is over: its jobs are ready at once."""
        if self._end is None:
            return
        self._end.close()
        self._end, self.waits_until = None, None
        self.broker.links.remove(self)
        entries = self.broker.entries
        for entry in list(self.reserved.values()):
            entries.make_ready(entry)
        for name in self.watched:
            entries.tube(name).watching -= 1
            entries.forget_if_unused(name)
        entries.tube(self.used).using -= 1
        entries.forget_if_unused(self.used)
        self.broker.serve_waiting()

    def catch_up(self) -> None:
        """Do every whole command that was received."""
        self.broker.tick()
        while self._end is not None and self._do_next():
            pass
        if self._hung_up:
            self.cut()

    def _do_next(self) -> bool:
        line, found, rest = self._received.partition(b"\r\n")
        if not found:
            return False
        words = line.split(b" ")
        body = b""
        if words[0] == b"put" and len(words) == 5:
            size = int(words[4])
            if len(rest) < size + 2:
                return False
            body, rest = rest[:size], rest[size + 2 :]
        self._received = rest
        self._do(words, body, len(line))
        return True

    def _do(self, words: list[bytes], body: bytes, length: int) -> None:
        broker = self.broker
        broker.commands += 1
        cut = False
        if broker.cut_in is not None:
            broker.cut_in -= 1
            if cut := broker.cut_in <= 0:
                broker.cut_in = None
        if cut and not broker.cut_after:
            self.cut()
            return
        command = COMMANDS.get(words[0])
        if command is None or length > LONGEST_LINE:
            answer: bytes | None = b"UNKNOWN_COMMAND\r\n" if command is None else b"BAD_FORMAT\r\n"
        elif words[0] == b"put":
            answer = put(self, words[1:], body)
        else:
            answer = command(self, words[1:])
        if cut:
            self.cut()
        elif answer is not None:
            self._answer(answer)
        broker.serve_waiting()

    def _answer(self, data: bytes) -> None:
        if self._end is not None and not self._hung_up:
            self._end.sendall(data)

    def answer_wait(self) -> None:
        """A job, the end of the wait, or a warning that a reservation is about to end."""
        broker = self.broker
        if self.waits_until is None:
            return
        entry = broker.entries.first_ready(self.watched, broker.now())
        if entry is not None:
            answer = self.take(entry)
        elif any(entry.deadline <= broker.now() + SAFETY_SECONDS for entry in self.reserved.values()):
            answer = b"DEADLINE_SOON\r\n"
        elif self.waits_until <= broker.now():
            answer = b"TIMED_OUT\r\n"
        else:
            return
        self.waits_until = None
        self._answer(answer)

    def take(self, entry: Entry) -> bytes:
        self.broker.entries.reserve(entry, self, self.broker.now())
        return b"RESERVED %d %d\r\n" % (entry.id, len(entry.body)) + entry.body + b"\r\n"
