"""The pages of the image library: its search page, and a record."""

from __future__ import annotations

from flask import Blueprint

from web import library_search, model_search, search_state, zoo_words
from web.zoo_pages import page
from zoo.cil_records import TERMS

blueprint = Blueprint("library_pages", __name__)

RECORDS_SHOWN = 40
TERM_NAMES = {"modality": "Imaging", "cellular_component": "Component", "relation_to_cell": "Relation to the cell"}


@blueprint.get("/library")
def library() -> str:
    state = search_state.read(library_search.LIBRARY_SEARCH)
    found = library_search.find(state, RECORDS_SHOWN)
    return page(
        "library.html",
        search_state.titled(state, "Library"),
        records=[item.body for item in found.items],
        **model_search.shown(state, found, RECORDS_SHOWN),
        nearest=None if found.total else library_search.nearest_records(state),
    )


@blueprint.get("/library/<id>")
def record(id: str) -> str:
    document = library_search.get(id)
    fields = [
        (TERM_NAMES.get(name, name.replace("_", " ").capitalize()), name, zoo_words.terms(document, name))
        for name in TERMS.values()
        if document.get(name) or document.get(f"{name}_ids")
    ]
    return page("record.html", document["name"], record=document, fields=fields, searched=library_search.FIELDS)
