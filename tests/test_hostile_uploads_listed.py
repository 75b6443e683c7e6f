"""docs/hostile-uploads.md: every item of the list has its tests, which exist, and its sentences, which are said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "hostile-uploads.md").read_text().splitlines()
    if re.match(r"\| \d", line)
]
# Sentences in the sources, without the quotes and line ends between their pieces.
SAID = re.sub(
    r'"\s*\n\s*f?"',
    "",
    "\n".join(path.read_text() for room in ("zoo", "worker") for path in (ROOT / room).glob("*.py")),
)


def test_every_item_from_34_to_48_has_a_row() -> None:
    assert sorted({int(row[0]) for row in ROWS}) == list(range(34, 49))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1][:50]}")
def test_every_row_names_tests_that_exist_and_sentences_that_are_said(row: list[str]) -> None:
    item, upload, told, tests = row
    assert upload
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    assert named
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == tests
    for file, name in named:
        source = ROOT / "tests" / file
        assert source.is_file(), file
        assert re.search(rf"^def {name}\(", source.read_text(), re.MULTILINE), name
        assert not re.match(r"test_\d\d_", name) or name.startswith(f"test_{item}_")
    sentences = re.findall(r'"([^"]+)"', told)
    assert sentences or told.startswith("nothing: ")
    for piece in (piece.strip() for sentence in sentences for piece in sentence.split("…")):
        assert piece in SAID, piece
