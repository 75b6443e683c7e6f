"""What the OpenAPI document says of searching the zoo and of the terms that describe models."""

from __future__ import annotations

from typing import Any

from zoo.catalogue import SORTS
from zoo.package_metadata import DIMENSIONALITIES, TASKS
from zoo.terms import FIELDS, MOST_SUGGESTED


def _several(what: str) -> tuple[dict[str, Any], str]:
    return {"type": "array", "items": {"type": "string"}}, f"Only models {what}."


PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "sort": ({"enum": list(SORTS)}, "What to sort by; _score is how well the words match."),
    "about.task": _several(f"for one of these tasks: {', '.join(TASKS)}"),
    "about.structure": _several("that find one of these structures"),
    "about.organism": _several("for one of these organisms"),
    "about.cell_type": _several("for one of these types of cells"),
    "about.modality": _several("for images of one of these methods"),
    "about.staining": _several("for one of these stainings"),
    "about.dimensionality": _several(f"of one of these dimensionalities: {', '.join(DIMENSIONALITIES)}"),
    "about.framework": _several("in one of these frameworks"),
    "field": ({"enum": list(FIELDS)}, "Field of a model's description; empty: any."),
}
OPERATIONS: tuple[tuple[str, str, str, dict[int, tuple[str, str]], tuple[str, ...], tuple[int, ...]], ...] = (
    ("get", "/terms", "Terms that the words typed so far may mean; free text is allowed all the same.",
     {200: ("Terms, the likeliest first.", "TermList")}, ("field", "q", "size"), (400,)),
)  # fmt: skip
SCHEMAS: dict[str, dict[str, Any]] = {
    "TermList": {
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {
                "type": "array",
                "maxItems": MOST_SUGGESTED,
                "items": {
                    "type": "object",
                    "required": ["field", "id", "name", "synonyms", "url"],
                    "properties": {
                        "field": {"enum": list(FIELDS)},
                        "id": {"type": "string", "description": "Id in an ontology, such as GO:0005634; may be empty."},
                        "name": {"type": "string"},
                        "synonyms": {"type": "array", "items": {"type": "string"}},
                        "url": {"type": "string", "description": "A page about the term; may be empty."},
                    },
                },
            }
        },
    }
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {}
