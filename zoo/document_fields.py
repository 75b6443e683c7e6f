"""What a search sees of a document: its fields with their values, and the words of its text. The same for any engine.

A body is flattened as Elasticsearch does it: `{"a": [{"b": 1}, {"b": 2}]}` has the field `a.b` with the values 1 and 2.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from zoo.errors import ZooscopeError

MAXIMUM_BODY = 5 * 2**20
MAXIMUM_ID = 200
# Longer strings are text: they are found by their words, but are no value of a filter or a facet.
MAXIMUM_VALUE = 256
MAXIMUM_VALUES = 5000
MAXIMUM_TEXT = 200_000
MAXIMUM_DEPTH = 50
# Words this short are taken as they are typed; from the second length on two letters may be wrong.
SHORTEST_MISSPELT, LONG_WORD = 4, 8
TITLE_FIELDS = ("id", "name", "title")
WORD = re.compile(r"[^\W_]+")


class DocumentInvalid(ZooscopeError):
    """A body, id or collection that no engine can hold: a fault of the program, not of its user."""

    code = "document-invalid"


class Value(NamedTuple):
    """One value of a field: its spelling, and the number it is, or None."""

    path: str
    word: str
    number: float | None


def encode(id: str, body: Mapping[str, Any]) -> str:
    """The body as JSON text; raises `DocumentInvalid` for what JSON or an engine cannot hold."""
    if not id or len(id) > MAXIMUM_ID or not id.isprintable():
        raise DocumentInvalid(f"{id[:50]!r} cannot be the id of a document.")
    try:
        text = json.dumps(dict(body), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentInvalid(f"The document {id!r} cannot be stored: {error}.") from error
    if size > MAXIMUM_BODY:
        raise DocumentInvalid(f"The document {id!r} has {size} bytes; {MAXIMUM_BODY} are allowed.")
    return text


def spelling(value: str | int | float | bool) -> str:
    """How a value is written in a facet and compared in a filter: `true`, `3` (also for 3.0), `0.5`, or the text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def values(body: Mapping[str, Any]) -> set[Value]:
    """Every value of every field of a decoded body; raises `DocumentInvalid` when there are too many."""
    found: dict[tuple[str, str], Value] = {}
    for path, leaf in _leaves("", body, 0):
        if isinstance(leaf, str) and len(leaf) > MAXIMUM_VALUE:
            continue
        value = Value(path, spelling(leaf), None if isinstance(leaf, bool | str) else _number(leaf))
        # Of 3 and "3" in one list, which are spelled alike, the number is kept.
        if value.number is not None or (path, value.word) not in found:
            found[path, value.word] = value
        if len(found) > MAXIMUM_VALUES:
            raise DocumentInvalid(f"A document has more than {MAXIMUM_VALUES} values.")
    return set(found.values())


def value_at(body: Any, steps: Sequence[str]) -> Any:
    """What lies at a path of keys in a body; None when nothing does, DocumentInvalid when it leads into a list."""
    for step in steps:
        if type(body) is dict or isinstance(body, Mapping):
            body = body.get(step)
        elif isinstance(body, list | tuple):
            raise DocumentInvalid(f"The declared field {'.'.join(steps)} lies within a list.")
        else:
            return None
    return body


def text_of(id: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """The words of a document for its index: those that name it, and all of them."""
    titles = [id, *(str(body.get(name, "")) for name in TITLE_FIELDS)]
    strings = [id]
    strings.extend(leaf for _, leaf in _leaves("", body, 0) if isinstance(leaf, str))
    return " ".join(words_of_text(" ".join(titles))), " ".join(words_of_text(" ".join(strings)[:MAXIMUM_TEXT]))


def words_of_text(text: str) -> list[str]:
    """Words without accents and case: `"Zellkérne (2D)"` gives `zellkerne` and `2d`."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return WORD.findall(plain.casefold())


def differences_allowed(word: str) -> int:
    """By how many letters a word that occurs nowhere may differ from those it is taken for."""
    return 2 if len(word) >= LONG_WORD else 1 if len(word) >= SHORTEST_MISSPELT else 0


def misspellings(word: str, known: Sequence[str], most: int) -> list[str]:
    """Of the `known` words those that `word` may be a misspelling of, the nearest first, at most so many."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    allowed = differences_allowed(word)
    if not allowed:
        return []
    alike = [other for other in known if other[:1] == word[:1] and abs(len(other) - len(word)) <= allowed]
    found = extract(word, alike, scorer=OSA.distance, processor=None, score_cutoff=allowed, limit=most)
    return [other for other, _, _ in sorted(found, key=lambda each: (each[1], each[0]))]


def _leaves(path: str, node: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > MAXIMUM_DEPTH:
        raise DocumentInvalid(f"A document is nested deeper than {MAXIMUM_DEPTH} levels.")
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), child, depth + 1)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _leaves(path, child, depth + 1)
    elif node is not None:
        yield path, node


def _number(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
