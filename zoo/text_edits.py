"""The texts of a published version that its owner may change: they make no new version, and keep its DOI.

What the package does, its files, licence and authors are not among them: whoever fetched it relied on those.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from zoo import terms
from zoo.errors import UserError
from zoo.packages import MAXIMUM_CARD
from zoo.version_records import EDITED_TEXTS

LONGEST = {"name": 128, "description": 1024, "card": MAXIMUM_CARD}
NEEDED = ("name", "description")
MOST_TAGS, LONGEST_TAG = 40, 60
ABOUT_LISTS = (
    "structure", "structure_ids", "organism", "organism_ids", "cell_type", "cell_type_ids", "modality", "modality_ids",
    "staining",
)  # fmt: skip
ABOUT_CHOICES = {"task": ("segment", "instances", "detect", "count"), "dimensionality": ("2d", "2.5d", "3d")}
MOST_TERMS, LONGEST_TERM = 20, 120
FIELDS = (*EDITED_TEXTS, "about")


class BadEdit(UserError):
    code = "bad-edit"


def check_edits(edits: Mapping[str, Any]) -> dict[str, Any]:
    """The edits, with the spaces around them taken off; raises `BadEdit`.

    In `about`, null or [] removes a word; a word that `zoo.terms` knows is called by its name there, with its id.
    """
    checked: dict[str, Any] = {}
    for name, value in edits.items():
        if name in LONGEST:
            checked[name] = _text(name, value, LONGEST[name])
        elif name == "tags":
            checked[name] = _words("tags", value, MOST_TAGS, LONGEST_TAG)
        elif name == "about":
            checked[name] = _about(value)
        else:
            raise BadEdit(f"{name[:40]!r} cannot be changed.", f"Change {', '.join(FIELDS)}, or publish a new version.")
    return checked


def _about(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadEdit("'about' is not an object.", "Send {organism: [...], ...}.")
    checked: dict[str, Any] = {}
    for name, words in value.items():
        if name in ABOUT_CHOICES:
            if words not in (None, *ABOUT_CHOICES[name]):
                raise BadEdit(f"There is no {name} {str(words)[:40]!r}.", f"Choose {', '.join(ABOUT_CHOICES[name])}.")
            checked[name] = words
        elif name in ABOUT_LISTS:
            checked[name] = [] if words is None else _words(name, words, MOST_TERMS, LONGEST_TERM)
            if name in terms.FIELDS and f"{name}_ids" not in value:
                # Those of the words before; `package_metadata.tidied` finds those of the new ones.
                checked[f"{name}_ids"] = []
        else:
            raise BadEdit(f"{name[:40]!r} of 'about' cannot be changed.", "The package tells it: publish a new one.")
    return checked


def _words(name: str, value: Any, most: int, longest: int) -> list[str]:
    if not isinstance(value, list) or len(value) > most:
        raise BadEdit(f"{name!r} is not a list, or too long.", f"Send at most {most} words.")
    words = [_text(name, word, longest) for word in value]
    return list(dict.fromkeys(word for word in words if word))


def _text(name: str, value: Any, longest: int) -> str:
    if not isinstance(value, str):
        raise BadEdit(f"{name!r} is not a text.", "Send plain text.")
    text = value.strip()
    if name in NEEDED and not text:
        raise BadEdit(f"{name!r} is empty.", "A model needs it.")
    if len(text.encode("utf-8", "replace")) > longest if name == "card" else len(text) > longest:
        raise BadEdit(f"{name!r} has {len(text):,} characters.", f"Use at most {longest:,}.")
    if any(unicodedata.category(character) == "Cc" and character not in "\n\r\t" for character in text):
        raise BadEdit(f"{name!r} holds control characters.", "Write plain text.")
    return text
