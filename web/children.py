"""The processes under `zooscope up`: started in their own session, restarted when they crash, stopped in order."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0
# A child that lived this long has recovered: its next crash counts as its first.
RECOVERED_SECONDS = 60.0
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to terminate this process when its parent dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One supervised process. Times are of the monotonic clock, in seconds."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.fds = tuple(fds)
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.delay = FIRST_DELAY_SECONDS
        self.due: float | None = None

    def start(self) -> None:
        # Its own session: Ctrl-C in the terminal reaches `up` alone, which stops the children in their order.
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            pass_fds=self.fds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self.started = time.monotonic()
        self.due = None

    def check(self, now: float) -> str | None:
        """Plan a restart after a crash and restart when it is due; returns a sentence when there is news."""
        if self.due is not None:
            if now >= self.due:
                self.start()
            return None
        if self.process is None or self.process.poll() is None:
            return None
        if now - self.started > RECOVERED_SECONDS:
            self.delay = FIRST_DELAY_SECONDS
        delay, self.delay = self.delay, min(self.delay * 2, LONGEST_DELAY_SECONDS)
        self.due = now + delay
        return f"The {self.name} stopped ({_how(self.process.returncode)}); it starts again in {delay:g} s."

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self, seconds: float) -> None:
        """Terminate, wait, and kill what is left of its session after `seconds`."""
        self.due = None
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(timeout=max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


def _how(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
