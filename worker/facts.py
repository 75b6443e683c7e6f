"""What this worker is, told to the scheduler: formats it runs, its GPU, memory, version. See scheduler/capabilities.py.

What computes on the GPU is only known once the child has imported its frameworks; all else is known at once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from functools import cache
from importlib.metadata import version
from pathlib import Path

import psutil

from scheduler.contract import ReserveRequest, WorkerFacts
from worker.cards import Card
from worker.processes import ChildProcess
from zoo.settings import Settings

GIB = 2**30
# Where Linux tells how much memory a container may use.
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MODULES = {"keras": "tensorflow", "onnx": "onnxruntime"}


def introduce(
    settings: Settings, name: str, device: str, card: Card | None, child: ChildProcess | None
) -> ReserveRequest:
    """What the worker is and holds, as it asks for a job."""
    warm, gpu_formats = (child.warm, child.gpu_formats) if child is not None else ((), ())
    known = facts(settings, gpu_formats, card)
    if device == "auto":
        device = "gpu" if known.gpu_formats else "cpu"
    return ReserveRequest(name, timeout_seconds=settings.reserve_seconds, warm_models=warm, device=device, facts=known)


def facts(settings: Settings, gpu_formats: Collection[str], card: Card | None) -> WorkerFacts:
    """`gpu_formats` are those that the child computes on a GPU, `card` is that GPU, None when there is none."""
    formats = list(_frameworks())
    if "keras" in formats and settings.reviewed_packages:
        formats.append("reviewed")
    on_gpu = tuple(name for name in formats if name in gpu_formats or (name == "reviewed" and "keras" in gpu_formats))
    shown = card if on_gpu else None
    return WorkerFacts(
        formats=tuple(formats),
        gpu_formats=on_gpu,
        gpu_memory_gb=shown.memory_gb if shown else 0.0,
        device_name=shown.name if shown else "",
        memory_gb=round(memory_bytes(settings.worker_memory_bytes) / GIB, 1),
        version=version("zooscope"),
    )


@cache
def _frameworks() -> tuple[str, ...]:
    return tuple(name for name, module in MODULES.items() if importlib.util.find_spec(module) is not None)


def memory_bytes(limit: int = 0, files: Collection[Path] = MEMORY_LIMITS) -> int:
    """What a worker may use of the machine's memory: all of it, or less if the container or the setting says so."""
    limits = [psutil.virtual_memory().total]
    for file in files:
        try:
            limits.append(int(file.read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min([one for one in (*limits, limit) if one > 0])
