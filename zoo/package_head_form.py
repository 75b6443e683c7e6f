"""The heads as an author chooses them in the form, and the head of a package made from what was typed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.package_archive import PackageInvalid
from zoo.package_fields import number, text, texts, whole
from zoo.package_heads import BOX_COLUMNS, check_head

MAP, NUMBER, WHOLE, WORDS = "map", "number", "whole", "list"
# Networks with at least so many maps, none of them coarse, are taken for StarDist's: a probability and its rays.
STAR_MAPS = 9
COARSE = 4


@dataclass(frozen=True)
class Part:
    """One field of a head: the index of a map, a number, or the words of a list. `default` None: may be left out."""

    name: str
    label: str
    kind: str
    default: float | None = None
    help: str = ""


@dataclass(frozen=True)
class HeadForm:
    kind: str
    label: str
    help: str
    task: str
    parts: tuple[Part, ...]


THRESHOLD = Part("threshold", "Threshold", NUMBER, 0.5, "From 0 to 1: above it, something is taken to be there.")
SMALLEST = Part("minimum_area_px", "Smallest object, px", NUMBER, 0, "Objects of fewer pixels are dropped.")
OVERLAP = Part("overlap", "Overlap", NUMBER, 0.5, "Of two objects that share more of their union, the surer one stays.")
CLASSES = Part("classes", "Classes", WORDS, None, "In the order of the maps, such as red cell, platelet.")

HEAD_FORMS = (
    HeadForm("probability-mask", "A map of where it is", "Above the threshold is the mask; its parts are the objects.",
             "segment", (Part("channel", "Map", MAP, 0), THRESHOLD, SMALLEST,
                         Part("classes", "Classes, if there are several", WORDS, None, "One for each map, in order."))),
    HeadForm("watershed-instances", "Foreground and distance",
             "Objects that touch are split where the distance map has notches.", "instances",
             (Part("foreground", "Foreground", MAP, 0), Part("distance", "Distance", MAP, 1), THRESHOLD,
              Part("seed_height", "Notch that splits", NUMBER, 0.1), SMALLEST)),
    HeadForm("boundary-cells", "Boundaries of cells", "Cells are what a map of their borders encloses.", "instances",
             (Part("channel", "Borders", MAP, 0), THRESHOLD, SMALLEST)),
    HeadForm("star-convex", "Star-convex objects (StarDist)", "Map 0 is the probability, the others are the rays.",
             "instances", (THRESHOLD, OVERLAP)),
    HeadForm("grid-detector", "Boxes on a grid",
             "A score for each class, then two maps of the centre's offset and two of the size.", "detect",
             (CLASSES, THRESHOLD, OVERLAP)),
    HeadForm("boxes", "A list of boxes", f"Its columns, named as maps: {', '.join(BOX_COLUMNS)} and class.", "detect",
             (CLASSES, THRESHOLD, OVERLAP)),
    HeadForm("spots", "Spots", "Points that stand out of a map.", "count", (Part("channel", "Map", MAP, 0),)),
)  # fmt: skip
PLURALS = (("chondrion", "chondria"), ("leus", "lei"), ("olus", "oli"), ("um", "a"), ("x", "xes"), ("s", "ses"))
BY_KIND = {form.kind: form for form in HEAD_FORMS}


def likely_head(maps: int | None, cell: int | None, output_axes: str) -> dict[str, Any]:
    """What a network with such maps most probably needs; the author is asked."""
    if output_axes and "y" not in output_axes:
        kind = "boxes"
    elif (cell or 1) >= COARSE and (maps or 0) > 4:
        kind = "grid-detector"
    elif (maps or 1) >= STAR_MAPS:
        kind = "star-convex"
    else:
        kind = "probability-mask"
    return {"kind": kind}


def head_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The head that was typed, as a package holds it; raises `PackageInvalid` naming the first wrong field.

    A head that the form does not have, such as one that a package came with, is kept as it is.
    """
    typed = fields.get("head")
    channels = texts(fields, "output_channels")
    if not isinstance(typed, Mapping) or typed.get("kind") not in BY_KIND:
        return check_head({"head": typed} if typed else {}, channels)
    form = BY_KIND[typed["kind"]]
    head: dict[str, Any] = {key: value for key, value in typed.items() if value not in ("", None, [])}
    for part in form.parts:
        if part.kind in (MAP, WHOLE, NUMBER) and part.name in head:
            head[part.name] = _number(typed, part)
    words = texts(typed, "classes")
    if words:
        head["classes"] = [{"object": word, "objects": plural(word)} for word in words]
    _maps_in_order(head, channels, whole(fields, "output_stride") or 1)
    object_ = text(typed, "object") or next(iter(texts(fields, "structure")), "")
    if object_ and "classes" not in head:
        head |= {"object": object_, "objects": text(typed, "objects") or plural(object_)}
    return check_head({"head": head}, channels)


def _number(typed: Mapping[str, Any], part: Part) -> float | int:
    found = number(typed, part.name)
    if found is None:
        raise PackageInvalid(f"{part.label} is {str(typed[part.name])[:40]!r}.", "Write a number.")
    return int(found) if found == int(found) else found


def _maps_in_order(head: dict[str, Any], channels: list[str], cell: int) -> None:
    """The maps of heads that take many of them, where they are not told, are taken in order."""
    count, kind = len(head.get("classes", ())), head["kind"]
    if kind == "grid-detector":
        head.setdefault("stride", cell)
        head.setdefault("scores", list(range(count)))
        head.setdefault("offset", [count, count + 1])
        head.setdefault("size", [count + 2, count + 3])
    elif kind == "star-convex":
        head.setdefault("probability", 0)
        head.setdefault("rays", list(range(1, len(channels))))
        head.setdefault("stride", cell)
    elif kind == "boxes":
        head.setdefault("columns", channels)
    elif kind == "probability-mask":
        for index, each in enumerate(head.get("classes", ())):
            each.setdefault("channel", index)


def plural(word: str) -> str:
    """Of a thing that is counted, as English mostly has it; what the author types goes before."""
    for end, more in PLURALS:
        if word.endswith(end):
            return word[: -len(end)] + more
    return word[:-1] + "ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else word + "s"
