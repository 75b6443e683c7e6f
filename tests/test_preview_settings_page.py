"""docs/preview-settings.md: its tables are the definition, row for row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo.passes import AUGSPEEDS, FLIPS
from zoo.preview_settings import INPUT_SETTINGS, PREVIEW_SETTINGS, PreviewSetting

PAGE = Path(__file__).parent.parent / "docs" / "preview-settings.md"


def row(setting: PreviewSetting) -> str:
    """| Label | `name` | what may be given, its unit | default | help |"""
    given = ", ".join(f"`{choice}`" for choice in setting.choices) if setting.choices else setting.allowed
    given += f" {setting.unit}" if setting.unit and setting.kind != "region" else ""
    given += ", a class of the model" if setting.name == "class" else ""
    default = "–" if setting in INPUT_SETTINGS else "automatic"
    default = default if setting.default is None else setting.default
    return f"| {setting.label} | `{setting.name}` | {given} | {default} | {setting.help} |"


@pytest.mark.parametrize("setting", INPUT_SETTINGS + PREVIEW_SETTINGS, ids=lambda setting: setting.name)
def test_the_row_of_a_setting_is_its_definition(setting: PreviewSetting) -> None:
    assert row(setting) in PAGE.read_text().splitlines()


def test_there_is_no_row_of_another_setting() -> None:
    named = re.findall(r"^\| [^|`]+ \| `(\w+)` \| ", PAGE.read_text(), re.MULTILINE)
    assert named == [setting.name for setting in INPUT_SETTINGS + PREVIEW_SETTINGS]


def test_the_sets_of_variations_are_those_computed() -> None:
    text = PAGE.read_text()
    for speed, sets in AUGSPEEDS.items():
        cells = [_numbers(sets[frames]) for frames in (1, 3, 5)]
        total = sum(len(numbers) for numbers in sets.values())
        assert f"| `cdeep3m2-{speed}` | {cells[0]} | {cells[1]} | {cells[2]} | {total} |" in text
    assert f"| `8-flips` | {_numbers(FLIPS)} | {_numbers(FLIPS)} | {_numbers(FLIPS)} | 24 |" in text


def _numbers(numbers: tuple[int, ...]) -> str:
    """ "1–8" for a run of more than four, else every number."""
    run = numbers == tuple(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 4
    return f"{numbers[0]}–{numbers[-1]}" if run else ", ".join(map(str, numbers))
