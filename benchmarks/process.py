"""Running commands, at once or turn by turn, and measuring the most memory they had resident."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

# A small process in between: on Linux a process inherits the peak of the one that started it.
LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, used = os.wait4(process.pid, 0)
open(sys.argv[1], "w").write(str(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)))
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def run_measured(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, int]:
    """What the command prints, and its peak resident bytes; raises SystemExit with its last words when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        peak = Path(folder) / "peak"
        answer = subprocess.run(
            [sys.executable, "-c", LAUNCHER, str(peak), *command],
            capture_output=True,
            env=os.environ | environment,
            text=True,
            check=False,
        )
        if answer.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{answer.stderr[-2000:]}")
        return answer.stdout, int(peak.read_text())


class Measured:
    """A command that answers every line with a line, of which several stay ready to be measured in turn.

    It is ready once it has said its first line; raises SystemExit with its last words when it ends before it is asked
    to. `peak` is known after the context: the most bytes it had resident.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._peak, self._words = Path(self._folder.name) / "peak", Path(self._folder.name) / "stderr"
        self.command = " ".join(command)
        with self._words.open("w") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(self._peak), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=os.environ | environment,
                text=True,
            )

    def __enter__(self) -> Measured:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate()
            self.peak = int(self._peak.read_text()) if self._peak.exists() else 0
        finally:
            self._folder.cleanup()

    def answer(self) -> str:
        """The next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.command} failed:\n{self._words.read_text()[-2000:]}")
        return line

    def ask(self, line: str) -> str:
        """Say a line and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.answer()
