"""What biologists ask of a model (`about`): read from `config.zooscope.about`, else told from the rest of a package.

Keys: task ("segment", "instances", "detect" or "count"), dimensionality ("2d", "2.5d", "3d"), framework,
plane_size_um, training_data [{name, url or doi}], parent {id, version} it was made from, and lists of plain words,
structure, organism, cell_type, modality and staining, with the ids of those an ontology has in `<field>_ids`. What is
unknown is left out. Words that `zoo.terms` knows are written as it writes them, so that a facet has one value for one
thing; its other names for them are in `also`, to be found by.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from zoo.terms import FIELDS, Term, known

TASKS = ("segment", "instances", "detect", "count")
DIMENSIONALITIES = ("2d", "2.5d", "3d")
MOST_WORDS = 20
LONGEST_WORD = 120
# What a head is for, where the package does not say.
TASKS_OF_HEADS = {
    "probability-mask": "segment",
    "watershed-instances": "instances",
    "boundary-cells": "instances",
    "star-convex": "instances",
    "grid-detector": "detect",
    "boxes": "detect",
    "spots": "detect",
}
# Words of bioimage.io's free task and tags, and what they mean here; the first that occurs counts.
TASK_WORDS = (
    ("instance", "instances"), ("semantic", "segment"), ("detection", "detect"), ("detect", "detect"),
    ("counting", "count"), ("count", "count"), ("segmentation", "segment"),
)  # fmt: skip
FRAMEWORKS = {
    "keras_v3": "keras",
    "keras_hdf5": "keras",
    "onnx": "onnx",
    "tensorflow_saved_model_bundle": "tensorflow",
    "pytorch_state_dict": "pytorch",
    "torchscript": "pytorch",
}
TAGGED = {
    "electron-microscopy": ("modality", "electron microscopy"),
    "fluorescence-light-microscopy": ("modality", "fluorescence microscopy"),
    "fluorescence": ("modality", "fluorescence microscopy"),
    "bright-field-microscopy": ("modality", "bright-field microscopy"),
    "brightfield": ("modality", "bright-field microscopy"),
    "phase-contrast-microscopy": ("modality", "phase contrast microscopy"),
    "x-ray-microscopy": ("modality", "X-ray microscopy"),
    "histology": ("modality", "histology"),
    "dapi": ("staining", "DAPI"),
}


def read_about(
    raw: Mapping[str, Any],
    head: Mapping[str, Any],
    axes: str,
    frames: Iterable[int],
    weights_format: str,
    network: bool,
) -> dict[str, Any]:
    """`about` of the package with the description `raw`, of which everything may be missing or of a wrong type."""
    config = _mapping(raw.get("config"))
    zooscope, bioimageio = _mapping(config.get("zooscope")), _mapping(config.get("bioimageio"))
    given = _mapping(zooscope.get("about"))
    tags = _words(raw.get("tags"), MOST_WORDS * 5)
    told = {
        "structure": zooscope.get("structure") or bioimageio.get("target_structure"),
        "modality": zooscope.get("modality") or bioimageio.get("modality"),
    }
    found: dict[str, Any] = {
        "task": _task(given, zooscope, bioimageio, tags, head),
        "dimensionality": _choice(given.get("dimensionality"), DIMENSIONALITIES) or _dimensionality(axes, frames),
        "framework": FRAMEWORKS.get(weights_format, "") if network else "",
        "plane_size_um": _size(given.get("plane_size_um")),
        "training_data": _training_data(given.get("training_data"), raw.get("training_data")),
        "parent": _parent(raw.get("parent")),
    }
    for field in FIELDS:
        words = _words(given.get(field)) or _words(told.get(field)) or _tagged(field, tags)
        found[field] = words
        found[f"{field}_ids"] = _words(given.get(f"{field}_ids"))
    return tidied(found)


def tidied(about: Mapping[str, Any]) -> dict[str, Any]:
    """`about` with known terms as they are written, their ids and other names; what is empty is left out.

    What an author typed is put through this too. Ids that were given stay.
    """
    found = dict(about)
    also: list[str] = []
    for field in FIELDS:
        words, ids = _words(found.get(field)), _words(found.get(f"{field}_ids"))
        terms = [known(field, word) for word in words]
        found[field] = _once(term.name if term else word for term, word in zip(terms, words, strict=True))
        found[f"{field}_ids"] = _once((*ids, *(term.id for term in terms if term and term.id)))
        also += [name for term in terms if term for name in _others(term)]
    found["also"] = _once(also)
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def fastest(ert: Any) -> float | None:
    """Seconds per megapixel on the fastest device that was measured, None when none was."""
    entries = _mapping(ert).values()
    speeds = [_size(_mapping(entry).get("seconds_per_megapixel")) for entry in entries]
    return min((speed for speed in speeds if speed), default=None)


def _task(
    given: Mapping[str, Any], zooscope: Mapping[str, Any], bioimageio: Mapping[str, Any], tags: list[str],
    head: Mapping[str, Any],
) -> str:  # fmt: skip
    for told in (given.get("task"), zooscope.get("task")):
        if _choice(told, TASKS):
            return str(told)
    # A head of ours says what is done with the network's maps, and is surer than words; the plain mask is also what
    # a package without a head is given.
    of_head = TASKS_OF_HEADS.get(str(head.get("kind")), "")
    if of_head and head.get("kind") != "probability-mask":
        return of_head
    words = f"{_text(bioimageio.get('task'))} {' '.join(tags)}".lower()
    return next((task for word, task in TASK_WORDS if word in words), of_head)


def _dimensionality(axes: str, frames: Iterable[int]) -> str:
    return "3d" if "z" in axes else "2.5d" if max(frames, default=1) > 1 else "2d"


def _training_data(*given: Any) -> list[dict[str, str]]:
    found = []
    for each in given:
        for entry in each if isinstance(each, list) else [each]:
            entry = {"name": entry} if isinstance(entry, str) else _mapping(entry)
            kept = {key: _text(entry.get(key)) for key in ("name", "url", "doi")}
            kept["name"] = kept["name"] or _text(entry.get("id")) or kept["doi"] or kept["url"]
            if kept["url"] and not kept["url"].startswith(("https://", "http://")):
                kept["url"] = ""
            if kept["name"]:
                found.append({key: value for key, value in kept.items() if value})
    return found[:MOST_WORDS]


def _tagged(field: str, tags: list[str]) -> list[str]:
    """What the tags tell of a field: those that mean a term, and words that are the whole name of one."""
    meant = [TAGGED[tag.lower()][1] for tag in tags if TAGGED.get(tag.lower(), ("",))[0] == field]
    if field in ("organism", "structure"):
        terms = [known(field, tag.replace("-", " ")) for tag in tags]
        meant += [term.name for term in terms if term]
    return _once(meant)


def _others(term: Term) -> tuple[str, ...]:
    return term.synonyms


def _words(given: Any, most: int = MOST_WORDS) -> list[str]:
    """Plain words of a list or a single text; what is no text, or too long, is left out."""
    listed = given if isinstance(given, list) else [given]
    texts = (" ".join(entry.split()) for entry in listed if isinstance(entry, str))
    return _once(text for text in texts if text and len(text) <= LONGEST_WORD)[:most]


def _text(given: Any) -> str:
    return " ".join(given.split())[: 4 * LONGEST_WORD] if isinstance(given, str) else ""


def _choice(given: Any, choices: Iterable[str]) -> str:
    return given if isinstance(given, str) and given in choices else ""


def _size(given: Any) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
        return None
    return float(given)


def _parent(given: Any) -> dict[str, str] | None:
    """The model that this one was made from, as the standard names it."""
    told = {name: _text(_mapping(given).get(name)) for name in ("id", "version")}
    return {name: value for name, value in told.items() if value} if told["id"] else None


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
