"""The report of a worker's check, read strictly: it was written by a process that ran a stranger's model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_BYTES = 2**18
MOST_STEPS, MOST_ENTRIES = 10, 40
LONGEST_TEXT, LONGEST_WORD = 600, 100
NUMBERS = ("load_s", "seconds_per_megapixel", "difference", "at")


def read_report(path: Path) -> dict[str, Any]:
    """What `worker.check_report` wrote, and nothing else: known names, each of its kind. Raises ValueError."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("the report is too long")
    try:
        given = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("the report is nested too deep") from error
    if not isinstance(given, dict) or not isinstance(given.get("passed"), bool):
        raise ValueError("the report has no verdict")
    steps = given.get("steps")
    if not isinstance(steps, list) or not 0 < len(steps) <= MOST_STEPS:
        raise ValueError("the report has no steps")
    report: dict[str, Any] = {"passed": given["passed"], "steps": [_step(step) for step in steps]}
    if given["passed"] != all(step["ok"] for step in report["steps"]):
        raise ValueError("the report's verdict is not that of its steps")
    report |= {name: _number(given.get(name)) for name in NUMBERS}
    report |= {name: _whole(given.get(name)) for name in ("objects", "peak_memory_bytes")}
    measured = given.get("measured")
    return report | {
        "device": _text(given.get("device"), LONGEST_WORD),
        "tensors_made": given.get("tensors_made") is True,
        "measured": [_numbers(one) for one in measured[:MOST_ENTRIES]] if isinstance(measured, list) else [],
        "classes": _numbers((given.get("found") or {}).get("classes") if isinstance(given.get("found"), dict) else {}),
        "software": {name: _text(one, LONGEST_WORD) for name, one in _entries(given.get("software"))},
        "ert": {name: _figures(one) for name, one in _entries(given.get("ert")) if name in ("cpu", "gpu")},
    }


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _step(step: Any) -> dict[str, Any]:
    if not isinstance(step, dict) or step.get("ok") not in (True, False, None):
        raise ValueError("a step of the report is none")
    return {
        "name": _text(step.get("name"), LONGEST_WORD),
        "ok": step.get("ok"),
        "sentence": _text(step.get("sentence"), LONGEST_TEXT),
        "hint": _text(step.get("hint"), LONGEST_TEXT),
        "seconds": _number(step.get("seconds")) or 0.0,
    }


def _figures(given: Any) -> dict[str, Any]:
    """Of one kind of device, as `config.zooscope.ert` has them."""
    entries = dict(_entries(given))
    figures = {name: number for name in ("load_s", "seconds_per_megapixel") if (number := _number(entries.get(name)))}
    return figures | {
        "measured_on": _text(entries.get("measured_on"), LONGEST_WORD),
        "n": _whole(entries.get("n")) or 0,
    }


def _entries(given: Any) -> list[tuple[str, Any]]:
    return (
        [(str(name)[:LONGEST_WORD], one) for name, one in list(given.items())[:MOST_ENTRIES]]
        if isinstance(given, Mapping)
        else []
    )


def _numbers(given: Any) -> dict[str, float]:
    return {name: number for name, one in _entries(given) if (number := _number(one)) is not None}


def _number(given: Any) -> float | None:
    good = isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < 1e15
    return given if good and math.isfinite(given) and given >= 0 else None


def _whole(given: Any) -> int | None:
    number = _number(given)
    return None if number is None else int(number)


def _text(given: Any, longest: int) -> str:
    """One line of what can be shown."""
    text = given if isinstance(given, str) else ""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:longest]
