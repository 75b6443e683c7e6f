"""File names of strangers, for showing only: no path, no control or direction characters, a bounded length."""

from __future__ import annotations

import unicodedata

LONGEST = 120


def display_name(name: str) -> str:
    """The last part of `name` without anything that could mislead a reader or a shell; "image" when nothing is left."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    visible = "".join(character for character in last if unicodedata.category(character)[0] != "C")
    plain = " ".join(visible.split()).strip(". ").lstrip("-")
    if len(plain) <= LONGEST:
        return plain or "image"
    stem, dot, suffix = plain.rpartition(".")
    if not dot or len(suffix) > 8:
        return plain[:LONGEST]
    return f"{stem[: LONGEST - len(suffix) - 1]}.{suffix}"
