"""What the OpenAPI document says of the image library and of citations."""

from __future__ import annotations

from typing import Any

from web.library_search import FIELDS, SORTS
from zoo.citation import FORMATS

_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_LENGTH: dict[str, Any] = {"type": "string", "maxLength": 40, "examples": ["5 nm", "0.65 µm"]}

PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "pixel_from": (_LENGTH, "Smallest pixel size, with its unit; a bare number is in micrometres."),
    "pixel_to": (_LENGTH, "Largest pixel size, with its unit; a bare number is in micrometres."),
    "format": ({"enum": list(FORMATS), "default": "bibtex"}, "How the citation is written."),
    "organism": (_TEXTS, "Only images of one of these organisms."),
    "cell_type": (_TEXTS, "Only images of one of these cell types."),
    "cellular_component": (_TEXTS, "Only images of one of these parts of a cell."),
    "modality": (_TEXTS, "Only images made in one of these ways."),
    "sort@library": ({"enum": list(SORTS)}, "What to sort by; _score is how well the words match."),
}
OPERATIONS: tuple[tuple[str, str, str, dict[int, tuple[str, str]], tuple[str, ...], tuple[int, ...]], ...] = (
    ("get", "/library", "Search the records of the image library.", {200: ("Records.", "RecordPage")},
     ("q", "page", "size", "sort@library", "pixel_from", "pixel_to", *FIELDS), (400,)),
    ("get", "/library/{id}", "One record of the image library.", {200: ("The record.", "Record")}, (), (404,)),
    ("get", "/models/{id}/versions/{version}/citation", "How a version of a model is cited.",
     {200: ("The citation.", "*/*")}, ("format",), (400, 404, 410)),
)  # fmt: skip
SCHEMAS: dict[str, dict[str, Any]] = {
    "Record": {
        "type": "object",
        "required": ["id", "name"],
        "properties": dict.fromkeys(("id", "source", "name", "description", "licence", "doi", "url"), _TEXT)
        | dict.fromkeys(("organism", "cell_type", "cellular_component", "modality", "authors", "files"), _TEXTS)
        | {"pixel_size_um": {"type": "number"}},
    },
    "RecordPage": {
        "type": "object",
        "required": ["items", "total", "facets"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/Record"}},
            "total": {"type": "integer"},
            "facets": {"type": "object"},
        },
    },
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {}
