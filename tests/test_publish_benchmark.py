"""The benchmark of publishing runs in its quick form and prints its table; no figure is judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_publishing() -> None:
    command = [sys.executable, "-m", "benchmarks.zoo_publish", "--quick", "--engine", "SQLite"]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=240, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    for row in ("accepted to found, slowest", "6 MB sent and looked through", "8 fetched it at once, verified"):
        assert row in answer.stdout
