"""The pages of the zoo: the search page, a model, its little page to be shown inside other sites."""

from __future__ import annotations

import contextlib
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request

from web import addresses, documentation, model_search, open_in, search_state, zoo_words
from web.model_settings import roles
from web.security import FRAMED
from web.service import SOFTWARE_VERSION, service
from zoo import citation
from zoo.catalogue import ModelMissing, ModelWithdrawn
from zoo.schema_org import json_ld

blueprint = Blueprint("zoo_pages", __name__)

GALLERY_MODELS = 24
CHILDREN_SHOWN = 10
# A page that any site may show in a frame: it holds links and pictures, nothing to be clicked on somebody's behalf.
EMBED_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors *"


def page(template: str, title: str, **context: Any) -> str:
    return render_template(template, page_title=title, software_version=SOFTWARE_VERSION, **context)


@blueprint.app_template_filter()
def field_name(field: str) -> str:
    return zoo_words.field_name(field)


@blueprint.app_template_filter()
def value_name(value: str, field: str) -> str:
    return zoo_words.value_name(field, value)


@blueprint.get("/")
def gallery() -> str:
    state = search_state.read(model_search.MODELS_SEARCH)
    found = model_search.find(state, GALLERY_MODELS)
    return page(
        "gallery.html",
        search_state.titled(state, "Models"),
        models=[item.body for item in found.items],
        **model_search.shown(state, found, GALLERY_MODELS),
        nearest=None if found.total else model_search.nearest_models(state),
    )


@blueprint.get("/models/<id>")
def model(id: str) -> str | Response:
    """The newest version of a model, or with `?version=` that one."""
    newest = service().catalogue.get(id)
    asked = request.args.get("version")
    document = newest if asked in (None, newest["version"]) else service().catalogue.get(id, asked)
    url, publisher = addresses.of_model(id, document["version"]), service().settings.publisher
    return page(
        "model.html",
        document["name"],
        model=document | {"versions": newest["versions"]},
        newest=newest["version"],
        card_html=documentation.render(document.get("card") or ""),
        roles=roles,
        words=zoo_words,
        lineage=_lineage(document),
        url=url,
        root=addresses.root(),
        ways=open_in.ways(document, addresses.root()),
        examples=open_in.api_examples(document, addresses.root()),
        embed=open_in.embed_snippet(document, addresses.root()),
        cited=citation.sentence(document, url, publisher),
        formats={
            name: (format.title, format.write(document, url, publisher)) for name, format in citation.FORMATS.items()
        },
        schema=json_ld(document, url, publisher),
    )


def _lineage(document: dict[str, Any]) -> dict[str, Any]:
    """The model this one was made from, if it is in this zoo, and those that say they were made from it."""
    catalogue, parent = service().catalogue, None
    named = document.get("about", {}).get("parent", {}).get("id")
    if named:
        with contextlib.suppress(ModelMissing):
            parent = catalogue.get(named)
    made = catalogue.search(filters={"about.parent.id": [document["id"]]}, page_size=CHILDREN_SHOWN, facets=())
    return {"parent": parent, "children": [item.body for item in made.items]}


@blueprint.get("/embed/models/<id>")
def embedded(id: str) -> Response:
    document = service().catalogue.get(id)
    return _framed(page("embed.html", document["name"], model=document, root=addresses.root()))


def _framed(html: str, status: int = 200) -> Response:
    answer = make_response(html, status)
    answer.headers["Content-Security-Policy"] = EMBED_POLICY
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


@blueprint.errorhandler(ModelWithdrawn)
def withdrawn(error: ModelWithdrawn) -> Response:
    """The page that stays at the address of what was withdrawn."""
    stone = error.tombstone
    title = f"{stone['name']} was withdrawn"
    if request.endpoint == FRAMED:
        return _framed(page("embed.html", title, tombstone=stone, root=addresses.root()), error.status)
    others = _others(stone["id"]) if "version" in request.args else False
    return make_response(page("tombstone.html", title, tombstone=stone, others=others), error.status)


def _others(id: str) -> bool:
    """Whether a model has versions that were not withdrawn."""
    try:
        service().catalogue.get(id)
    except ModelMissing:
        return False
    return True
