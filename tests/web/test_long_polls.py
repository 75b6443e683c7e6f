"""As many workers that wait for a job as the web server has threads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from running_service import run_service

from scheduler.contract import ReserveRequest
from worker.client import SchedulerClient, ServiceAway

pytestmark = pytest.mark.slow

THREADS = 2
POLL_SECONDS = 60.0
# An answer that came after it was one to somebody who had to wait for the polls to end.
ANSWER_SECONDS = POLL_SECONDS / 2


@dataclass
class Lab:
    """A service with workers that do nothing but ask for jobs."""

    url: str
    token: str
    workers: list[threading.Thread] = field(default_factory=list)

    def add_worker(self) -> None:
        worker = threading.Thread(target=self._wait_for_a_job, args=(f"worker-{len(self.workers)}",))
        self.workers.append(worker)
        worker.start()

    def _wait_for_a_job(self, name: str) -> None:
        # Until the service ends.
        with contextlib.closing(SchedulerClient(self.url, self.token)) as client, contextlib.suppress(ServiceAway):
            client.reserve(ReserveRequest(name, timeout_seconds=POLL_SECONDS, device="cpu"))

    def get(self, path: str) -> requests.Response:
        answer = requests.get(self.url + path, timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return answer

    @property
    def seen(self) -> int:
        """How many workers the service knows of."""
        return len(self.get("/api/v1/status").json()["workers"])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOOSCOPE_WEB_THREADS", str(THREADS))
        patch.setenv("ZOOSCOPE_RESERVE_SECONDS", str(POLL_SECONDS))
        running = run_service(tmp_path / "data", "--no-worker")
        url = next(running)
    lab = Lab(url, (tmp_path / "data" / "secrets" / "worker-token").read_text().strip())
    try:
        yield lab
    finally:
        running.close()
        for worker in lab.workers:
            worker.join()


def test_workers_that_wait_for_a_job_hold_up_nobody(lab: Lab) -> None:
    for number in range(1, THREADS + 1):
        lab.add_worker()
        deadline = time.monotonic() + ANSWER_SECONDS
        while lab.seen < number:
            assert time.monotonic() < deadline
    started = time.monotonic()
    for _ in range(10):
        lab.get("/healthz")
    assert time.monotonic() - started < ANSWER_SECONDS
