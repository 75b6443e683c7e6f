"""What the page needs to show a result by its kind: its shape, its classes with words and colours, its maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web.service import service
from zoo.catalogue import ModelMissing

SHAPES = {"grid-detector": "boxes", "boxes": "boxes", "spots": "points", "boundary-cells": "cells"}
# Okabe & Ito's, for classes whose model names no colour; those that differ most first.
COLOURS = ("#56b4e9", "#d55e00", "#009e73", "#f0e442", "#cc79a7", "#e69f00", "#0072b2")
# Which field of a head names the map that says "object", most telling first.
MAIN_MAP = ("foreground", "interior", "probability", "channel")


def legend(job: Mapping[str, Any]) -> dict[str, Any]:
    """{shape: regions | boxes | points | cells, classes: [{name, objects, colour}], maps: names, map: the main one}.

    `objects` is the word for many. Classes come in the head's order, also those of which nothing was found.
    """
    summary = (job.get("result") or {}).get("summary") or {}
    model = model_of(job)
    head = model.get("head") or {}
    kind = str(summary.get("head") or head.get("kind") or "")
    return {
        "shape": summary.get("shape") or SHAPES.get(kind, "regions"),
        "classes": _classes(head, summary.get("classes") or {}, (model.get("preview") or {}).get("colour")),
        "maps": list(model.get("output_channels") or []),
        "map": main_map(head),
    }


def model_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """The document of the job's model version, empty when it is no longer in the zoo."""
    try:
        return dict(service().catalogue.get_any(job["model"]["id"], job["model"]["version"]))
    except ModelMissing:
        return {}


def main_map(head: Mapping[str, Any]) -> int:
    """Which output channel says "object": the head names it."""
    named = [head[name] for name in MAIN_MAP if name in head]
    named += [each["channel"] for each in head.get("classes") or [] if "channel" in each]
    named += head.get("scores") or []
    return int(named[0]) if named and isinstance(named[0], int) else 0


def words(head: Mapping[str, Any]) -> dict[str, str]:
    """One object's word to that for many, for each class of a head."""
    named = head.get("classes") or [head]
    return {str(one["object"]): str(one.get("objects") or f"{one['object']}s") for one in named if one.get("object")}


def _classes(head: Mapping[str, Any], counts: Mapping[str, int], colour: str | None) -> list[dict[str, Any]]:
    said = words(head)
    own = {str(one["object"]): one["colour"].lower() for one in head.get("classes") or [] if one.get("colour")}
    if len(said) == 1 and colour:
        own[next(iter(said))] = colour.lower()
    if counts and not said.keys() & counts.keys():
        said = {}
    # What the head has no word for are the cells around its spots: they lie beneath.
    names = [*(name for name in counts if name not in said), *said]
    free = iter(one for one in COLOURS * len(names) if one not in own.values())
    return [
        {"name": name, "objects": said.get(name, f"{name}s"), "colour": own.get(name) or next(free)} for name in names
    ]
