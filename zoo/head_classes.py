"""The classes of what a head finds, with their words and colours, and the shape its objects have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHAPES = {"boundary-cells": "cells", "grid-detector": "boxes", "boxes": "boxes", "spots": "points"}
ONE_COLOUR = "#0072b2"
# Okabe and Ito's (2008), for classes whose model names no colour; those that differ most first.
COLOURS = ("#56b4e9", "#d55e00", "#009e73", "#f0e442", "#cc79a7", "#e69f00", "#0072b2")
CELL, CELLS = "cell", "cells"


@dataclass(frozen=True)
class HeadClass:
    """`name` is the word for one object and stands in the tables, `objects` that for many; `colour` is #rrggbb."""

    name: str
    objects: str
    colour: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        red, green, blue = bytes.fromhex(self.colour.removeprefix("#"))
        return red, green, blue


def shape_of(head: Mapping[str, Any]) -> str:
    """How the objects are to be drawn: regions, cells (regions that leave only membranes), boxes or points."""
    return SHAPES.get(str(head["kind"]), "regions")


def classes_of(head: Mapping[str, Any], colour: str | None = None) -> tuple[HeadClass, ...]:
    """The classes in the order of the numbers that objects bear; `colour` is the model's, for a head of one class.

    Spots are class 0, and the cells they are counted in class 1.
    """
    named = head.get("classes") or [dict(head) | {"colour": colour or ONE_COLOUR}]
    if head["kind"] == "spots":
        cell = head.get("cell_object", CELL)
        named = [*named, {"object": cell, "objects": head.get("cell_objects", CELLS if cell == CELL else f"{cell}s")}]
    return tuple(
        HeadClass(
            name := str(each.get("object", "object")),
            str(each.get("objects") or f"{name}s"),
            str(each.get("colour") or COLOURS[index % len(COLOURS)]),
        )
        for index, each in enumerate(named)
    )
