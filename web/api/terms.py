"""/terms: suggestions for the fields of a model's description, while somebody types."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify, request

from web.api import query
from zoo.terms import FIELDS, MOST_SUGGESTED, suggest

blueprint = Blueprint("api_terms", __name__)


@blueprint.get("/terms")
def list_terms() -> Any:
    query.only({"field", "q", "size"})
    fields = (query.choice("field", FIELDS, ""),) if "field" in request.args else FIELDS
    size = query.integer("size", 20, 1, MOST_SUGGESTED)
    found = [term for field in fields for term in suggest(field, query.search_text(), size)]
    return jsonify({"items": [term.to_json() for term in found[:size]]})
