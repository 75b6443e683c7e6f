"""The service for measurements of the queue: web server and beanstalkd, each a process; no worker, no TensorFlow.

The queue is filled beside the API: documents in large transactions, entries down one connection. What lies in it is as
if many owners had submitted it in turn.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.service import free_port
from scheduler.broker import Broker, start_beanstalkd
from scheduler.entry import Entry
from scheduler.fairness import base
from scheduler.job_fields import FIELDS
from scheduler.jobs import COLLECTION, JobRequest, new_body
from scheduler.tokens import Tokens
from web.up import listen
from worker.client import SchedulerClient
from zoo.blobs import DiskBlobs
from zoo.documents import Write
from zoo.documents_sqlite import SqliteDocuments
from zoo.identifiers import new_uuid
from zoo.secrets import JOB_TOKENS, SERVICE_TOKEN, read_or_make_key, worker_token
from zoo.settings import Settings

START_SECONDS = 60.0
STOP_SECONDS = 20.0
ASK_SECONDS = 1.0
OWNERS = 1000
BATCH = 500


@dataclass
class Plant:
    """A running service; `input_sha256` and `package_sha256` are stored blobs that its jobs name."""

    server: Server
    settings: Settings
    broker: Broker
    input_sha256: str
    package_sha256: str

    @property
    def url(self) -> str:
        return self.server.url

    def kill_server(self) -> None:
        """Kill the web server and start it again."""
        self.server.kill()
        self.server.start()

    def request(self, owner: str, kind: str = "preview") -> dict[str, Any]:
        """The body of POST /scheduler/v1/jobs."""
        return {
            "kind": kind,
            "owner": owner,
            "model": {"id": "nuclei", "version": "1.0.0", "name": "Nuclei", "package_sha256": self.package_sha256,
                      "head_kind": "watershed-instances"},
            "settings": {"threshold": 0.5, "minimum_area_px": 20, "enhancement": "off", "variations": "none"},
            "input_sha256": self.input_sha256,
            "source": {"image_id": new_uuid(), "image_name": "cells.tif", "image_sha256": self.input_sha256,
                       "roi": [0, 0, 512, 512], "plane": 0, "channels": [0], "rgb": False, "pixel_size_um": 0.65},
            "estimate_seconds": 3.0,
            "load_seconds": 1.0,
        }  # fmt: skip

    @property
    def service_headers(self) -> dict[str, str]:
        token = read_or_make_key(self.settings, SERVICE_TOKEN)
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def submit(self, owner: str) -> dict[str, Any]:
        answer = requests.post(
            f"{self.url}/scheduler/v1/jobs", json=self.request(owner), headers=self.service_headers, timeout=30
        )
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def stats(self, name: str) -> int:
        """One of beanstalkd's own figures."""
        with socket.create_connection(("127.0.0.1", self.broker.port)) as bare:
            return int(_stats(bare, bare.makefile("rb"))[name])

    def worker(self) -> SchedulerClient:
        return SchedulerClient(self.url, worker_token(self.settings))

    def fill(self, count: int, kind: str = "preview") -> None:
        """Let `count` more jobs of a kind wait."""
        documents = SqliteDocuments(self.settings.documents_file)
        documents.declare(COLLECTION, FIELDS)
        tokens = Tokens(read_or_make_key(self.settings, JOB_TOKENS), self.settings.token_hours)
        with socket.create_connection(("127.0.0.1", self.broker.port)) as bare:
            answers = bare.makefile("rb")
            instance = _stats(bare, answers)["id"]
            for first in range(0, count, BATCH):
                numbers = range(first, min(first + BATCH, count))
                bodies = [self._body(f"owner{number % OWNERS}", kind, number // OWNERS) for number in numbers]
                _put(bare, answers, bodies, tokens, instance)
                documents.write(COLLECTION, [Write(body["uuid"], body) for body in bodies])
        documents.close()

    def _body(self, owner: str, kind: str, turn: int) -> dict[str, Any]:
        request = JobRequest(**self.request(owner, kind))
        return new_body(request, 15.0, 1, base(kind) + turn, time.time())


def _stats(bare: socket.socket, answers: Any) -> dict[str, str]:
    bare.sendall(b"stats\r\n")
    text = answers.read(int(answers.readline().split()[1]) + 2).decode()
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value.strip('"') for name, _, value in pairs}


def _put(bare: socket.socket, answers: Any, bodies: list[dict[str, Any]], tokens: Tokens, instance: str) -> None:
    """Queue the jobs, and write into their bodies where they lie."""
    said = [f"use {bodies[0]['queue']['tube']}\r\n".encode()]
    for body in bodies:
        place = body["queue"]
        entry = Entry(body["uuid"], body["kind"], place["tube"], body["attempt"], tokens.make(body)).to_bytes()
        said.append(b"put %d 0 60 %d\r\n%s\r\n" % (place["priority"], len(entry), entry))
    bare.sendall(b"".join(said))
    answers.readline()
    for body in bodies:
        body["queue"] |= {"job_id": int(answers.readline().split()[1]), "broker": instance}


@contextlib.contextmanager
def plant(threads: int = 16, replicas: int = 1, **changes: Any) -> Iterator[Plant]:
    """The service on a data folder of its own; the block begins when it answers. `threads` is that of each replica."""
    with tempfile.TemporaryDirectory(prefix="zooscope-bench-") as name:
        values = {
            "data": Path(name),
            "port": free_port(),
            "beanstalkd": f"127.0.0.1:{free_port()}",
            "web_threads": threads,
            "queued_per_owner": 10**9,
            "queued_per_address": 0,
            "running_per_owner": 0,
            "free_disk_bytes": 0,
            "seed_folder": Path(name),
        }
        settings = Settings(**(values | changes))
        broker = start_beanstalkd(settings, int(settings.beanstalkd.rpartition(":")[2]))
        server = Server(settings, replicas=replicas)
        try:
            server.start()
            blobs = DiskBlobs(settings.blobs_folder)
            stored = [blobs.put_bytes(data).sha256 for data in (b"a crop", b"a package")]
            yield Plant(server, settings, broker, *stored)
        finally:
            server.stop()
            broker.stop()


class Server:
    """Web servers with these settings in processes of their own, side by side on one socket, as `zooscope up` starts
    them; their messages go to a file in the data folder.
    """

    def __init__(self, settings: Settings, module: str = "web.serve", replicas: int = 1) -> None:
        self.url = f"http://127.0.0.1:{settings.port}"
        self._settings = settings
        self._module = module
        self._replicas = replicas
        self._socket: socket.socket | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start them, one after another, each until it answers."""
        self._socket = self._socket or listen("127.0.0.1", self._settings.port)
        for _ in range(self._replicas):
            # Those that are there already are stopped meanwhile, because any of them might answer.
            others = [one for process in self._processes for one in _family(process)]
            for one in others:
                one.suspend()
            self._processes.append(self._started(self._socket.fileno()))
            self._wait_for(self._processes[-1])
            for one in others:
                one.resume()

    def _started(self, descriptor: int) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ZOOSCOPE_")}
        with (self._settings.data / "server.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self._module, "--fd", str(descriptor)],
                stdout=log,
                stderr=log,
                env=environment | self._settings.environment(),
                pass_fds=[descriptor],
            )

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.url}/healthz", timeout=ASK_SECONDS).ok:
                    return
        raise RuntimeError(f"the server does not answer: {(self._settings.data / 'server.log').read_text()[-2000:]}")

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        self.kill()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def kill(self) -> None:
        """Kill them, and wait until they are gone: what they leave answers no more."""
        family = [one for process in self._processes for one in _family(process)]
        for process in self._processes:
            process.kill()
            process.wait()
        psutil.wait_procs(family, STOP_SECONDS)
        self._processes = []


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The process and those it started; none when it has ended."""
    if process.poll() is not None:
        return []
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]
