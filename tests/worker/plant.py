"""A whole plant for the tests of workers: beanstalkd, the scheduler's API and workers, each a real process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests

from scheduler.broker import Broker, start_beanstalkd
from scheduler.contract import PREFIX
from scheduler.jobs import JobRequest
from scheduler.service import Scheduler
from zoo.blobs import DiskBlobs
from zoo.documents_sqlite import SqliteDocuments
from zoo.images import Crop, encode_crop
from zoo.roi import Region
from zoo.settings import Settings

HERE = Path(__file__).parent
TOKEN = "worker-token-of-the-tests"
SHORT = {
    "ert_floor_seconds": 3.0,
    "claim_seconds": 3.0,
    "reserve_seconds": 2.0,
    "stall_seconds": 3.0,
    "cancel_seconds": 0.7,
    "attempts": 2,
    "free_disk_bytes": 0,
    "worker_token": TOKEN,
}


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def until(true: Callable[[], Any], seconds: float, otherwise: Callable[[], Any] = str) -> Any:
    """Wait until `true()` is; other processes cannot wake this one, so it looks every 20 ms."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s; {otherwise()}"
        time.sleep(0.02)
    return value


class Worker:
    """A running worker; `child` and `watchdog` are its two processes."""

    def __init__(self, settings: Settings, name: str, server: str, log: Path, engine: str) -> None:
        self.log_file = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "run_worker.py"), as_json(settings), name, server, TOKEN, engine],
                stderr=out,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def _part(self, module: str) -> psutil.Process:
        def find() -> psutil.Process | None:
            for process in psutil.Process(self.process.pid).children():
                if module in process.cmdline():
                    return process
            return None

        found: psutil.Process = until(find, 5)
        return found

    @property
    def child(self) -> psutil.Process:
        return self._part("worker.child")

    @property
    def watchdog(self) -> psutil.Process:
        return self._part("worker.watchdog")

    def parts(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def kill_all(self) -> None:
        """SIGKILL for supervisor, child and watchdog together, as when the machine fails."""
        parts = self.parts()
        for process in [*parts, psutil.Process(self.process.pid)]:
            process.suspend()  # so that none of them sees another one die
        for process in [*parts, psutil.Process(self.process.pid)]:
            process.kill()
        self.process.wait(5)


class Plant:
    """`submit` jobs for the slow engine, start and stop the parts, look at what became of it."""

    def __init__(self, folder: Path, ports: tuple[int, int], package: Path, **settings: Any) -> None:
        queue_port, self.port = ports
        values = SHORT | {"data": folder, "beanstalkd": f"127.0.0.1:{queue_port}"} | settings
        self.settings = Settings(**values)
        self.folder = folder
        self.server = f"http://127.0.0.1:{self.port}"
        self._queue_port = queue_port
        self.documents = SqliteDocuments(self.settings.documents_file)
        self.blobs = DiskBlobs(self.settings.blobs_folder)
        self.scheduler = Scheduler(self.documents, self.blobs, self.settings)
        self.package = self.blobs.put_file(package).sha256
        crop = Crop(np.zeros((8, 9, 1), np.uint8), None, False, Region(0, 0, 9, 8))
        self.input = self.blobs.put_bytes(encode_crop(crop)).sha256
        self.workers: list[Worker] = []
        self.start_queue()
        self.start_web()

    def start_queue(self) -> None:
        self.queue: Broker = start_beanstalkd(self.settings, self._queue_port)

    def start_web(self) -> None:
        self.web = subprocess.Popen(
            [sys.executable, str(HERE / "scheduler_server.py"), as_json(self.settings), str(self.port)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        until(self._answers, 30)

    def _answers(self) -> bool:
        try:
            return requests.post(f"{self.server}{PREFIX}/reserve", timeout=1).status_code == 401
        except requests.ConnectionError:
            return False

    def kill_web(self) -> None:
        os.killpg(self.web.pid, signal.SIGKILL)
        self.web.communicate()

    def worker(self, name: str, engine: str = "slow_engine", server: str = "", **settings: Any) -> Worker:
        given = self.settings.replace(**settings)
        worker = Worker(given, name, server or self.server, self.folder / f"{name}.log", engine)
        self.workers.append(worker)
        return worker

    def submit(self, ert: float | None = None, **settings: Any) -> str:
        """Queue a job with these settings for the slow engine; returns its uuid. Its lease is `ert`, or the floor."""
        model = {"id": "m", "version": "1", "name": "M", "package_sha256": self.package, "head_kind": "x"}
        request = JobRequest(
            "preview", "owner", model, settings, self.input, {"roi": [0, 0, 9, 8]}, 0.1, 0.0, ert_seconds=ert
        )
        uuid: str = self.scheduler.submit(request)["uuid"]
        return uuid

    def folders(self, name: str) -> list[Path]:
        """The job folders on the disk of the worker called `name`."""
        return list((self.settings.workers_folder / name / "jobs").glob("*"))

    def job(self, uuid: str) -> dict[str, Any]:
        return self.scheduler.job(uuid)

    def until_state(self, uuid: str, state: str, seconds: float = 40.0) -> dict[str, Any]:
        until(lambda: self.job(uuid)["state"] == state, seconds, lambda: self.job(uuid))
        return self.job(uuid)

    def until_computing(self, uuid: str) -> dict[str, Any]:
        until(lambda: self.job(uuid)["progress"]["stage"] == "inferring", 40, lambda: self.job(uuid))
        return self.job(uuid)

    def until_waiting(self, name: str) -> None:
        """Until the worker called `name` waits for a job with a child that is ready."""
        until(lambda: "The engine is ready" in (self.folder / f"{name}.log").read_text(), 40)

    def close(self) -> None:
        for worker in self.workers:
            for process in [*worker.parts(), worker.process] if worker.process.poll() is None else []:
                process.kill()
            worker.process.wait()
        self.kill_web()
        self.queue.kill()
        self.scheduler.close()
        self.documents.close()


def as_json(settings: Settings) -> str:
    given = {name: value for name, value in settings.__dict__.items() if isinstance(value, int | float | str)}
    return json.dumps(given | {"data": str(settings.data)})
