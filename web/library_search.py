"""Searching the image library: the page and /api/v1/library ask for the same things by the same names."""

from __future__ import annotations

from typing import Any

from web.nearest import Nearest, nearest
from web.search_state import Kind, SearchState
from web.service import service
from web.zoo_words import field_name
from zoo.cil_records import COLLECTION
from zoo.documents import SCORE, DocumentMissing, Page, Query
from zoo.errors import UserError

FIELDS = ("organism", "cell_type", "cellular_component", "modality", "licence")
SORTS = {
    SCORE: ("best match", True),
    "name": ("name", False),
    "pixel_size_um": ("finest pixels", False),
}
LIBRARY_SEARCH = Kind("/library", FIELDS, SORTS)


class RecordMissing(UserError):
    code = "record-missing"
    status = 404


def find(state: SearchState, size: int) -> Page:
    sort, descending = state.sort, state.descending
    if sort == SCORE and not state.text.strip():
        sort, descending = "name", False
    query = Query(
        state.text, state.filters, FIELDS, state.ranges, sort=sort, descending=descending, page=state.page, size=size
    )
    return service().documents.search(COLLECTION, query)


def nearest_records(state: SearchState) -> Nearest:
    """What helps a search that found nothing."""
    return nearest(
        state,
        lambda query: service().documents.search(COLLECTION, query),
        lambda field, value: f"{field_name(field).lower()}: {value}",
    )


def get(id: str) -> dict[str, Any]:
    """One record; raises RecordMissing."""
    try:
        return service().documents.get(COLLECTION, id).body
    except DocumentMissing:
        raise RecordMissing(f"The library has no record {id[:100]!r}.", "Search it at /library.") from None
