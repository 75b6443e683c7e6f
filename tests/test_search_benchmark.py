"""The benchmark of searches runs in its quick form on either engine and prints its tables; no figure is judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


def table_of(*options: str) -> str:
    command = [sys.executable, "-m", "benchmarks.zoo_search", "--quick", *options]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=240, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stdout


def test_on_sqlite() -> None:
    table = table_of("--engine", "SQLite")
    assert "SQLite, 300 models and 100 records" in table
    assert "p95 of 48 searches" in table


def test_on_elasticsearch(elasticsearch_url: str) -> None:
    assert "import of 100 records" in table_of("--engine", "Elasticsearch", "--elasticsearch", elasticsearch_url)
