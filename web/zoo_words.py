"""What the fields and values of models and records are called on the pages, and where their terms are defined."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

FIELDS = {
    "about.task": "Task",
    "about.structure": "Structure",
    "about.organism": "Organism",
    "about.cell_type": "Cell type",
    "about.modality": "Imaging",
    "about.staining": "Staining",
    "about.dimensionality": "Dimensions",
    "about.framework": "Framework",
    "licence": "Licence",
    "head.object": "Finds",
    "head.kind": "Gives",
    "tags": "Topic",
    "organism": "Organism",
    "cell_type": "Cell type",
    "cellular_component": "Component",
    "modality": "Imaging",
}
TASKS = {
    "segment": "segment areas",
    "instances": "outline objects one by one",
    "detect": "box objects",
    "count": "count objects",
}
VALUES = {
    "about.task": TASKS,
    "about.dimensionality": {"2d": "2D", "2.5d": "2D with neighbouring planes", "3d": "3D"},
    "about.framework": {"keras": "Keras", "onnx": "ONNX", "tensorflow": "TensorFlow", "none": "no network"},
    "licence": {
        "attribution_cc": "attribution (CC BY)",
        "attribution_nc_sa": "attribution, not commercial, share alike (CC BY-NC-SA)",
        "public_domain": "public domain",
        "copyright": "all rights reserved",
    },
    "head.kind": {
        "watershed-instances": "objects one by one",
        "star-convex": "round objects one by one",
        "probability-mask": "a mask",
        "boundary-cells": "cells between membranes",
        "grid-detector": "boxes",
        "boxes": "boxes",
        "spots": "spots per cell",
    },
}
TERM_ID = re.compile(r"([A-Za-z]{2,20})[:_]([0-9]{1,12})")
TERM_PAGES = "http://purl.obolibrary.org/obo/"


def field_name(field: str) -> str:
    return FIELDS.get(field, field)


def value_name(field: str, value: str) -> str:
    return VALUES.get(field, {}).get(value, value)


def term_url(id: str) -> str:
    """Where a term of an open ontology is defined, such as GO:0005739; empty for what is no such id."""
    found = TERM_ID.fullmatch(id)
    return f"{TERM_PAGES}{found[1]}_{found[2]}" if found else ""


def terms(about: Mapping[str, Sequence[str]], field: str) -> list[tuple[str, str, str]]:
    """The (word, id, address) of a field's terms; a word whose id is not told has neither, an id alone is its word."""
    words, ids = list(about.get(field) or []), [str(id) for id in about.get(f"{field}_ids") or []]
    if len(words) == len(ids):
        return [(word, id, term_url(id)) for word, id in zip(words, ids, strict=True)]
    return [(word, "", "") for word in words] + [(id, id, term_url(id)) for id in ids]


def orcid_url(orcid: str) -> str:
    """The page of an author's ORCID iD; empty for what is none."""
    found = re.fullmatch(r"(?:https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])", orcid.strip())
    return f"https://orcid.org/{found[1]}" if found else ""
