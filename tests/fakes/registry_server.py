"""What the local DataCite and the local Zenodo share: a real socket, an account, rate limits, and being away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


class RegistryServer:
    """`allowed`: how many requests are answered before 429; `down`: 503; `lost_after`: after so
    many, one is done but its answer gets lost."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.allowed: int | None = None
        self.down = False
        self.lost_after: int | None = None
        self.garbled = False
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def limited(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append((asked.method, asked.path))
            if self.down:
                return Answer(503, {"message": "Service Unavailable"})
            if self.allowed is not None:
                if self.allowed == 0:
                    return Answer(429, {"message": "Rate limit exceeded"}, {"Retry-After": "77"})
                self.allowed -= 1
            return self.answer(asked)


@contextmanager
def running(server: RegistryServer) -> Iterator[RegistryServer]:
    try:
        yield server
    finally:
        server.stop()


def _handler(registry: RegistryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            found = registry.limited(Asked(self.command, unquote(parts.path), parts.query, headers, body))
            if registry.lost_after is not None:
                registry.lost_after -= 1
                if registry.lost_after < 0:
                    registry.lost_after = None
                    self.close_connection = True
                    return
            self.send_response(found.status)
            content = b"" if found.body is None else json.dumps(found.body).encode()
            if registry.garbled:
                content = b"<html>a proxy's page</html>"
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_any

        def log_message(self, format: str, *arguments: Any) -> None:
            """Tests read `asked` instead."""

    return Handler
