"""The benchmarks of the queue run, each in its quick form, and print their tables; no figure is judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.queue_gradio import PYTHON

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


def table_of(module: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", module, "--quick"], capture_output=True, text=True, cwd=ROOT, timeout=240, check=False
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stdout


def test_throughput_of_submissions() -> None:
    table = table_of("benchmarks.queue_throughput")
    for row in ("POST /scheduler/v1/jobs", "POST /api/v1/jobs", "the HTTP server alone", "beanstalkd, log synced"):
        assert row in table


def test_overhead_of_the_queue() -> None:
    table = table_of("benchmarks.queue_overhead")
    assert "submission sent to picked up" in table
    assert "asked for to result accepted" in table


def test_beside_gradio() -> None:
    if not PYTHON.exists():
        pytest.skip("Gradio is not installed: install/packages.sh gradio")
    table = table_of("benchmarks.queue_gradio")
    assert table.count("10 of 10") >= 1
    assert "Gradio: one caller" in table
