"""Searching the zoo: the search page and /api/v1/models ask for the same things by the same names."""

from __future__ import annotations

from typing import Any

from web.nearest import Nearest, nearest
from web.search_state import Kind, SearchState, last_page
from web.service import service
from web.zoo_words import field_name, value_name
from zoo.catalogue import FACETS, OLD_FACETS
from zoo.documents import SCORE, Page
from zoo.shown_models import MODELS

FIELDS = tuple(dict.fromkeys((*FACETS, *OLD_FACETS)))
# Name in the address: what it is called, whether the greatest comes first.
SORTS = {
    SCORE: ("best match", True),
    "published_at": ("newest", True),
    "usage.tried": ("most tried", True),
    "speed_s_per_mp": ("fastest", False),
    "name": ("name", False),
}
MODELS_SEARCH = Kind("/", FIELDS, SORTS)
# So many values of a field are shown at once, and so many more can be unfolded.
FACET_VALUES, MORE_VALUES = 7, 33


def find(state: SearchState, size: int) -> Page:
    return service().catalogue.search(
        state.text,
        state.filters,
        ranges=state.ranges,
        sort=state.sort,
        descending=state.descending,
        page=state.page,
        page_size=size,
    )


def nearest_models(state: SearchState) -> Nearest:
    """What helps a search that found nothing."""
    return nearest(state, lambda query: service().documents.search(MODELS, query), label)


def label(field: str, value: str) -> str:
    """A ticked value in a sentence, such as "organism: Mus musculus"."""
    return f"{field_name(field).lower()}: {value_name(field, value)}"


def shown(state: SearchState, found: Page, size: int) -> dict[str, Any]:
    """What the templates of a search page need of what was found, `size` to a page."""
    return {
        "total": found.total,
        "facets": shown_facets(state, found),
        "state": state,
        "last_page": last_page(found.total, size),
    }


def shown_facets(state: SearchState, page: Page) -> list[dict[str, Any]]:
    """The facets as they are drawn: {field, name, first, more}, of values (value, name, count, ticked).

    What is ticked stays, to be taken back, also where nothing has it now. A value that everything found has tells
    nothing and is left out, but not beside a ticked one, whose field is counted without it.
    """
    shown = []
    for field in state.kind.fields:
        counts = page.facets.get(field, {})
        ticked = state.chosen.get(field, ())
        told = {value: count for value, count in counts.items() if ticked or count < page.total}
        told |= {value: 0 for value in ticked if value not in told}
        values = [(value, value_name(field, value), count, value in ticked) for value, count in told.items()]
        if values:
            more = [entry for entry in values[FACET_VALUES:] if not entry[3]]
            first = [entry for entry in values if entry not in more]
            shown.append({"field": field, "name": field_name(field), "first": first, "more": more[:MORE_VALUES]})
    return shown
