"""As many HTTP requests as a server takes, from a few connections that are kept open, at as little cost as can be."""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_SECONDS = 60.0
ANSWER_BYTES = 1 << 20
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What came of it: requests a second, and the seconds of each in order."""

    per_second: float
    seconds: list[float]
    last_answer: bytes

    def quantile(self, part: float) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(part * len(self.seconds)))]


def request_bytes(url: str, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
    where = urlsplit(url)
    lines = [f"{method} {where.path} HTTP/1.1", f"Host: {where.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Client:
    """A connection that sends its requests one after another, and what became of them."""

    def __init__(self, address: tuple[str, int], requests: list[bytes]) -> None:
        self.socket = socket.create_connection(address, timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seconds: list[float] = []
        self.status = self.answer = b""
        self._requests = iter(requests)
        self._asked = 0.0

    def ask(self) -> bool:
        """Send the next request, if there is one."""
        request = next(self._requests, None)
        if request is None:
            return False
        self._asked = time.perf_counter()
        self.socket.sendall(request)
        return True

    def read(self) -> None:
        self.status, self.answer = _read(self.socket)
        self.seconds.append(time.perf_counter() - self._asked)


def load(url: str, requests_of: list[list[bytes]], expected: bytes = b"201") -> Load:
    """Send each list of requests down a connection of its own, one after another; raises RuntimeError for any answer
    of another status than `expected`.

    One thread for all of them: threads would take the interpreter, and the processor, from each other.
    """
    where = urlsplit(url)
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as answering:
        clients = [_Client((where.hostname or "", where.port or 80), requests) for requests in requests_of]
        for client in clients:
            stack.enter_context(client.socket)
            answering.register(client.socket, selectors.EVENT_READ, client)
        started = time.perf_counter()
        busy = sum(client.ask() for client in clients)
        while busy:
            answered = answering.select(ANSWER_SECONDS)
            if not answered:
                raise TimeoutError(f"the server did not answer within {ANSWER_SECONDS:g} s")
            for key, _ in answered:
                key.data.read()
                if key.data.status != expected:
                    raise RuntimeError(f"the server answered {key.data.status + b' ' + key.data.answer[:300]!r}")
                busy -= not key.data.ask()
        whole = time.perf_counter() - started
    taken = sorted(seconds for client in clients for seconds in client.seconds)
    return Load(len(taken) / whole, taken, clients[0].answer)


def _read(connection: socket.socket) -> tuple[bytes, bytes]:
    """Status and body of the next answer, which is all that comes."""
    head, end, body = connection.recv(ANSWER_BYTES).partition(b"\r\n\r\n")
    while not end:
        head, end, body = (head + _more(connection)).partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    while length and len(body) < int(length[1]):
        body += _more(connection)
    return head.split(b" ", 2)[1], body


def _more(connection: socket.socket) -> bytes:
    if not (more := connection.recv(ANSWER_BYTES)):
        raise ConnectionError("the server hung up")
    return more
