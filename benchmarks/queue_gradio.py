"""The same function, which does nothing, in a Gradio queue and in ours: one caller, many at once, and a crash.

Gradio has an environment of its own (`install/packages.sh gradio` makes it), one process, and its queue in memory. Ours
has the web server, beanstalkd and a worker that speaks the protocol and posts one small file. Both have one worker, and
callers learn the answer over server-sent events. The crash is SIGKILL of the server while all wait, and a new start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

from benchmarks.queue_overhead import do, quantile, reserve, result_folder
from benchmarks.queue_plant import Plant, plant
from benchmarks.service import free_port
from benchmarks.table import print_table
from scheduler.contract import FINAL_STATES
from zoo.errors import ZooscopeError

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv" / "gradio" / "bin" / "python"
SERVER = Path(__file__).with_name("gradio_server.py")
START_SECONDS = 60.0
CALLERS = 16

# Submits once and returns what waits for the answer.
Call = Callable[[requests.Session], Callable[[], Any]]


class GradioMissing(SystemExit):
    pass


class Gradio:
    """The server of gradio_server.py; `kill` and `start` it as often as you like."""

    def __init__(self, folder: Path) -> None:
        if not PYTHON.exists():
            raise GradioMissing("Gradio is not installed: run install/packages.sh gradio.")
        self.port, self.folder = free_port(), folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
            "HOME": str(self.folder),
        }
        with (self.folder / "gradio.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(PYTHON), str(SERVER), str(self.port)], env=environment, stdout=log, stderr=log, cwd=self.folder
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{self.url}/gradio_api/info", timeout=START_SECONDS).ok:
                    return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "gradio.log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def call(self, session: requests.Session) -> Callable[[], None]:
        asked = session.post(f"{self.url}/gradio_api/call/answer", json={"data": ["hello"]}, timeout=60)
        asked.raise_for_status()
        event = asked.json()["event_id"]

        def wait() -> None:
            with session.get(f"{self.url}/gradio_api/call/answer/{event}", stream=True, timeout=300) as answer:
                for line in answer.iter_lines(chunk_size=1):
                    if line == b"event: complete":
                        return
                    if line.startswith(b"event: error"):
                        break
            raise RuntimeError("Gradio did not answer")

        return wait


@contextlib.contextmanager
def worker(site: Plant) -> Iterator[None]:
    """A worker of the protocol in a thread, doing job after job while the block runs."""
    folder, over = result_folder(site), threading.Event()

    def work() -> None:
        client = site.worker()
        while not over.is_set():
            with contextlib.suppress(ZooscopeError):
                claim = reserve(client, 1.0)
                if claim is not None:
                    do(client, claim, folder)
        client.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def call_ours(site: Plant) -> Call:
    def call(session: requests.Session) -> Callable[[], None]:
        asked = session.post(
            f"{site.url}/scheduler/v1/jobs", json=site.request("visitor"), headers=site.service_headers, timeout=60
        )
        asked.raise_for_status()
        uuid = asked.json()["uuid"]

        def wait() -> None:
            with session.get(f"{site.url}/api/v1/jobs/{uuid}/events", stream=True, timeout=300) as answer:
                for line in answer.iter_lines(chunk_size=1):
                    if line.startswith(b"data: ") and json.loads(line[6:]).get("state") in FINAL_STATES:
                        return
            raise RuntimeError("the job did not end")

        return wait

    return call


def one_at_a_time(call: Call, rounds: int) -> list[float]:
    session, taken = requests.Session(), []
    for _ in range(rounds):
        started = time.perf_counter()
        call(session)()
        taken.append(time.perf_counter() - started)
    return taken


def at_once(call: Call, rounds: int) -> float:
    """Jobs a second until all have their answers, submitted by CALLERS callers at once, each waiting for each."""

    def some() -> None:
        session = requests.Session()
        for _ in range(rounds // CALLERS):
            call(session)()

    threads = [threading.Thread(target=some) for _ in range(CALLERS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rounds // CALLERS * CALLERS / (time.perf_counter() - started)


def left_of(waits: list[Callable[[], Any]]) -> int:
    """How many of the calls are answered after all."""
    left = 0
    for wait in waits:
        with contextlib.suppress(requests.RequestException, RuntimeError):
            wait()
            left += 1
    return left


def gradio(rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="zooscope-bench-") as name:
        server = Gradio(Path(name))
        server.start()
        try:
            one_at_a_time(server.call, 3)
            figures: dict[str, Any] = {
                "alone": one_at_a_time(server.call, rounds),
                "together": at_once(server.call, rounds),
            }
            session = requests.Session()
            waits = [server.call(session) for _ in range(rounds)]
            server.kill()
            server.start()
            return figures | {"left": left_of(waits[-10:])}
        finally:
            server.kill()


def ours(rounds: int) -> dict[str, Any]:
    with plant(threads=CALLERS + 16) as site:
        call = call_ours(site)
        with worker(site):
            one_at_a_time(call, 3)
            figures: dict[str, Any] = {"alone": one_at_a_time(call, rounds), "together": at_once(call, rounds)}
        session = requests.Session()
        waits = [call(session) for _ in range(rounds)]
        site.kill_server()
        with worker(site):
            return figures | {"left": left_of(waits[-10:])}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue_gradio", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="calls of each kind (default: 200)")
    parser.add_argument("--quick", action="store_true", help="a smoke test of a few seconds")
    arguments = parser.parse_args()
    rounds = CALLERS if arguments.quick else arguments.rounds
    rows = []
    for name, figures in (("Zooscope", ours(rounds)), ("Gradio", gradio(rounds))):
        median, slow = (quantile(figures["alone"], part) for part in (0.5, 0.95))
        rows += [
            (f"{name}: one caller", f"{median:.1f} ms", f"p95 {slow:.1f} ms, submitted to answered"),
            (f"  {CALLERS} callers at once", f"{figures['together']:,.0f} /s", ""),
            ("  the last 10 waiting, after a crash", f"{figures['left']} of 10", "answered"),
        ]
    print_table("A function that does nothing, one worker", rows)


if __name__ == "__main__":
    main()
