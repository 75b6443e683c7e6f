"""README and docs/: links lead somewhere, commands exist, and no page grows into a manual."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import zooscope

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LONGEST_PAGE_LINES = 150

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pages
def test_links_and_pictures_are_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@pages
def test_make_targets_and_commands_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    commands = {command.name for command in zooscope.COMMANDS} | {"version"}
    assert set(re.findall(r"(?:`|/)zooscope ([a-z]+)", text)) <= commands


@pages
def test_a_page_is_short_and_begins_with_its_title(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= LONGEST_PAGE_LINES


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert [command.name for command in zooscope.COMMANDS if f"zooscope {command.name}" not in text] == []


def test_every_page_is_reached_from_the_first() -> None:
    linked = set(re.findall(r"\(([a-z-]+\.md)\)", (ROOT / "docs" / "index.md").read_text()))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} == linked
