"""The production server against clients that do not behave."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from web_helpers import png

from web.serve import PatientWorker
from web.up import listen
from zoo.settings import Settings

UPLOAD_BYTES = 400_000


@dataclass
class Live:
    port: int
    data: Path
    pid: int

    def send(self, *parts: bytes, finish: bool = True) -> tuple[int, bytes]:
        """The status and body of the answer to raw bytes; status 0 when the connection is just closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            try:
                for part in parts:
                    client.sendall(part)
                if finish:
                    client.shutdown(socket.SHUT_WR)
            except OSError:
                # The server has answered already and closed: read what it said.
                pass
            answer = b""
            try:
                while chunk := client.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
        head, _, body = answer.partition(b"\r\n\r\n")
        return (int(head.split()[1]) if head else 0), body

    def clients(self) -> set[int]:
        """The ports of those whose connections the server holds."""
        [worker] = psutil.Process(self.pid).children()
        return {one.raddr.port for one in worker.net_connections() if one.raddr}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("live")
    settings = Settings(data=data, upload_bytes=UPLOAD_BYTES, free_disk_bytes=0, seed_folder=data, web_threads=4)
    with listen("127.0.0.1", 0) as listener:
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "web.serve", "--fd", str(descriptor)]
        environment = os.environ | settings.environment()
        with subprocess.Popen(command, pass_fds=[descriptor], env=environment) as process:
            yield Live(listener.getsockname()[1], data, process.pid)
            process.terminate()


def upload_head(*headers: str) -> bytes:
    lines = ["POST /api/v1/images HTTP/1.1", "Host: localhost", "Connection: close", "X-Filename: a.png", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def kept_uploads(live: Live) -> list[Path]:
    return [*(live.data / "uploads").iterdir(), *(live.data / "blobs" / "incoming").iterdir()]


def test_an_upload_may_come_in_chunks(live: Live) -> None:
    data = png()
    status, body = live.send(
        upload_head("Transfer-Encoding: chunked"), chunk(data[:50]), chunk(data[50:]), chunk(b""), finish=False
    )
    assert (status, json.loads(body)["bytes"]) == (201, len(data))


def test_chunks_without_end_are_cut_off(live: Live) -> None:
    status, body = live.send(upload_head("Transfer-Encoding: chunked"), *[chunk(b"\x89PNG" * 25_000)] * 50)
    assert status in (0, 413)
    assert not body or json.loads(body)["error"]["code"] == "too-large"
    assert kept_uploads(live) == []


def test_a_body_shorter_than_it_says_is_refused(live: Live) -> None:
    status, _ = live.send(upload_head("Content-Length: 300000"), png()[:100])
    assert status in (0, 400)
    assert kept_uploads(live) == []


def test_a_body_longer_than_allowed_is_refused_before_it_comes(live: Live) -> None:
    status, body = live.send(upload_head(f"Content-Length: {10**12}"), b"x")
    assert (status, json.loads(body)["error"]["code"]) == (413, "too-large")


@pytest.mark.parametrize(
    "request_bytes",
    [
        upload_head("Content-Length: 5", "Content-Length: 6") + b"hello",
        upload_head("Content-Length: -1"),
        upload_head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
    ],
)
def test_a_malformed_request_is_refused(live: Live, request_bytes: bytes) -> None:
    status, _ = live.send(request_bytes)
    assert status == 0 or 400 <= status < 500


def test_a_form_of_many_parts_or_without_boundary_is_refused(live: Live) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    form = part * 4000 + b"--b--\r\n"
    head = upload_head("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(form)}")
    assert live.send(head, form)[0] == 413
    head = upload_head("Content-Type: multipart/form-data", "Content-Length: 5")
    assert live.send(head, b"hello")[0] == 400
    wide = b"--b\r\nContent-Disposition: form-data; name=" + b"x" * 300_000 + b"\r\n\r\nx\r\n--b--\r\n"
    head = upload_head("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(wide)}")
    assert 400 <= live.send(head, wide)[0] < 500


def test_silent_clients_do_not_stop_the_others(live: Live) -> None:
    silent = [socket.create_connection(("127.0.0.1", live.port), timeout=20) for _ in range(12)]
    try:
        status, body = live.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (status, json.loads(body)) == (200, {"ok": True})
    finally:
        for client in silent:
            client.close()


def test_a_client_that_does_not_close_its_side_holds_up_nobody(live: Live) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    def held_beside_an_answer() -> bool:
        with socket.create_connection(("127.0.0.1", live.port), timeout=20) as lazy:
            lazy.sendall(request)
            while lazy.recv(65536):
                pass
            assert live.send(request)[0] == 200
            return lazy.getsockname()[1] in live.clients()

    # On a busy machine the second answer may come after the server's patience with the first client.
    assert any(held_beside_an_answer() for _ in range(5))


def test_more_clients_than_threads_that_never_stop_asking_are_all_answered(live: Live) -> None:
    def ask(_: int) -> list[int]:
        client = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
        with contextlib.closing(client):
            statuses = []
            for _ in range(20):
                client.request("GET", "/healthz")
                answer = client.getresponse()
                answer.read()
                statuses.append(answer.status)
            return statuses

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == [[200] * 20] * 12


def test_a_thread_stays_with_a_client_only_while_others_have_nothing_to_do() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        read_ahead = io.BytesIO()
        parser = SimpleNamespace(unreader=SimpleNamespace(buf=read_ahead))
        client = SimpleNamespace(sock=ours, is_http2=False, parser=parser)
        worker: Any = object.__new__(PatientWorker)
        worker.cfg, worker.alive, worker._busy = SimpleNamespace(threads=4), True, 2
        assert not worker._next_comes(client)
        theirs.sendall(b"GET")
        assert worker._next_comes(client)
        worker._busy = 3
        assert not worker._next_comes(client)
        worker._busy, worker.alive = 1, False
        assert not worker._next_comes(client)
        # What was read ahead does not make the socket readable; gunicorn sees to it.
        worker.alive = True
        read_ahead.write(b"GET")
        assert not worker._next_comes(client)
