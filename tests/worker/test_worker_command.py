"""`zooscope worker`: mistakes of whoever starts it, each one sentence; and what the supervisor must not import."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plant import Plant

from worker.command import _private, main
from zoo.errors import UserError
from zoo.settings import Settings


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zooscope", "worker", *arguments]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("name", "server", "device", "code"),
    [
        ("../up", "http://127.0.0.1:1", "cpu", "bad-worker-name"),
        ("one", "ftp://127.0.0.1", "cpu", "no-server"),
        ("one", "127.0.0.1:8000", "cpu", "no-server"),
        ("one", "http://", "cpu", "no-server"),
        ("one", "http://host:port", "cpu", "no-server"),
        ("one", "http://127.0.0.1:1", "tpu", "bad-device"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, server: str, device: str, code: str) -> None:
    with pytest.raises(UserError) as error:
        main(Settings(data=tmp_path), name, server, "token", device)
    assert error.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    folder = tmp_path / "workers" / "one"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = run("--data", str(tmp_path), "--name", "one", "--server", "http://127.0.0.1:1", "--token", "t")
    assert answer.returncode == 2
    assert answer.stderr == "zooscope: Another worker called one is running here. Give this one a --name of its own.\n"


def test_a_wrong_token_ends_the_worker(lasting_plant: Plant, tmp_path: Path) -> None:
    options = ["--data", str(tmp_path), "--name", "one", "--server", lasting_plant.server, "--device", "cpu"]
    answer = run(*options, ZOOSCOPE_WORKER_TOKEN="guessed")
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith("zooscope: The worker's token is not right.")


def test_a_worker_elsewhere_without_a_token_is_told_how_to_get_one(tmp_path: Path) -> None:
    answer = run("--data", str(tmp_path), "--server", "http://127.0.0.1:1")
    assert answer.returncode == 2
    assert answer.stderr.startswith("zooscope: This worker has no token. Give it in ZOOSCOPE_WORKER_TOKEN;")
    assert list(tmp_path.iterdir()) == []


def test_a_worker_is_called_as_its_token_is(lasting_plant: Plant, tmp_path: Path) -> None:
    token = lasting_plant.scheduler.worker_tokens.make("lab-7")
    lasting_plant.scheduler.worker_tokens.revoke("lab-7")
    options = ["--data", str(tmp_path), "--server", lasting_plant.server, "--device", "cpu"]
    answer = run(*options, ZOOSCOPE_WORKER_TOKEN=token)
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith("zooscope: The token of the worker lab-7 was revoked on ")
    assert (tmp_path / "workers" / "lab-7").is_dir()


@pytest.mark.parametrize(
    ("server", "private"),
    [
        ("https://zooscope.example", True), ("http://127.0.0.1:8080", True), ("http://[::1]:8080", True),
        ("http://localhost:8080", True), ("http://zooscope.example", False), ("http://10.0.0.3:8080", False),
        ("http://127.0.0.1.example", False),
    ],
)  # fmt: skip
def test_a_token_sent_unencrypted_is_warned_of(server: str, private: bool) -> None:
    assert _private(server) is private


def test_supervisor_and_watchdog_start_without_tensorflow() -> None:
    program = (
        "import sys, worker.supervisor, worker.watchdog, worker.command\n"
        "assert not {'tensorflow', 'keras', 'numpy', 'flask'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
