"""The web server restarted under load: no request is lost, though no client here ever tries twice."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from web_helpers import png

from web.serve import FIRST_DATA_SECONDS

pytestmark = pytest.mark.slow

STOP_SECONDS = 15.0
TURN_SECONDS = 60.0


@dataclass
class Town:
    """`zooscope up` without workers, with this many web servers side by side."""

    process: subprocess.Popen[str]
    port: int

    def servers(self) -> set[int]:
        """Process ids of the web servers."""
        found = set()
        for process in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "web.serve" in process.cmdline():
                    found.add(process.pid)
        return found

    def restart(self) -> None:
        """Until other web servers than before serve alone."""
        before = self.servers()
        self.process.send_signal(signal.SIGUSR1)
        until(lambda: self.servers() and not self.servers() & before)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """One request on a connection of its own, without a second try."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TURN_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@dataclass
class Visitors:
    """Threads that ask without a pause, and note whatever is not answered well."""

    town: Town
    answered: int = 0
    lost: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Visitors:
        self.threads = [threading.Thread(target=self._ask) for _ in range(4)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _ask(self) -> None:
        data = png()
        while not self.over.is_set():
            for method, path, body, headers, good in (
                ("GET", "/api/v1/models", None, {}, 200),
                ("POST", "/api/v1/images", data, {"X-Filename": "a.png"}, 201),
            ):
                try:
                    status, said = self.town.ask(method, path, body, **headers)
                    if status != good:
                        self.lost.append(f"{method} {path}: {status} {said}")
                except (OSError, http.client.HTTPException) as error:
                    self.lost.append(f"{method} {path}: {error!r}")
                self.answered += 1


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + TURN_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(params=[1, 2], ids=["one server", "two servers"])
def town(request: pytest.FixtureRequest, tmp_path: Path, packages: Path) -> Iterator[Town]:
    options = ["--port", "0", "--data", str(tmp_path), "--no-worker", "--replicas", str(request.param)]
    command = [sys.executable, "-m", "zooscope", "up", *options]
    environment = os.environ | {"ZOOSCOPE_SEED_FOLDER": str(packages)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"Zooscope is at http://127\.0\.0\.1:(\d+) ", process.stdout.readline())
            assert found
            town = Town(process, int(found.group(1)))
            until(lambda: len(town.servers()) == request.param)
            yield town
        finally:
            below = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)
            assert psutil.wait_procs(below, timeout=1)[1] == []


def test_a_restart_loses_no_request(town: Town) -> None:
    with Visitors(town) as visitors:
        for _ in range(2):
            before = visitors.answered
            town.restart()
            until(lambda before=before: visitors.answered > before + 8)
    assert visitors.lost == []
    assert town.ask("GET", "/api/v1/models")[1]["total"] == 2


@pytest.mark.parametrize("town", [1], indirect=True)
def test_an_upload_under_way_ends_well_on_the_old_server(town: Town) -> None:
    data = png()
    head = (
        f"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nX-Filename: a.png\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    [old] = town.servers()
    with socket.create_connection(("127.0.0.1", town.port), timeout=TURN_SECONDS) as slow:
        slow.sendall(head.encode() + data[:50])
        assert town.ask("GET", "/healthz")[0] == 200
        town.process.send_signal(signal.SIGUSR1)
        until(lambda: len(town.servers()) == 2)
        assert town.ask("GET", "/healthz")[0] == 200
        until(lambda: stopping(old))
        slow.sendall(data[50:])
        assert slow.recv(100).startswith(b"HTTP/1.1 201")
    until(lambda: old not in town.servers())


@pytest.mark.parametrize("town", [1], indirect=True)
def test_a_client_that_is_slow_to_ask_is_answered_by_a_server_that_stops(town: Town) -> None:
    [old] = town.servers()
    clients = [socket.create_connection(("127.0.0.1", town.port), timeout=TURN_SECONDS) for _ in range(8)]
    os.kill(old, signal.SIGTERM)
    until(lambda: stopping(old))
    time.sleep(2 * FIRST_DATA_SECONDS)
    for client in clients:
        with client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")


def stopping(pid: int) -> bool:
    """Whether a server has closed its listening socket, as one does first that was asked to end."""
    return not [one for one in psutil.Process(pid).net_connections() if one.status == psutil.CONN_LISTEN]


@pytest.mark.parametrize("town", [2], indirect=True)
def test_one_of_two_servers_may_be_killed(town: Town) -> None:
    victim = psutil.Process(min(town.servers()))
    for process in (victim, *victim.children()):
        process.kill()
    for _ in range(20):
        assert town.ask("GET", "/api/v1/models")[0] == 200
    until(lambda: len(town.servers()) == 2)
