"""The child process on its own: the protocol over real pipes, its limits, and its end when nobody is left."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from scheduler.contract import RESULT_FILES, Claim
from worker.heartbeat import Heartbeat
from worker.job_folder import JobFolder
from worker.lines import ending
from worker.processes import ChildProcess
from zoo.identifiers import new_uuid
from zoo.packages import file_sha256
from zoo.settings import Settings

HERE = Path(__file__).parent


@pytest.fixture
def input_file(tmp_path: Path) -> Path:
    (tmp_path / "input").write_bytes(b"pixels")
    return tmp_path / "input"


class Spoken:
    """A child with the slow engine and the lines it said."""

    def __init__(self, tmp_path: Path, settings: Settings) -> None:
        self.process = ChildProcess(settings, "cpu", tmp_path / "scratch", "slow_engine")
        self.heard: list[dict[str, Any]] = []
        self.jobs = tmp_path / "jobs"
        self.lease = ""

    def until(self, *events: str, seconds: float = 10.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self.process.answers.wait(deadline - time.monotonic())
            self.heard += map(json.loads, lines)
            for heard in self.heard:
                if heard["event"] in events:
                    return heard
            assert not self.process.answers.closed, "the child ended"
        raise AssertionError(f"no {events} in {self.heard}")

    def run(self, package: Path, input_file: Path, **settings: Any) -> JobFolder:
        self.heard.clear()
        self.lease = new_uuid()
        claim = Claim("u" * 32, "preview", 1, self.lease, 0.0, 10.0, file_sha256(package), "", {}, settings, {})
        folder = JobFolder.create(self.jobs, claim)
        self.process.run(claim, folder, package, input_file)
        return folder

    def log(self) -> str:
        return "".join(heard["text"] for heard in self.heard if heard["event"] == "log")


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoken]:
    """One child for all tests but the last, which is its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        patch.setenv("ZOOSCOPE_WORKER_TOKEN", "hush-token")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "hush-key")
        spoken = Spoken(tmp_path_factory.mktemp("child"), Settings(result_file_bytes=3 * 2**20))
    spoken.until("ready")
    yield spoken
    spoken.process.close()


def test_a_job_is_reported_and_its_files_are_named(child: Spoken, package: Path, input_file: Path) -> None:
    folder = child.run(package, input_file, steps=3)
    done = child.until("done")
    assert done["job"] == child.lease
    assert set(done["files"]) == set(RESULT_FILES)
    assert done["summary"] == {"objects": 3}
    assert (folder.out / "overlay.png").read_text() == "overlay.png of 6 bytes"
    fractions = [heard["fraction"] for heard in child.heard if heard["event"] == "progress"]
    assert fractions == [0.0, 1 / 3, 2 / 3]
    beat = Heartbeat(folder.heartbeat)
    assert beat.age_seconds() < 2
    beat.close()


def test_stray_prints_go_to_stderr_not_into_the_protocol(child: Spoken, package: Path, input_file: Path) -> None:
    child.run(package, input_file)
    child.until("done")
    assert "a stray print of the engine" in child.process.prints.wait(5)


def test_secrets_stay_behind(child: Spoken, package: Path, input_file: Path) -> None:
    child.run(package, input_file, end="environment")
    child.until("done")
    assert "PATH" in child.log()
    assert "hush" not in child.log()
    assert "ZOOSCOPE" not in child.log()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux shows the limits of another process")
def test_limits_are_set(child: Spoken) -> None:
    process = psutil.Process(child.process.pid)
    assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert process.rlimit(psutil.RLIMIT_NOFILE) == (1024, 1024)
    assert process.rlimit(psutil.RLIMIT_FSIZE) == (3 * 2**20, 3 * 2**20)
    assert os.getpgid(child.process.pid) == child.process.pid != os.getpgid(0)


@pytest.mark.parametrize(
    ("end", "code", "retry"),
    [
        ("user-error", "bad-region", False),
        ("bug", "unexpected-error", True),
        ("disk-full", "result-too-large", False),
    ],
)
def test_errors_are_told_apart(
    child: Spoken, package: Path, input_file: Path, end: str, code: str, retry: bool
) -> None:
    child.run(package, input_file, end=end)
    error = child.until("error")
    assert (error["code"], error["retry"]) == (code, retry)
    assert error["message"].endswith(".")
    assert ("slow_engine.py" in child.log()) == (end == "bug")
    assert str(HERE) not in child.log()
    child.process.tell(cancel=child.lease)  # which is over
    child.run(package, input_file)
    child.until("done")


def test_cancel_stops_between_steps(child: Spoken, package: Path, input_file: Path) -> None:
    child.run(package, input_file, steps=1000, seconds=0.02)
    child.until("progress")
    started = time.monotonic()
    child.process.tell(cancel=child.lease)
    child.until("cancelled")
    assert time.monotonic() - started < 0.5


def test_endings_are_named() -> None:
    assert "out of memory" in ending(-signal.SIGKILL)
    assert ending(-signal.SIGSEGV) == "crashed (SIGSEGV)"
    assert ending(7) == "ended unexpectedly (exit status 7)"


def test_the_child_ends_when_its_stdin_closes(child: Spoken, package: Path, input_file: Path) -> None:
    child.run(package, input_file, end="hang")
    child.until("progress")
    child.process.hang_up()
    assert psutil.Process(child.process.pid).wait(3) == 0
