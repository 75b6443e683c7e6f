"""The processes of a whole system and the ways to hurt them: beanstalkd, replicas of the web server, workers."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from scheduler.broker import Broker, start_beanstalkd
from zoo.secrets import worker_token
from zoo.settings import Settings

TESTS = Path(__file__).resolve().parent.parent
PATH = os.pathsep.join([str(TESTS.parent), str(TESTS / "scheduler"), os.environ.get("PYTHONPATH", "")])
LONGEST_FREEZE = 6.0  # longer than a lease of the storm
END_SECONDS = 30.0


class Part:
    """A process in a session of its own. What was hurt is whole again after `start`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.frozen: list[psutil.Process] = []
        self.thawing: threading.Timer | None = None

    def start(self) -> None:
        raise NotImplementedError

    def family(self) -> list[psutil.Process]:
        """The process and its children."""
        assert self.process is not None
        try:
            whole = psutil.Process(self.process.pid)
            return [*whole.children(recursive=True), whole]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """All of it at once, as when the machine fails."""
        family = self.family()
        for send in ("suspend", "kill"):  # stopped first, so that none of them sees another one die
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(process, send)()
        self.wait()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.wait()

    def wait(self) -> None:
        assert self.process is not None
        self.process.wait(END_SECONDS)

    def freeze(self, seconds: float) -> None:
        """For so long, whatever else is waited for meanwhile."""
        self.frozen = self.family()
        for process in self.frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        self.thawing = threading.Timer(seconds, self._resume, [self.frozen])
        self.thawing.start()

    def thaw(self) -> None:
        if self.thawing is not None:
            self.thawing.cancel()
            self.thawing.join()
            self.thawing = None
        self._resume(self.frozen)
        self.frozen = []

    @staticmethod
    def _resume(frozen: list[psutil.Process]) -> None:
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


class BrokerPart(Part):
    def __init__(self, settings: Settings) -> None:
        super().__init__("beanstalkd")
        self.settings = settings

    def start(self) -> None:
        broker: Broker = start_beanstalkd(self.settings, int(self.settings.beanstalkd.rpartition(":")[2]))
        self.process = broker.process


class Replica(Part):
    """The real web server. All replicas accept from one socket, which outlives them, as under `zooscope up`."""

    def __init__(self, number: int, settings: Settings, listener: socket.socket) -> None:
        super().__init__(f"replica {number}")
        self.settings, self.listener = settings, listener

    def start(self) -> None:
        descriptor = self.listener.fileno()
        with (Path(self.settings.data) / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "web.serve", "--fd", str(descriptor)],
                pass_fds=[descriptor],
                env=os.environ | self.settings.environment() | {"PYTHONPATH": PATH},
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def reload(self) -> None:
        """A new process serves, the old one ends what it has begun."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)


class WorkerPart(Part):
    """A worker with an engine that does nothing: supervisor, child and watchdog."""

    def __init__(self, name: str, settings: Settings, server: str, engine: str = "storm_engine") -> None:
        super().__init__(name)
        self.settings, self.server, self.engine = settings, server, engine
        self.folder = Path(settings.workers_folder) / name

    def start(self) -> None:
        given = {name: value for name, value in vars(self.settings).items() if isinstance(value, int | float | str)}
        text = json.dumps(given | {"data": str(self.settings.data)})
        script = str(TESTS / "worker" / "run_worker.py")
        with (Path(self.settings.data) / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, script, text, self.name, self.server, worker_token(self.settings), self.engine],
                env=os.environ | {"PYTHONPATH": PATH},
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def kill_supervisor(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.wait()

    def kill_helper(self, module: str) -> None:
        """The child or the watchdog; the supervisor hires another one."""
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if module in process.cmdline():
                    process.kill()


class Storm:
    """Hurts a random part in a random way, again and again; what ended is started again at once."""

    def __init__(self, broker: Part, replicas: list[Replica], workers: list[WorkerPart], seed: int) -> None:
        self.broker, self.replicas, self.workers = broker, replicas, workers
        self.random = random.Random(seed)
        self.blows: Counter[str] = Counter()

    @property
    def parts(self) -> list[Part]:
        return [self.broker, *self.replicas, *self.workers]

    def blow(self) -> None:
        """One blow, and what earlier blows left down is up again."""
        self.mend()
        worker, replica = self.random.choice(self.workers), self.random.choice(self.replicas)
        seconds = self.random.uniform(0.2, LONGEST_FREEZE)
        ways: list[tuple[int, str, Part, Callable[[], Any]]] = [
            (14, "supervisor killed", worker, worker.kill_supervisor),
            (14, "child killed", worker, lambda: worker.kill_helper("worker.child")),
            (14, "watchdog killed", worker, lambda: worker.kill_helper("worker.watchdog")),
            (10, "worker's machine lost", worker, worker.kill),
            (8, "worker frozen", worker, lambda: worker.freeze(seconds)),
            (8, "worker told to end", worker, worker.terminate),
            (10, "replica killed", replica, replica.kill),
            (6, "replica told to end", replica, replica.terminate),
            (6, "replica reloaded", replica, replica.reload),
            (4, "replica frozen", replica, lambda: replica.freeze(seconds / 2)),
            (6, "beanstalkd killed", self.broker, self.broker.kill),
            (4, "beanstalkd frozen", self.broker, lambda: self.broker.freeze(seconds / 2)),
        ]
        _, name, part, strike = self.random.choices(ways, [way[0] for way in ways])[0]
        if part.frozen:
            part.thaw()
        strike()
        self.blows[name] += 1
        self.mend()

    def mend(self) -> None:
        for part in self.parts:
            if part.process is not None and part.process.poll() is not None:
                part.start()

    def end(self) -> None:
        """Everything runs again."""
        for part in self.parts:
            part.thaw()
        self.mend()
