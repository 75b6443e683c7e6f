"""Numbers and words of a query string, checked."""

from __future__ import annotations

import re
from collections.abc import Collection

from flask import request

from web.json_body import BadField

LARGEST_PAGE = 10_000
LARGEST_PAGE_SIZE = 100
LONGEST_SEARCH = 1000


def integer(name: str, default: int, low: int, high: int) -> int:
    text = request.args.get(name)
    if text is None or text == "":
        return default
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if not low <= number <= high:
        raise BadField(f"{name} is {text[:40]!r}.", f"Give a whole number from {low} to {high}.")
    return number


def page_and_size(default_size: int = 20) -> tuple[int, int]:
    """The page (from 1) and its size; raises BadField."""
    return integer("page", 1, 1, LARGEST_PAGE), integer("size", default_size, 1, LARGEST_PAGE_SIZE)


def choice(name: str, choices: Collection[str], default: str) -> str:
    found = request.args.get(name, default)
    if found not in choices:
        raise BadField(f"{name} is {found[:40]!r}.", f"Choose one of {', '.join(choices)}.")
    return found


def search_text() -> str:
    text = request.args.get("q", "")
    if len(text) > LONGEST_SEARCH:
        raise BadField(f"The search has {len(text)} characters.", f"Use at most {LONGEST_SEARCH}.")
    return text


def only(allowed: Collection[str]) -> None:
    """Refuse a parameter nobody reads, so that a misspelt filter does not pass for none."""
    for name in request.args:
        if name not in allowed:
            raise BadField(f"There is no parameter {name[:80]!r} here.", f"Known: {', '.join(sorted(allowed))}.")
