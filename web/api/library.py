"""/library: search the records of the image library, one record; the citation of a model."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from web import addresses, library_search, search_state
from web.api import query
from web.files import download_name
from web.service import service
from zoo import citation
from zoo.documents import SCORE

blueprint = Blueprint("api_library", __name__)

LIBRARY = library_search.LIBRARY_SEARCH


@blueprint.get("/library")
def list_records() -> Any:
    query.only({"q", "page", "size", "sort", *search_state.PIXEL_FIELDS, *LIBRARY.fields})
    page, size = query.page_and_size()
    low, high = search_state.asked_ranges().get(search_state.PIXEL_SIZE, (None, None))
    state = search_state.SearchState(
        LIBRARY,
        text=query.search_text(),
        chosen={name: tuple(request.args.getlist(name)) for name in LIBRARY.fields if name in request.args},
        low=low,
        high=high,
        sort=query.choice("sort", tuple(LIBRARY.sorts), SCORE),
        page=page,
    )
    found = library_search.find(state, size)
    return jsonify({"items": [item.body for item in found.items], "total": found.total, "facets": found.facets})


@blueprint.get("/library/<id>")
def get_record(id: str) -> Any:
    return jsonify(library_search.get(id))


@blueprint.get("/models/<id>/versions/<version>/citation")
def get_citation(id: str, version: str) -> Response:
    query.only({"format"})
    written = citation.citation_format(request.args.get("format", "bibtex"))
    document = service().catalogue.get(id, version)
    text = written.write(document, addresses.of_model(id, version), service().settings.publisher)
    answer = Response(text, content_type=f"{written.media_type}; charset=utf-8")
    name = f"{download_name(id, version)}{written.suffix}"
    answer.headers["Content-Disposition"] = f"attachment; filename={name}"
    return answer
