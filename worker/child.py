"""The process that computes: `python -m worker.child`, fed by the supervisor, one job at a time.

JSON lines on stdin: first `{"settings", "device"}`, then `{"run": {job, kind, package, package_sha256, input, out,
heartbeat, settings, source}}` and `{"cancel": job}`; `job` is the lease. JSON lines on stdout: `{"event": "ready",
"gpu_formats"}`, and for the job at hand `progress` {stage, fraction, message}, `log` {text}, `file` {name} for each
file that is whole, and at last one of `done` {files, summary, timings}, `cancelled`, `error` {code, message, hint,
retry}. Whatever code prints goes to stderr. A closed stdin means that the supervisor is gone: it ends at once.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import math
import os
import queue
import sys
import threading
import traceback
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from scheduler.contract import Progress
from worker.child_failures import short_traceback
from worker.confinement import die_with_parent, limit_resources
from worker.heartbeat import Heartbeat
from zoo.errors import Unavailable, ZooscopeError
from zoo.settings import Settings

ENGINE = "worker.engine"
BEAT_SECONDS = 0.5
LOG_CHARACTERS = 2**16  # of one call: the supervisor reads no lines longer than a MiB
STARTUP_SECONDS = 180.0  # importing the engine counts as progress for this long


class Child:
    """Runs jobs with the module called `engine`, which has the names of `worker.engine`; reports on `answers`."""

    def __init__(self, engine: str, commands: TextIO, answers: TextIO) -> None:
        self._engine_name = engine
        self._commands = commands
        self._answers = answers
        self._answer_lock = threading.Lock()
        self._jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._heartbeat: Heartbeat | None = None
        self._imported = threading.Event()
        self._packages: OrderedDict[str, Any] = OrderedDict()

    def serve(self) -> None:
        """Read the settings, import the engine, run jobs until killed."""
        start = json.loads(self._commands.readline())
        self._settings, self._device = Settings(**start["settings"]), start["device"]
        limit_resources(self._settings.result_file_bytes, self._settings.worker_memory_bytes)
        threading.Thread(target=self._listen, daemon=True).start()
        self._import()
        on_gpu = getattr(self._engine, "gpu_formats", list)
        self._tell(event="ready", gpu_formats=on_gpu())
        while True:
            self._run(self._jobs.get())

    def _listen(self) -> None:
        for line in self._commands:
            command = json.loads(line)
            if "run" in command:
                self._heartbeat = Heartbeat(Path(command["run"]["heartbeat"]))
                self._jobs.put(command["run"])
            elif "cancel" in command:
                self._cancelled.add(command["cancel"])
        os._exit(0)

    def _import(self) -> None:
        beating = threading.Thread(target=self._beat_while_importing, daemon=True)
        beating.start()
        self._engine = importlib.import_module(self._engine_name)
        self._models = self._engine.ModelCache(self._settings, self._device)
        self._imported.set()
        beating.join()

    def _beat_while_importing(self) -> None:
        for _ in range(int(STARTUP_SECONDS / BEAT_SECONDS)):
            if self._imported.wait(BEAT_SECONDS):
                return
            self._beat()

    def _beat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.beat()

    def _run(self, request: dict[str, Any]) -> None:
        job = request["job"]
        self._beat()
        try:
            done = self._compute(request)
            outcome = {"event": "done", "files": done.files, "summary": done.summary, "timings": done.timings}
        except Exception as error:
            outcome = {} if job in self._cancelled else self._failure(job, error)
        if job in self._cancelled:
            outcome = {"event": "cancelled"}
        self._cancelled.clear()
        self._tell(job=job, **outcome)

    def _compute(self, request: dict[str, Any]) -> Any:
        job = request["job"]

        def report(progress: Progress) -> None:
            self._beat()
            self._tell(event="progress", job=job, **asdict(progress))

        def log(text: str) -> None:
            self._beat()
            self._tell(event="log", job=job, text=f"{text[:LOG_CHARACTERS]}\n")

        def written(name: str) -> None:
            self._beat()
            self._tell(event="file", job=job, name=name)

        def cancelled() -> bool:
            self._beat()
            return job in self._cancelled

        crop = self._engine.decode_crop(Path(request["input"]))
        if request["kind"] == "check":
            check = self._engine.CheckJob(Path(request["package"]), crop, request["settings"], request["source"])
            out = Path(request["out"])
            return self._engine.run_check(check, self._models, self._settings, out, report, log, cancelled, written)
        package = self._package(request["package_sha256"], Path(request["package"]))
        preview = self._engine.PreviewJob(
            package=package, crop=crop, settings=request["settings"], source=request["source"]
        )
        out = Path(request["out"])
        return self._engine.run_preview(preview, self._models, out, report, log, cancelled, written)

    def _package(self, sha256: str, file: Path) -> Any:
        """The parsed package, kept as long as its model may be warm: parsing takes longer than a small preview."""
        if sha256 not in self._packages:
            self._packages[sha256] = self._engine.read_package(file, self._settings)
        self._packages.move_to_end(sha256)
        while len(self._packages) > self._settings.worker_models:
            self._packages.popitem(last=False)
        return self._packages[sha256]

    def _failure(self, job: str, error: Exception) -> dict[str, Any]:
        if isinstance(error, ZooscopeError):
            return _error(error.code, error.message, error.hint, retry=isinstance(error, Unavailable))
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.ENOSPC:
            hint = "Try again later; the operator must free disk space for the worker."
            return _error("worker-disk-full", "The worker's disk is full: the result could not be written.", hint)
        if number == errno.EFBIG:
            message = "A file of the result is larger than this service allows."
            return _error("result-too-large", message, "Choose a smaller region.", retry=False)
        self._tell(event="log", job=job, text=f"{short_traceback(error)}\n")
        if isinstance(error, MemoryError):
            hint = "Choose a smaller region or a smaller tile size."
            return _error("out-of-memory", "The worker ran out of memory.", hint)
        message = f"The job stopped with an unexpected error ({type(error).__name__})."
        return _error("unexpected-error", message, "The log says where; run the job again or tell the operator.")

    def _tell(self, **answer: Any) -> None:
        line = json.dumps(_plain(answer))
        with self._answer_lock:
            self._answers.write(line + "\n")
            self._answers.flush()


def _error(code: str, message: str, hint: str, retry: bool = True) -> dict[str, Any]:
    return {"event": "error", "code": code, "message": message, "hint": hint, "retry": retry}


def _plain(value: Any) -> Any:
    """Numbers of NumPy as Python's own, those that JSON lacks (NaN, infinity) as null; for summaries and timings."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if callable(item := getattr(value, "item", None)):
        value = item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _private_pipes() -> tuple[TextIO, TextIO]:
    """Stdin and stdout for the protocol alone: whatever reads 0 finds nothing, whatever prints to 1 goes to stderr."""
    commands = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    return commands, answers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker.child", description="Computes previews for a worker.")
    parser.add_argument("--parent", type=int, required=True, help="process id of the supervisor")
    parser.add_argument("--engine", default=ENGINE, help="module with the names of worker.engine")
    options = parser.parse_args()
    die_with_parent(options.parent)
    commands, answers = _private_pipes()
    try:
        Child(options.engine, commands, answers).serve()
    except BaseException:
        traceback.print_exc()
        # An orderly end would wait for the thread that reads stdin.
        os._exit(1)


if __name__ == "__main__":
    main()
