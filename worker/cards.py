"""The GPUs of this machine, and one worker for each: a worker computes one job at a time, on one card.

The cards are asked of the driver's own tool, so that the process that shares them out never touches one.
"""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

LIST_SECONDS = 20.0
END_SECONDS = 15.0

_log = logging.getLogger(__name__)


def list_cards() -> list[str]:
    """The names of the NVIDIA cards as their driver lists them; empty without a driver."""
    return [line for line in _ask("-L") if line.startswith("GPU ")]


def _ask(question: str) -> list[str]:
    """The lines that the driver's tool answers, none without it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, question, *(["--format=csv,noheader,nounits"] if question.startswith("--query") else [])]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=LIST_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("The GPUs could not be listed (%s).", error)
        return []
    return told.splitlines()


def devices_for(device: str, cards: Callable[[], Sequence[str]], environment: Mapping[str, str]) -> list[str]:
    """What the workers compute on, one each: every visible card for "auto" if there are several, else `device` alone.

    Cards are numbered as TensorFlow numbers them, among those that CUDA_VISIBLE_DEVICES leaves.
    """
    if device != "auto":
        return [device]
    count = len(cards())
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = [name.strip() for name in visible.split(",")]
        # CUDA takes the names up to the first that is none.
        good = next((index for index, name in enumerate(named) if not name or name.startswith("-")), len(named))
        count = min(count, good)
    return [f"gpu:{index}" for index in range(count)] if count > 1 else [device]


@dataclass(frozen=True)
class Card:
    """A GPU as its driver tells of it; memory in GB of 2^30 bytes."""

    name: str
    memory_gb: float


def find_card(device: str, environment: Mapping[str, str]) -> Card | None:
    """The card that `device` stands for: gpu:<index>, or gpu and auto for the first visible one. None without one, or
    when the driver does not tell of it, such as of a part of a card.
    """
    index = int(device.partition(":")[2] or 0)
    listed = [line.split(", ") for line in _ask("--query-gpu=index,uuid,name,memory.total")]
    rows = [row for row in listed if len(row) == 4 and row[3].strip().isdigit()]
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = [row[0] for row in rows] if visible is None else [name.strip() for name in visible.split(",")]
    if device == "cpu" or index >= len(names) or not names[index]:
        return None
    wanted = names[index]
    found = [row for row in rows if row[0] == wanted or (wanted.startswith("GPU-") and row[1].startswith(wanted))]
    return Card(found[0][2], round(int(found[0][3]) / 1024, 1)) if found else None


class Pool:
    """Workers as processes of their own, started together and ended together."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> None:
        self._ended = threading.Event()
        self._stopping = False
        self._processes = [subprocess.Popen(list(command), env=dict(environment)) for command in commands]
        for process in self._processes:
            threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def run(self) -> int:
        """Wait for SIGTERM or SIGINT, or for a worker to end, then end all; the status of the one that ended first."""
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._ended.wait()
            statuses = [status for process in self._processes if (status := process.poll()) is not None]
            if not self._stopping:
                _log.warning("A worker has ended; the others are ended too.")
        finally:
            self._end()
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self._stopping:
            return 0
        return next((status if status > 0 else 1 for status in statuses if status), 0)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._ended.set()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._ended.set()

    def _end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def worker_commands(name: str, server: str, data: str, devices: Sequence[str]) -> list[list[str]]:
    """The commands of the workers on `devices`; their token is in the environment, where no listing shows it."""
    return [
        [sys.executable, "-m", "zooscope", "worker", "--server", server, "--data", data,
         "--name", f"{name}-{device.replace(':', '')}", "--device", device]
        for device in devices
    ]  # fmt: skip
