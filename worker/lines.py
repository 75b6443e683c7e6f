"""Lines from a pipe without blocking, and a process spoken to in JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

READ_BYTES = 2**16
LINE_BYTES = 2**20  # a longer line is cut: whoever writes it is not speaking the protocol


class LineReader:
    """Complete lines of the pipe `fd`, which is made non-blocking.

    `closed` is true after the pipe's end, `released` once `fd` is no longer this pipe's.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._rest = b""
        self.closed = False
        self.released = False

    def fileno(self) -> int:
        return self._fd

    def read(self) -> list[str]:
        """What has arrived, as lines without their ends; an unfinished last line is given at the pipe's end."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            self.closed = True
            last, self._rest = self._rest, b""
            return [_text(last)] if last else []
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        return [_text(line) for line in lines]

    def wait(self, seconds: float | None = None) -> list[str]:
        """Like `read`, after waiting for something to arrive."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            return self.read() if selector.select(seconds) else []


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


class LineProcess:
    """A Python module run as a process of its own group, with pipes for stdin, stdout and stderr."""

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str], cwd: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )
        self._pipes = [pipe for pipe in (self._process.stdin, self._process.stdout, self._process.stderr) if pipe]
        self._stdin, stdout, stderr = self._pipes
        self.answers = LineReader(stdout.fileno())
        self.prints = LineReader(stderr.fileno())
        self.pid = self._process.pid
        self.created = psutil.Process(self.pid).create_time()

    def tell(self, **command: Any) -> None:
        """Send one line. A process that is gone is found out by reading from it, not here."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(json.dumps(command).encode() + b"\n")

    def hang_up(self) -> None:
        """Close its stdin: it is asked to end."""
        self._stdin.close()

    def kill(self) -> None:
        """End the whole group at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> int:
        """Kill what is left, reap it, close the pipes; the exit code, negative for a signal."""
        if self._process.poll() is None:
            self.kill()
        code = self._process.wait()
        for pipe in self._pipes:
            pipe.close()
        self.answers.released = self.prints.released = True
        return code


def ending(code: int) -> str:
    """How a process ended, from its exit code, to follow "The model's process"."""
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL); the machine may have run out of memory"
    if code < 0:
        return f"crashed ({signal.Signals(-code).name})"
    return f"ended unexpectedly (exit status {code})"
