"""`zooscope up` in a process of its own, for the tests that need a whole service."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

STOP_SECONDS = 20.0


def run_service(data: Path, *options: str) -> Iterator[str]:
    """Start `zooscope up` on a free port, yield its address, and stop it as Ctrl-C does."""
    command = [sys.executable, "-m", "zooscope", "up", "--port", "0", "--data", str(data), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Zooscope is at "):
                break
        else:
            pytest.fail(f"zooscope up ended before it was ready: {''.join(said)}")
        # Nobody reads on, and a full pipe would stop it.
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        try:
            yield line.split()[3]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            finally:
                reader.join(STOP_SECONDS)
