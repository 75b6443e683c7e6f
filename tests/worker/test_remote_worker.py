"""A worker anywhere: nothing but HTTPS out, a token of its own, and its end when that is revoked."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from plant import HERE, Plant, as_json, until


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost, with its key in the same file."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.fail("openssl is not installed.")
    file, key = tmp_path / "server.pem", tmp_path / "server.key"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes(key.read_bytes() + file.read_bytes())
    return file


@contextlib.contextmanager
def https(certificate: Path, target: int) -> Iterator[int]:
    """A proxy with TLS in front of the port `target`; yields its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(plain: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(plain, server_side=True) as near,
            socket.create_connection(("127.0.0.1", target)) as far,
        ):
            back = threading.Thread(target=forward, args=(far, near))
            back.start()
            forward(near, far)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
                threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in list(threads):
        thread.join(20)


def start(plant: Plant, name: str, server: str, token: str, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, str(HERE / "run_worker.py"), as_json(plant.settings), name, server, token, "slow_engine"],
            stderr=out, env=os.environ | {"PYTHONPATH": path} | environment, start_new_session=True,
        )  # fmt: skip


def test_a_worker_needs_nothing_but_https_out(plant: Plant, certificate: Path, tmp_path: Path) -> None:
    token = plant.scheduler.worker_tokens.make("far")
    with https(certificate, plant.port) as port:
        log = tmp_path / "far.log"
        server = f"https://localhost:{port}"
        process = start(plant, "far", server, token, log, REQUESTS_CA_BUNDLE=str(certificate))
        try:
            uuid = plant.submit(steps=30, seconds=0.1)
            plant.until_computing(uuid)
            worker = psutil.Process(process.pid)
            links = [link for one in [worker, *worker.children()] for link in one.net_connections()]
            assert [link for link in links if link.status == psutil.CONN_LISTEN] == []
            assert {link.raddr.port for link in links if link.raddr} == {port}
            job = plant.until_state(uuid, "done")
            assert job["result"]["worker"] == "far"
        finally:
            process.terminate()
            process.wait(20)


def test_a_worker_does_not_talk_to_a_server_it_cannot_believe(plant: Plant, certificate: Path, tmp_path: Path) -> None:
    with https(certificate, plant.port) as port:
        log = tmp_path / "far.log"
        process = start(plant, "far", f"https://localhost:{port}", "a secret token", log)
        try:
            until(lambda: "does not answer (SSLError)" in log.read_text(), 60, log.read_text)
        finally:
            process.terminate()
            process.wait(20)


def test_a_worker_whose_token_is_revoked_ends_and_its_job_is_done_by_another(plant: Plant, tmp_path: Path) -> None:
    token = plant.scheduler.worker_tokens.make("far")
    log = tmp_path / "far.log"
    process = start(plant, "far", plant.server, token, log)
    try:
        uuid = plant.submit(steps=50, seconds=0.1)
        plant.until_computing(uuid)
        assert plant.scheduler.worker_tokens.revoke("far") == 1
        assert plant.job(uuid)["lease"] is None
        plant.worker("near")
        assert process.wait(30) != 0
        assert "The token of the worker far was revoked on" in log.read_text()
        job = plant.until_state(uuid, "done")
        assert (job["result"]["worker"], job["attempt"]) == ("near", 1)
    finally:
        process.kill()
        process.wait()
