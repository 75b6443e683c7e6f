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
    """One supervised process. Times are of the monotonic clock, in seconds.

    With `replaces`, an option of its command line, it can be replaced while it runs: the new process is told the old
    one's id, and asks it to end once it can take over.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        fds: Sequence[int] = (),
        replaces: str = "",
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.fds = tuple(fds)
        self.replaces = replaces
        self.process: subprocess.Popen[bytes] | None = None
        self.old: subprocess.Popen[bytes] | None = None
        self.replace_again = False
        self.started = 0.0
        self.delay = FIRST_DELAY_SECONDS
        self.due: float | None = None

    def start(self) -> None:
        command = self.command
        if self.old is not None and self.old.poll() is None:
            command = [*command, self.replaces, str(self.old.pid)]
        # Its own session: Ctrl-C in the terminal reaches `up` alone, which stops the children in their order.
        self.process = subprocess.Popen(
            command,
            env=self.environment,
            pass_fds=self.fds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self.started = time.monotonic()
        self.due = None

    def replace(self) -> None:
        """Start a new process beside the running one; while that is going on, once more afterwards."""
        if self.old is not None and self.old.poll() is None:
            self.replace_again = True
            return
        self.replace_again = False
        if self.process is None or self.process.poll() is not None:
            return
        self.old = self.process
        self.start()

    def check(self, now: float) -> str | None:
        """Plan a restart after a crash and restart when it is due; returns a sentence when there is news."""
        if self.old is not None and self.old.poll() is not None:
            self.old = None
            if self.replace_again:
                self.replace()
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

    @property
    def _processes(self) -> list[subprocess.Popen[bytes]]:
        return [process for process in (self.process, self.old) if process is not None]

    def ask_to_stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.terminate()

    def stop(self, seconds: float) -> None:
        """Terminate, wait, and kill what is left of its session after `seconds`."""
        self.due = None
        self.ask_to_stop()
        deadline = time.monotonic() + seconds
        for process in self._processes:
            try:
                process.wait(timeout=max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                self.kill()
                process.wait()

    def kill(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def _how(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
