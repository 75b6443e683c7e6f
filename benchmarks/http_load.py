"""As many HTTP requests as a server takes, from a few connections that are kept open, at as little cost as can be."""

from __future__ import annotations

import re
import socket
import threading
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


def load(url: str, requests_of: list[list[bytes]], expected: bytes = b"201") -> Load:
    """Send each list of requests down a connection of its own, one after another; raises RuntimeError for any answer
    of another status than `expected`."""
    where = urlsplit(url)
    taken: list[float] = []
    last: list[bytes] = [b""]
    wrong: list[bytes] = []
    ready = threading.Barrier(len(requests_of) + 1)

    def send(requests: list[bytes]) -> None:
        mine = []
        with socket.create_connection((where.hostname or "", where.port or 80), timeout=ANSWER_SECONDS) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.wait()
            for request in requests:
                started = time.perf_counter()
                connection.sendall(request)
                status, answer = _read(connection)
                mine.append(time.perf_counter() - started)
                if status != expected:
                    wrong.append(status + b" " + answer[:300])
                    break
            last[0] = answer
        taken.extend(mine)

    threads = [threading.Thread(target=send, args=(requests,)) for requests in requests_of]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - started
    if wrong:
        raise RuntimeError(f"the server answered {wrong[0]!r}")
    return Load(len(taken) / whole, sorted(taken), last[0])


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
