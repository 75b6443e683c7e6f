"""The heads a package may name in `config.zooscope.head`, and the fields each must have.

A head tells what turns the network's maps into objects. A field that is left out has the default of the worker's room
`heads`; one that is there must be one that can be computed with, so that no package fails in its first preview.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.deep_watershed import DeepWatershedWrong, deep_watershed_of
from zoo.package_archive import PackageInvalid
from zoo.passes import VARIATIONS

Head = dict[str, Any]
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
BOX_COLUMNS = ("x_min", "y_min", "x_max", "y_max", "score")
SPOT_METHODS = ("log", "dog")
LEAST_RAYS = 3


def check_head(config: Mapping[str, Any], output_channels: Sequence[str]) -> Head:
    """The head that `config.zooscope` names, by default a mask of the first map.

    `output_channels` are the names of the network's maps, or of the columns of its list of boxes. Raises
    `PackageInvalid` naming the first wrong field.
    """
    given = config.get("head") or {"kind": "probability-mask", "channel": 0}
    if not isinstance(given, Mapping) or given.get("kind") not in CHECKS:
        kind = given.get("kind") if isinstance(given, Mapping) else given
        raise PackageInvalid(f"The head {kind!r} is not known.", f"Known heads: {', '.join(HEADS)}.")
    head = dict(given)
    for field in ("threshold", "overlap", "seed_height", "minimum_score"):
        _number(head, field, 0, 1)
    for field in ("smoothing", "minimum_area_px"):
        _number(head, field, 0)
    if head.get("variations", VARIATIONS[0]) not in VARIATIONS:
        raise PackageInvalid("The head's variations are not known.", f"Known: {', '.join(VARIATIONS)}.")
    CHECKS[head["kind"]](head, len(output_channels))
    return head


def check_stride(head: Mapping[str, Any], stride: int, scales: Sequence[float]) -> None:
    """The head's cells are those of the network: `scales` are the output's axes over the input's, `stride` is that of
    the network's input.
    """
    cell = int(head.get("stride", 1))
    if any(abs(scale - cell) > 1e-6 * cell for scale in scales):
        raise PackageInvalid(
            f"The head has a cell every {cell} pixels, the output's axes every {max(scales):g}.",
            "Give the head's stride and the scale of the output's axes the same value.",
        )
    if stride % cell:
        raise PackageInvalid(
            f"The network's stride of {stride} pixels holds no whole number of the head's cells of {cell}.",
            "Give config.zooscope.stride a multiple of the head's stride.",
        )


def _mask(head: Head, maps: int) -> None:
    if "classes" not in head:
        _map(head, "channel", maps, default=0)
        return
    for each in _classes(head):
        _map(each, "channel", maps)
    if not isinstance(head.get("exclusive", True), bool):
        raise PackageInvalid(f"The head's exclusive is {head['exclusive']!r}.", "Write true or false.")


def _watershed(head: Head, maps: int) -> None:
    if head.get("algorithm") is None:
        _map(head, "foreground", maps, default=0)
        _map(head, "distance", maps, default=1)
        return
    if head["algorithm"] != "deep-watershed":
        raise PackageInvalid(
            f"The head's algorithm is {head['algorithm']!r}.", "Write deep-watershed, or leave it out."
        )
    _map(head, "maxima", maps, default=0)
    _map(head, "interior", maps, default=1)
    try:
        deep_watershed_of(head)
    except DeepWatershedWrong as wrong:
        raise PackageInvalid(wrong.message, wrong.hint) from wrong


def _cells(head: Head, maps: int) -> None:
    _map(head, "channel", maps, default=0)
    if head.get("seeds") is not None:
        _map(head, "seeds", maps)


def _grid(head: Head, maps: int) -> None:
    _whole(head, "stride", 1)
    classes = _classes(head)
    _maps(head, "scores", maps, len(classes))
    _maps(head, "offset", maps, 2)
    _maps(head, "size", maps, 2)


def _boxes(head: Head, maps: int) -> None:
    columns = head.get("columns")
    if not isinstance(columns, list) or not set(BOX_COLUMNS) <= set(map(str, columns)) or len(columns) != maps:
        raise PackageInvalid(
            f"The head's columns are {columns!r}; the model's boxes have {maps} values each.",
            f"Name all of them in order, among them {', '.join(BOX_COLUMNS)}.",
        )
    classes = _classes(head)
    if len(classes) > 1 and "class" not in columns:
        raise PackageInvalid("The head has several classes, but no column says which.", "Name the column class.")


def _spots(head: Head, maps: int) -> None:
    _map(head, "channel", maps, default=0)
    if head.get("cells") is not None:
        _map(head, "cells", maps)
    if head.get("method", "log") not in SPOT_METHODS:
        raise PackageInvalid(f"The head's method is {head['method']!r}.", f"Choose one of {', '.join(SPOT_METHODS)}.")
    for field in ("sigma_min_px", "sigma_max_px"):
        _number(head, field, 0.5, 50)
    if head.get("sigma_min_px", 0.5) > head.get("sigma_max_px", 50):
        raise PackageInvalid("The head's sigma_min_px is larger than its sigma_max_px.", "Swap them.")


def _star_convex(head: Head, maps: int) -> None:
    _map(head, "probability", maps, default=0)
    rays = head.get("rays")
    if not isinstance(rays, list) or len(rays) < LEAST_RAYS:
        raise PackageInvalid(
            f"The head's rays are {rays!r}.", f"List the maps of at least {LEAST_RAYS} rays, counter-clockwise from x."
        )
    _maps(head, "rays", maps, len(rays))
    if "stride" in head:
        _whole(head, "stride", 1)


CHECKS: dict[str, Callable[[Head, int], None]] = {
    "probability-mask": _mask,
    "watershed-instances": _watershed,
    "boundary-cells": _cells,
    "grid-detector": _grid,
    "boxes": _boxes,
    "spots": _spots,
    "star-convex": _star_convex,
}
HEADS = tuple(CHECKS)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _map(head: Head, field: str, maps: int, default: Any = None) -> None:
    """`field` is the index of a map."""
    index = head.get(field, default)
    if not _is_whole(index) or not 0 <= index < maps:
        raise PackageInvalid(
            f"The head's {field} is {index!r}; the model has {maps} output channels.",
            f"Write a number from 0 to {maps - 1}.",
        )


def _maps(head: Head, field: str, maps: int, count: int) -> None:
    """`field` is a list of the indices of `count` different maps."""
    value = head.get(field)
    good = isinstance(value, list) and all(_is_whole(index) and 0 <= index < maps for index in value)
    if not good or len(value or []) != count or len(set(value or [])) != count:
        raise PackageInvalid(
            f"The head's {field} is {value!r}; the model has {maps} output channels.",
            f"List {count} different numbers from 0 to {maps - 1}.",
        )


def _number(head: Head, field: str, least: float, most: float | None = None) -> None:
    """`field`, where given, is a number from `least` to `most`."""
    value = head.get(field, least)
    good = isinstance(value, int | float) and not isinstance(value, bool) and value >= least
    if not good or (most is not None and value > most):
        limits = f"from {least:g} to {most:g}" if most is not None else f"of at least {least:g}"
        raise PackageInvalid(f"The head's {field} is {value!r}.", f"Write a number {limits}.")


def _whole(head: Head, field: str, least: int) -> None:
    value = head.get(field, least - 1)
    if not _is_whole(value) or value < least:
        raise PackageInvalid(f"The head's {field} is {value!r}.", f"Write a whole number of at least {least}.")


def _classes(head: Head) -> list[Head]:
    """The head's classes, each with a name of its own and, if any, a colour and a threshold that can be used."""
    classes = head.get("classes")
    if not isinstance(classes, list) or not classes or not all(isinstance(each, dict) for each in classes):
        raise PackageInvalid("The head names no classes.", 'Write classes: [{"object": "cell", "objects": "cells"}].')
    for each in classes:
        if not isinstance(each.get("object"), str) or not each["object"].strip():
            raise PackageInvalid("A class of the head has no name.", "Give each class its object, such as cell.")
        colour = each.get("colour", "#000000")
        if not isinstance(colour, str) or not COLOUR.fullmatch(colour):
            raise PackageInvalid(f"The colour of {each['object']!r} is {colour!r}.", "Write it as #rrggbb.")
        _number(each, "threshold", 0, 1)
    if len({each["object"] for each in classes}) < len(classes):
        raise PackageInvalid("Two classes of the head have the same name.", "Name them differently.")
    return classes
