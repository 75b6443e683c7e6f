"""An engine that does next to nothing: it writes the job's number into its result, and a line into its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scheduler.contract import Progress
from zoo.settings import Settings


@dataclass
class PreviewJob:
    package: Any
    crop: Any
    settings: dict[str, Any]
    source: dict[str, Any]


class ModelCache:
    def __init__(self, settings: Settings, device: str) -> None:
        pass


def read_package(file: Path, settings: Settings) -> Path:
    return file


def decode_crop(file: Path) -> bytes:
    return file.read_bytes()


def run_preview(
    job: PreviewJob,
    models: ModelCache,
    out: Path,
    report: Callable[[Progress], None],
    log: Callable[[str], None],
    cancelled: Callable[[], bool],
    written: Callable[[str], None],
) -> Any:
    number = job.settings["number"]
    log(f"number {number}")
    report(Progress("inferring", 0.5))
    time.sleep(job.settings["seconds"])
    (out / "overlay.png").write_text(f"the result of number {number}")
    written("overlay.png")
    return SimpleNamespace(files=["overlay.png"], summary={"number": number}, timings={})
