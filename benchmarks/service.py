"""A real service for a measurement, `zooscope up` on a free port and its own data folder, and a client of its API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from scheduler.contract import FINAL_STATES

START_SECONDS = 60.0
STOP_SECONDS = 20.0
JOB_SECONDS = 300.0
RETRY_SECONDS = 0.02


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "zooscope", *arguments]


@contextlib.contextmanager
def running(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours while the block runs; its messages go to this program's stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZOOSCOPE_")}
    process = subprocess.Popen(arguments, stdout=sys.stderr, env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def service(data: Path, *options: str) -> Iterator[Client]:
    """`zooscope up`; the block begins when the first page has arrived."""
    port = free_port()
    with running(command("up", "--port", str(port), "--data", str(data), *options)) as process:
        client = Client(f"http://127.0.0.1:{port}")
        client.wait_for_page(process)
        yield client


class Client:
    """What a browser does, without one: the cookie is kept, progress arrives as server-sent events."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def wait_for_page(self, process: subprocess.Popen[bytes]) -> None:
        """Ask for the gallery until it comes; raises TimeoutError, or RuntimeError when the service ended."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"zooscope up ended with status {process.returncode}")
            with contextlib.suppress(requests.ConnectionError):
                if self.session.get(self.url, timeout=START_SECONDS).ok:
                    return
            time.sleep(RETRY_SECONDS)
        raise TimeoutError(f"no page within {START_SECONDS:g} s")

    def call(self, method: str, path: str, **options: Any) -> Any:
        answer = self.session.request(method, f"{self.url}/api/v1{path}", timeout=JOB_SECONDS, **options)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def upload(self, name: str, data: bytes) -> dict[str, Any]:
        headers = {"X-Filename": name, "Content-Type": "application/octet-stream"}
        image: dict[str, Any] = self.call("POST", "/images", data=data, headers=headers)
        return image

    def submit(self, image: str, roi: list[int], model: str) -> str:
        body = {"image": image, "roi": roi, "models": [{"id": model}]}
        return str(self.call("POST", "/jobs", json=body)["jobs"][0]["uuid"])

    def follow(self, uuid: str) -> Iterator[dict[str, Any]]:
        """The job's views as they are sent, the last one final."""
        events = self.session.get(f"{self.url}/api/v1/jobs/{uuid}/events", stream=True, timeout=JOB_SECONDS)
        with events:
            # Small chunks: an event must not wait for the next one to fill a buffer.
            for line in events.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    view = json.loads(line[6:])
                    yield view
                    if view["state"] in FINAL_STATES:
                        return

    def preview(self, uuid: str) -> tuple[bytes, float, dict[str, Any]]:
        """The overlay, the moment (`time.perf_counter`) it was here, and the last view of the job.

        Raises RuntimeError when the job is not done.
        """
        overlay, shown = b"", 0.0
        for view in self.follow(uuid):
            if not overlay and view["links"]["overlay"]:
                overlay, shown = self.download(view["links"]["overlay"]), time.perf_counter()
        if view["state"] != "done":
            raise RuntimeError(f"the job ended as {view['state']}: {view['error']}")
        return overlay, shown, view

    def finish(self, uuid: str) -> dict[str, Any]:
        """Wait for the job; its last view. Raises RuntimeError when it is not done."""
        *_, view = self.follow(uuid)
        if view["state"] != "done":
            raise RuntimeError(f"the job ended as {view['state']}: {view['error']}")
        return view

    def download(self, path: str) -> bytes:
        answer = self.session.get(f"{self.url}{path}", timeout=JOB_SECONDS)
        answer.raise_for_status()
        return answer.content
