"""`zooscope up`: the whole service from one command, until Ctrl-C.

It holds the listening socket itself, so that browsers wait rather than fail while a crashed web server comes back.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scheduler.broker import broker_command
from web.children import Child
from zoo import log_lines
from zoo.doi_registry import check_registry
from zoo.errors import UserError
from zoo.secrets import worker_token
from zoo.settings import Settings, read_settings

log = logging.getLogger(__name__)

START_SECONDS = 60.0
STOP_WORKER_SECONDS = 5.0
STOP_WEB_SECONDS = 5.0
BACKLOG = 128
LARGEST_PORT = 65535


class CannotListen(UserError):
    code = "cannot-listen"


class AlreadyUp(UserError):
    code = "already-up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes any free one (default: 8080)")
    parser.add_argument("--data", type=Path, help="folder of everything that is kept (default: data)")
    parser.add_argument("--workers", type=int, help="how many workers (default: one per GPU, or one on the CPU)")
    parser.add_argument("--no-worker", action="store_true", help="start none: workers are elsewhere")
    parser.add_argument(
        "--replicas", type=int, default=1, help="web servers side by side on the one address (default: 1)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Start everything and stay until told to stop; returns the exit status. Raises UserError before starting."""
    given = {
        name: getattr(arguments, name) for name in ("host", "port", "data") if getattr(arguments, name) is not None
    }
    settings = read_settings().replace(**given)
    log_lines.begin("up", settings.log_format)
    # What would keep the web server from starting is told once, here, and not again and again by a child.
    check_registry(settings)
    if arguments.workers is not None and arguments.workers < 0:
        raise UserError("--workers is a negative number.", "Give 0 or more.")
    if arguments.replicas < 1:
        raise UserError("There must be a web server.", "Give --replicas 1 or more.")
    workers = 0 if arguments.no_worker else arguments.workers
    data = Path(settings.data).resolve()
    data.mkdir(parents=True, exist_ok=True)
    with lock_data(data) as lock, listen(settings.host, settings.port) as listener:
        host, port = settings.host, listener.getsockname()[1]
        url = f"http://{_reachable(host)}:{port}"
        lock.write(f"process {os.getpid()}, {url}")
        lock.flush()
        settings = settings.replace(data=data, port=port)
        return Up(settings, listener, url, devices(workers), arguments.replicas).run()


