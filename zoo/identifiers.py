"""Names: random ids nobody can guess, slugs of models, versions, and file names that are safe to keep and to send."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
import uuid
from pathlib import PurePosixPath

from zoo.errors import UserError

UUID = re.compile(r"[0-9a-f]{32}")
SHA256 = re.compile(r"[0-9a-f]{64}")
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")
VERSION = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.+_-]{0,38}[0-9A-Za-z])?")
MAXIMUM_FILE_NAME = 120
MAXIMUM_SUFFIX = 16
UNSAFE_CHARACTERS = frozenset('<>:"|?*')
# Windows opens devices under these names, whatever the suffix.
DEVICE_NAMES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})


class BadIdentifier(UserError):
    code = "bad-identifier"


def new_uuid() -> str:
    """A random (version 4) UUID as 32 lower-case hexadecimal digits: 122 bits that nobody can guess."""
    return uuid.uuid4().hex


def new_ordered_uuid() -> str:
    """As `new_uuid`, but later ones are greater (version 7, RFC 9562): milliseconds, and 74 bits nobody can guess.

    Documents that are kept under such ids, one after another, lie beside each other in every index.
    """
    drawn = secrets.randbits(74)
    milliseconds = time.time_ns() // 1_000_000
    return f"{milliseconds << 80 | 7 << 76 | drawn >> 62 << 64 | 2 << 62 | drawn & 2**62 - 1:032x}"


def is_uuid(text: str) -> bool:
    """Whether `text` has the form that `new_uuid` gives."""
    return UUID.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Whether `text` is a sha256 as 64 lower-case hexadecimal digits."""
    return SHA256.fullmatch(text) is not None


def is_slug(text: str) -> bool:
    """Whether `text` can be a model's id: at most 100 of a-z, 0-9, dot, underscore and hyphen, ends alphanumeric."""
    return SLUG.fullmatch(text) is not None and ".." not in text


def check_slug(text: str) -> str:
    """`text` itself; raises `BadIdentifier` when it cannot be a model's id."""
    if not is_slug(text):
        raise BadIdentifier(
            f"{text[:100]!r} cannot be a model's id.",
            "Use lower-case letters, digits, dots, underscores and hyphens; begin and end with a letter or digit.",
        )
    return text


def check_version(text: str) -> str:
    """`text` itself; raises `BadIdentifier` when it cannot be a model's version, such as 1.2.0."""
    if VERSION.fullmatch(text) is None or ".." in text:
        raise BadIdentifier(f"{text[:100]!r} cannot be a version.", "Write versions like 1.2.0.")
    return text


def safe_file_name(name: str, fallback: str = "file") -> str:
    """The last part of `name` without anything that could harm a folder, a header, a terminal or Windows.

    Letters of every script stay; control and direction characters go; at most 120 characters, the suffix kept.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(
        "_" if character in UNSAFE_CHARACTERS else character
        for character in last
        if unicodedata.category(character)[0] != "C" and unicodedata.category(character) not in ("Zl", "Zp")
    )
    kept = kept.strip().lstrip(".-~ ").rstrip(". ")
    if not kept:
        return fallback
    if kept.split(".", 1)[0].strip().lower() in DEVICE_NAMES:
        kept = f"_{kept}"
    suffix = PurePosixPath(kept).suffix
    if len(suffix) > MAXIMUM_SUFFIX:
        suffix = ""
    stem = kept[: len(kept) - len(suffix)]
    return stem[: MAXIMUM_FILE_NAME - len(suffix)].rstrip(". ") + suffix
