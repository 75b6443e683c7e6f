"""The pages, as the server renders them; what moves on them is in static/js and asks the API."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, send_from_directory

from scheduler.contract import STAGES
from web import documentation, lineage, visitors
from web.api import openapi, query
from web.api.jobs import known_job
from web.errors import NotFound
from web.job_view import view_here
from web.model_settings import roles, settings_data
from web.service import SOFTWARE_VERSION, service
from zoo.catalogue import FACETS
from zoo.preview_settings import INPUT_BY_NAME

blueprint = Blueprint("pages", __name__)

# A zoo of this many models is shown without paging.
GALLERY_MODELS = 100
JOBS_SHOWN = 20


def _page(template: str, title: str, **context: Any) -> str:
    return render_template(template, page_title=title, software_version=SOFTWARE_VERSION, **context)


@blueprint.get("/")
def gallery() -> str:
    text = request.args.get("q", "")[:1000]
    chosen = {name: request.args.getlist(name) for name in FACETS if name in request.args}
    found = service().catalogue.search(text, chosen, page_size=GALLERY_MODELS)
    models = [item.body for item in found.items]
    return _page("gallery.html", "Models", models=models, total=found.total, facets=found.facets, q=text, chosen=chosen)


@blueprint.get("/models/<id>")
def model(id: str) -> str:
    document = service().catalogue.get(id)
    card = documentation.render(document.get("card") or "")
    return _page("model.html", document["name"], model=document, card_html=card, roles=roles)


@blueprint.get("/try")
def try_page() -> str:
    visitors.visitor()
    models = [item.body for item in service().catalogue.search(page_size=GALLERY_MODELS).items]
    return _page(
        "try.html",
        "Try a model",
        models=models,
        roles=roles,
        settings=settings_data(models),
        inputs=INPUT_BY_NAME,
        roi_pixels=service().settings.roi_pixels,
    )


@blueprint.get("/r/<uuid>")
def result(uuid: str) -> str:
    known = known_job(uuid)
    job = view_here(known)
    name = job["model"]["name"] or job["model"]["id"]
    stages = [[stage, label] for stage, label in STAGES.items()]
    title = f"{name} on {job['source']['image_name']}"
    again, changes = lineage.around(known), lineage.try_query(job)
    return _page("result.html", title, job=job, stages=stages, lineage=again, changes=changes)


@blueprint.get("/mine")
def mine() -> str:
    owner = visitors.visitor()
    number = query.integer("page", 1, 1, query.LARGEST_PAGE)
    found = service().scheduler.jobs_of(owner, number, JOBS_SHOWN)
    next_page = number + 1 if found.total > number * JOBS_SHOWN else None
    return _page("mine.html", "My previews", jobs=[view_here(item.body) for item in found.items], next_page=next_page)


@blueprint.get("/docs")
def docs() -> Any:
    documents = documentation.documents()
    if not documents:
        return redirect("/api/v1/docs")
    return _page("docs.html", documents[0].title, documents=documents, document=documents[0])


@blueprint.get("/docs/<name>")
def docs_page(name: str) -> str:
    document = documentation.document(name)
    return _page("docs.html", document.title, documents=documentation.documents(), document=document)


@blueprint.get("/docs/screenshots/<name>")
def docs_screenshot(name: str) -> Response:
    if not name.endswith(".png"):
        raise NotFound("There is no such picture.")
    return send_from_directory(documentation.FOLDER / "screenshots", name, mimetype="image/png")


@blueprint.get("/api/v1/docs")
def api_docs() -> str:
    return _page("api.html", "API", openapi=openapi.document(), documents=documentation.documents())


@blueprint.get("/status")
def status() -> str:
    return _page("status.html", "Status", status=service().scheduler.status(), now=time.time())
