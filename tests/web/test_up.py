"""`zooscope up` as a person starts it: real processes, a real queue, Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import psutil
import pytest
from web_helpers import png

pytestmark = pytest.mark.slow

STOP_SECONDS = 15.0


@dataclass
class Running:
    process: subprocess.Popen[str]
    url: str

    @property
    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stop(self) -> int:
        """Ctrl-C; returns the exit status once nothing of it is left."""
        below = self.processes
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(STOP_SECONDS)
        _, left = psutil.wait_procs(below, timeout=1)
        assert left == []
        return status


def command(data: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "zooscope", "up", "--port", "0", "--data", str(data), *options]


@contextlib.contextmanager
def up(data: Path, packages: Path, *options: str) -> Iterator[Running]:
    environment = os.environ | {"ZOOSCOPE_SEED_FOLDER": str(packages)}
    with subprocess.Popen(
        command(data, "--no-worker", *options), stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        running = Running(process, "")
        try:
            said = running.line()
            found = re.match(r"Zooscope is at (http://127\.0\.0\.1:\d+) ", said)
            assert found, said
            running.url = found.group(1)
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(STOP_SECONDS)


class Browser:
    """Keeps its cookies from one start of the service to the next."""

    def __init__(self) -> None:
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def ask(self, url: str, data: bytes | None = None, **headers: str) -> Any:
        request = urllib.request.Request(url, data=data, headers=headers)
        with self.opener.open(request, timeout=30) as answer:
            return json.loads(answer.read())


def test_up_runs_until_ctrl_c_and_finds_its_data_again(tmp_path: Path, packages: Path) -> None:
    browser = Browser()
    with up(tmp_path, packages) as first:
        assert browser.ask(f"{first.url}/healthz") == {"ok": True}
        assert browser.ask(f"{first.url}/readyz")["ok"]
        assert browser.ask(f"{first.url}/api/v1/models")["total"] == 2
        image = browser.ask(f"{first.url}/api/v1/images", png(), **{"X-Filename": "a.png"})
        body = json.dumps({"image": image["id"], "models": ["cells"]}).encode()
        job = browser.ask(f"{first.url}/api/v1/jobs", body, **{"Content-Type": "application/json"})["jobs"][0]

        second = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 2
        assert f"already runs on the data folder {tmp_path} (process {first.process.pid}" in second.stderr
        assert second.stderr.count("\n") == 1
        assert first.stop() == 0
    with up(tmp_path, packages) as again:
        assert [found["uuid"] for found in browser.ask(f"{again.url}/api/v1/jobs")["items"]] == [job["uuid"]]
        assert browser.ask(f"{again.url}/api/v1/status")["queued"] == 1
        assert again.stop() == 0


def test_a_taken_port_is_one_sentence(tmp_path: Path, packages: Path) -> None:
    with up(tmp_path / "a", packages) as first:
        port = first.url.rsplit(":", 1)[1]
        options = ["--port", port]
        second = subprocess.run(
            command(tmp_path / "b", *options), capture_output=True, text=True, timeout=30, check=False
        )
        assert second.returncode == 2
        assert re.fullmatch(rf"zooscope: Zooscope cannot listen on 127\.0\.0\.1 port {port}: .*\n", second.stderr)


@pytest.mark.parametrize("victim", ["web.serve", "beanstalkd"])
def test_a_crashed_part_comes_back_on_the_same_address(tmp_path: Path, packages: Path, victim: str) -> None:
    browser = Browser()
    with up(tmp_path, packages) as running:
        found = [child for child in running.processes if any(victim in word for word in child.cmdline())]
        found[0].kill()
        assert re.match(
            r"The (web server|queue) stopped \(killed by SIGKILL\); it starts again in 1 s\.", running.line()
        )
        assert browser.ask(f"{running.url}/healthz") == {"ok": True}
        assert browser.ask(f"{running.url}/api/v1/models")["total"] == 2
        assert running.stop() == 0


def test_nothing_outlives_a_killed_up(tmp_path: Path, packages: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent died")
    with up(tmp_path, packages) as running:
        below = running.processes
        running.process.kill()
        _, left = psutil.wait_procs(below, timeout=10)
        assert left == []
