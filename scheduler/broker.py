"""beanstalkd as a process of ours: for `zooscope up` and for the tests.

It writes every change to its binlog before it answers, so that a crash loses nothing, and listens on this machine only,
because it knows no passwords. It does not wait for the disk with every change: a power cut may take the last ones with
it, but the job documents, which were on the disk before, say what must be queued, and a claim believes nothing else.
"""

from __future__ import annotations

import selectors
import shutil
import socket
import subprocess
import time
from pathlib import Path

from scheduler.queue import MAXIMUM_BODY
from zoo.errors import Unavailable, UserError
from zoo.settings import Settings

HOST = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 5.0
RETRY_SECONDS = 0.01


class BrokerMissing(UserError):
    code = "beanstalkd-missing"


class BrokerFailed(Unavailable):
    code = "beanstalkd-failed"


def broker_command(settings: Settings, port: int, binlog: bool = True) -> list[str]:
    """The command line of beanstalkd on `port`; makes its binlog folder. Raises BrokerMissing."""
    program = shutil.which(settings.beanstalkd_binary)
    if program is None:
        raise BrokerMissing(
            f"beanstalkd is not installed: there is no program {settings.beanstalkd_binary!r}.",
            "Install it (apt-get install beanstalkd, or brew install beanstalkd), or set ZOOSCOPE_BEANSTALKD_BINARY.",
        )
    command = [program, "-l", HOST, "-p", str(port), "-z", str(MAXIMUM_BODY)]
    if binlog:
        folder = Path(settings.queue_folder).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        command += ["-b", str(folder), "-f", str(settings.beanstalkd_sync_ms)]
    return command


class Broker:
    """A running beanstalkd; `address` is what the setting `beanstalkd` takes."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.address = f"{HOST}:{port}"

    def stop(self) -> None:
        """Terminate it and wait until it is gone; harmless when it already is."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start_beanstalkd(settings: Settings, port: int, binlog: bool = True) -> Broker:
    """Start beanstalkd on 127.0.0.1:`port` and return once it answers.

    Raises BrokerMissing when it is not installed and BrokerFailed when it ends at once or does not listen in time.
    """
    process = subprocess.Popen(broker_command(settings, port, binlog), stdin=subprocess.DEVNULL)
    broker = Broker(process, port)
    try:
        _wait_until_listening(process, port)
    except BaseException:
        broker.kill()
        raise
    return broker


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BrokerFailed(
                f"beanstalkd ended with status {process.returncode} as soon as it was started.",
                "See its message above; another one may use the same port or queue folder, or the disk may be full.",
            )
        if _answers(port):
            return
    raise BrokerFailed(f"beanstalkd did not answer on port {port} within {START_SECONDS:g} s.", "Start it again.")


def _answers(port: int) -> bool:
    """Ask it something: it listens before it reads its binlog, and ends when that fails. If not, wait a moment."""
    with socket.socket() as probe, selectors.DefaultSelector() as waiting:
        probe.settimeout(START_SECONDS)
        try:
            probe.connect((HOST, port))
            probe.sendall(b"list-tube-used\r\n")
            if probe.recv(100).startswith(b"USING"):
                return True
        except OSError:
            pass
        waiting.select(RETRY_SECONDS)
        return False
