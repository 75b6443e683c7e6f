"""A submission in words: what its author filled in, by the names that the form gives its fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from zoo.package_fields import FIELDS
from zoo.submissions import Body

STATE_NAMES = {
    "draft": "Draft",
    "submitted": "Under review",
    "returned": "Returned to you",
    "accepted": "Accepted, being published",
    "published": "Published",
}
# Shown by a place of its own, or what the form keeps for itself.
ELSEWHERE = ("card", "facts", "prefilled", "guessed", "test_image", "output_axes")
ROLE_NAMES = {"package": "Package", "weights": "Weights", "test_image": "Test image", "cover": "Cover"}


def shown_fields(fields: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The label and the lines of every field that says something, in the order of the form; the rest by its name."""
    shown = []
    known = {field.name: field for field in FIELDS}
    for name in [*known, *(name for name in fields if name not in known)]:
        value = fields.get(name)
        if name in ELSEWHERE or value in (None, "", [], {}):
            continue
        field = known.get(name)
        choices = dict(field.choices) if field else {}
        unit = f" {field.unit}" if field and field.unit else ""
        lines = [line for line in _lines(value) if line]
        if lines:
            shown.append((field.label if field else name, [choices.get(line, line) + unit for line in lines]))
    return shown


def shown_files(body: Body) -> list[dict[str, Any]]:
    """The files in their order, each with what it is called and its address."""
    base = f"/api/v1/submissions/{body['id']}/files"
    return [
        body["files"][role] | {"role": role, "label": label, "url": f"{base}/{role}"}
        for role, label in ROLE_NAMES.items()
        if role in body["files"]
    ]


def _lines(value: Any) -> list[str]:
    if isinstance(value, list):
        return [line for entry in value for line in _lines(entry)] if not _rows(value) else [_row(row) for row in value]
    if isinstance(value, Mapping):
        return [f"{name}: {_plain(entry)}" for name, entry in value.items() if entry not in (None, "", [], {})]
    return [_plain(value)]


def _rows(value: list[Any]) -> bool:
    return all(isinstance(row, Mapping) for row in value)


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(_plain(cell) for cell in row.values() if cell not in (None, "", [], {}))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
