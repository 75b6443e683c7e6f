"""Running a command and measuring the most memory it had resident."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

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
