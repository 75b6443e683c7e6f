"""The supervisor's two helpers as it holds them: the child that computes and the watchdog that keeps its lease."""

from __future__ import annotations

import os
import shutil
import time
from collections import OrderedDict
from pathlib import Path

from scheduler.contract import Claim
from worker.child import ENGINE
from worker.confinement import child_environment, child_settings
from worker.job_folder import JobFolder
from worker.lines import LineProcess
from zoo.settings import Settings


class ChildProcess(LineProcess):
    """`python -m worker.child`. `ready` once it has imported its engine and told its `gpu_formats`; `warm` names the
    packages it has loaded.
    """

    def __init__(self, settings: Settings, device: str, scratch: Path, engine: str = ENGINE) -> None:
        # A killed child leaves its temporary files behind.
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        arguments = ["--parent", str(os.getpid()), "--engine", engine]
        environment = child_environment(os.environ, settings.cpu_threads, device, str(scratch))
        super().__init__("worker.child", arguments, environment, str(scratch))
        self._models_kept = settings.worker_models
        self._warm: OrderedDict[str, None] = OrderedDict()
        self.ready = False
        self.gpu_formats: tuple[str, ...] = ()
        self.tell(settings=child_settings(settings), device=device)

    @property
    def warm(self) -> tuple[str, ...]:
        return tuple(self._warm)

    def run(self, claim: Claim, folder: JobFolder, package: Path, input_file: Path) -> None:
        """Hand over a job; it starts when the engine is imported."""
        self.tell(
            run={
                "job": claim.lease,
                "kind": claim.kind,
                "package": str(package.resolve()),
                "package_sha256": claim.package_sha256,
                "input": str(input_file.resolve()),
                "out": str(folder.out.resolve()),
                "heartbeat": str(folder.heartbeat.resolve()),
                "settings": claim.settings,
                "source": claim.source,
            }
        )

    def has_run(self, claim: Claim) -> None:
        self._warm[claim.package_sha256] = None
        self._warm.move_to_end(claim.package_sha256)
        while len(self._warm) > self._models_kept:
            self._warm.popitem(last=False)


class WatchdogProcess(LineProcess):
    """`python -m worker.watchdog`, with the scheduler's address and token, which are no arguments others could read."""

    def __init__(self, settings: Settings, server: str, token: str, cwd: Path) -> None:
        passed = {name: value for name, value in os.environ.items() if not name.startswith("ZOOSCOPE_")}
        super().__init__("worker.watchdog", [], passed, str(cwd))
        self.tell(server=server, token=token, stall_seconds=settings.stall_seconds)


class Patience:
    """How long to wait before the next try of something that keeps failing: doubling, up to `longest` seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first
        self.until = 0.0

    @property
    def left(self) -> float:
        return max(0.0, self.until - time.monotonic())

    def failed(self) -> None:
        self.until = time.monotonic() + self._next
        self._next = min(2 * self._next, self._longest)

    def worked(self) -> None:
        self._next, self.until = self._first, 0.0
