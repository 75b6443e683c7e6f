"""An engine for the child without TensorFlow, which does as the job's settings say: takes its time, hangs, crashes.

Settings: steps, seconds (of each step), deaf (to cancelling), end ("done" or a way to fail after the last step),
printed and logged (MiB of print() and of log() at each step).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scheduler.contract import RESULT_FILES, Progress
from zoo.errors import UserError
from zoo.settings import Settings

EATEN_BYTES = 2**30


class BadRegion(UserError):
    code = "bad-region"


@dataclass
class PreviewJob:
    package: Any
    crop: Any
    settings: dict[str, Any]
    source: dict[str, Any]


class ModelCache:
    def __init__(self, settings: Settings, device: str) -> None:
        self.limit = settings.worker_models


def read_package(file: Path, settings: Settings) -> Path:
    return file


def decode_crop(file: Path) -> bytes:
    return file.read_bytes()


def hang() -> None:
    while True:
        time.sleep(60)


def run_preview(
    job: PreviewJob,
    models: ModelCache,
    out: Path,
    report: Callable[[Progress], None],
    log: Callable[[str], None],
    cancelled: Callable[[], bool],
    written: Callable[[str], None],
) -> Any:
    steps, seconds = job.settings.get("steps", 1), job.settings.get("seconds", 0.0)
    print("a stray print of the engine")
    log(f"process {os.getpid()} begins")
    for step in range(steps):
        if cancelled() and not job.settings.get("deaf"):
            raise RuntimeError("cancelled")
        report(Progress("inferring", step / steps, f"tile {step + 1} of {steps}"))
        shout(job.settings, log)
        time.sleep(seconds)
    end = job.settings.get("end", "done")
    if end == "environment":
        log(repr(dict(os.environ)))
    elif end != "done":
        fail(end, out)
    for name in RESULT_FILES:
        (out / name).write_text(f"{name} of {len(job.crop)} bytes")
    return SimpleNamespace(files=list(RESULT_FILES), summary={"objects": 3}, timings={"inferring": seconds * steps})


def shout(settings: dict[str, Any], log: Callable[[str], None]) -> None:
    line = "a line of a log that nobody reads to its end".ljust(1023, ".") + "\n"
    for _ in range(settings.get("printed", 0)):
        print(line * 2**10, end="")
    for _ in range(settings.get("logged", 0)):
        log(line * 2**10)


def fail(end: str, out: Path) -> None:
    if end == "hang":
        hang()
    elif end == "user-error":
        raise BadRegion("The region is empty.", "Draw a larger one.")
    elif end == "bug":
        raise ValueError("a mistake in the engine")
    elif end == "exit":
        os._exit(7)
    elif end == "memory":
        eaten = [bytes(range(256)) * 2**16 for _ in range(EATEN_BYTES // 2**24)]
        raise ValueError(f"{len(eaten)} times 16 MiB were not too many")
    elif end == "disk-full":
        with (out / "overlay.png").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**20))
    else:
        os.kill(os.getpid(), signal.Signals[end])
        hang()