@contextlib.contextmanager
def lock_data(data: Path) -> Iterator[Any]:
    """Hold the data folder for this process alone; raises AlreadyUp when another one has it."""
    with (data / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise AlreadyUp(
                f"Zooscope already runs on the data folder {data} ({lock.read()}).",
                "Stop it, or give another folder with --data.",
            ) from None
        lock.truncate(0)
        yield lock
        lock.truncate(0)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises CannotListen with a sentence."""
    if not 0 <= port <= LARGEST_PORT:
        raise CannotListen(f"{port} is not a port.", f"Give a number from 0 to {LARGEST_PORT}.")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotListen(
            f"Zooscope cannot listen on {host} port {port}: {reason}.",
            "Stop what uses it, or choose another with --host and --port.",
        ) from None


def devices(workers: int | None) -> list[str]:
    """The device of each worker: GPUs in turn, or the CPU; None means one per GPU, or one on the CPU."""
    gpus = count_gpus()
    count = max(1, gpus) if workers is None else workers
    return [f"gpu:{number % gpus}" if gpus else "cpu" for number in range(count)]


def count_gpus() -> int:
    """How many GPUs the NVIDIA driver lists; TensorFlow itself is left to the workers."""
    if shutil.which("nvidia-smi") is None:
        return 0
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def _reachable(host: str) -> str:
    """The host to write in a link: a wildcard address is reached as this machine."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def say(sentence: str, form: str) -> None:
    """To whoever started it: on stdout, or as a line of the log where programs read that."""
    if form == "json":
        log.info(sentence)
    else:
        print(sentence, flush=True)


class Up:
    """The running service: the queue, the web servers and the workers."""

    def __init__(
        self, settings: Settings, listener: socket.socket, url: str, worker_devices: list[str], replicas: int = 1
    ) -> None:
        self.settings = settings
        self.listener = listener
        self.url = url
        self.devices = worker_devices
        self.replicas = replicas
        self.children: list[Child] = []
        self.stop_asked = self.reload_asked = False
        self.healthy = False
        self.started = time.monotonic()
        self.wake_read, self.wake_write = os.pipe()

    def run(self) -> int:
        os.set_blocking(self.wake_write, False)
        previous = signal.set_wakeup_fd(self.wake_write)
        handlers = {name: signal.signal(name, self._on_signal) for name in (signal.SIGINT, signal.SIGTERM)}
        handlers[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._on_reload)
        handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            return self._run()
        finally:
            self._stop()
            signal.set_wakeup_fd(previous)
            for name, handler in handlers.items():
                signal.signal(name, handler)
            os.close(self.wake_read)
            os.close(self.wake_write)

    def _on_signal(self, *_: Any) -> None:
        self.stop_asked = True

    def _on_reload(self, *_: Any) -> None:
        self.reload_asked = True

    def _reload(self) -> None:
        """Everything but the queue starts anew: web servers take over from the old ones, workers hand back first."""
        self.reload_asked = False
        for child in self.children:
            if child.replaces:
                child.replace()
            elif child.name.startswith("worker-"):
                child.ask_to_stop()

    def _run(self) -> int:
        self._start()
        threading.Thread(target=self._wait_until_healthy, daemon=True).start()
        announced = False
        while not self.stop_asked:
            now = time.monotonic()
            if self.reload_asked:
                self._reload()
            for child in self.children:
                if news := child.check(now):
                    say(news, self.settings.log_format)
            if self.healthy and not announced:
                say(f"Zooscope is at {self.url}  (Ctrl-C stops it)", self.settings.log_format)
                announced = True
            if not announced and now - self.started > START_SECONDS:
                sentence = f"The web server did not answer within {START_SECONDS:g} s; see its messages above."
                say(sentence, self.settings.log_format)
                return 1
            self._sleep(now, announced)
        return 0

    def _sleep(self, now: float, announced: bool) -> None:
        """Wait for a signal, a child's end, the first answer of the web server, or the next restart."""
        times = [child.due for child in self.children if child.due is not None]
        if not announced:
            times.append(self.started + START_SECONDS + 0.1)
        timeout = max(0.0, min(times) - now) if times else None
        if select.select([self.wake_read], [], [], timeout)[0]:
            os.read(self.wake_read, 4096)

    def _start(self) -> None:
        settings = self.settings
        if not settings.beanstalkd:
            port = free_port()
            settings = self.settings = settings.replace(beanstalkd=f"127.0.0.1:{port}")
            self.children.append(Child("queue", broker_command(settings, port), os.environ))
        environment = os.environ | settings.environment()
        descriptor = self.listener.fileno()
        command = [sys.executable, "-m", "web.serve", "--fd", str(descriptor)]
        for number in range(1, self.replicas + 1):
            name = "web server" if number == 1 else f"web server {number}"
            self.children.append(Child(name, command, environment, fds=[descriptor], replaces="--replaces"))
        # The token travels in the environment: a command line can be read by every user of the machine.
        environment = os.environ | {"ZOOSCOPE_WORKER_TOKEN": worker_token(settings)}
        for number, device in enumerate(self.devices, start=1):
            name = f"worker-{number}"
            options = ["--server", self.url, "--data", str(settings.data), "--name", name, "--device", device]
            self.children.append(Child(name, [sys.executable, "-m", "zooscope", "worker", *options], environment))
        for child in self.children:
            child.start()

    def _wait_until_healthy(self) -> None:
        """Ask /healthz until it answers; the connection waits in our own socket's queue while the server starts."""
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        while not self.stop_asked and time.monotonic() - self.started < START_SECONDS:
            connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=START_SECONDS)
            try:
                connection.request("GET", "/healthz")
                self.healthy = connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()
            if self.healthy:
                os.write(self.wake_write, b"\0")
                return

    def _stop(self) -> None:
        """Workers first, so that they hand their jobs back; the queue last."""
        workers = [child for child in self.children if child.name.startswith("worker-")]
        others = [child for child in reversed(self.children) if child not in workers]
        if self.children:
            say("Stopping.", self.settings.log_format)
        for child in workers:
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_WORKER_SECONDS
        for child in workers:
            child.stop(deadline - time.monotonic())
        for child in others:
            child.stop(STOP_WEB_SECONDS)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
