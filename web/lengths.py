"""Lengths as people write them, such as "5 nm" or "0.65 µm", and back again."""

from __future__ import annotations

import math
import re

from zoo.errors import UserError
from zoo.image_pixel_size import LARGEST_UM, MICROMETRES, SMALLEST_UM

# A bare number is in micrometres, as everywhere in the API.
LENGTH = re.compile(r"\s*([0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)\s*([a-zµμå]*)\s*", re.IGNORECASE)
IN_WORDS = re.compile(r"(?<![\w.,])([0-9]+(?:[.,][0-9]+)?)\s?(nm|um|µm|μm|å)(?!\w)", re.IGNORECASE)


class BadLength(UserError):
    code = "bad-length"


def micrometres(text: str) -> float | None:
    """The length in micrometres, None for an empty text; raises BadLength."""
    if not text.strip():
        return None
    found = LENGTH.fullmatch(text) if len(text) <= 40 else None
    factor = MICROMETRES.get((found[2] or "µm").lower()) if found else None
    value = float(found[1].replace(",", ".")) * factor if found and factor else math.nan
    if not SMALLEST_UM <= value <= LARGEST_UM:
        raise BadLength(f"{text[:40]!r} is not the size of a pixel.", "Write a number with its unit, such as 5 nm.")
    return float(f"{value:.9g}")


def said(um: float) -> str:
    """A length in the unit people use for it, to three digits."""
    if um < 0.1:
        return f"{um * 1000:.3g} nm"
    return f"{um:.3g} µm" if um < 1000 else f"{um / 1000:.3g} mm"


def in_words(text: str) -> tuple[str, float | None]:
    """A text without the length it names, and that length in micrometres: ("mitochondria", 0.005)."""
    found = IN_WORDS.search(text)
    if found is None:
        return text, None
    rest = f"{text[: found.start()]} {text[found.end() :]}"
    value = float(found[1].replace(",", ".")) * MICROMETRES[found[2].lower()]
    return " ".join(rest.split()), value if SMALLEST_UM <= value <= LARGEST_UM else None
