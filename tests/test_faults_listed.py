"""docs/faults.md: every fault has a test, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "faults.md").read_text().splitlines()
    if line.startswith("|") and not re.match(r"\|-|\| Fault \|", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_every_fault_names_tests_that_exist(row: list[str]) -> None:
    fault, happens, tests = row
    assert fault
    assert happens
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    assert named
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == tests
    for file, name in named:
        source = ROOT / "tests" / file
        assert source.is_file(), file
        assert re.search(rf"^def {name}\(", source.read_text(), re.MULTILINE), name
