"""The pages, as the server renders them; what moves on them is in static/js and asks the API."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, send_from_directory

from scheduler.contract import stages_of
from web import check_view, documentation, lineage, visitors
from web.api import openapi, query
from web.api.jobs import known_job
from web.errors import NotFound
from web.job_view import view_here
from web.model_settings import roles, settings_data
from web.service import SOFTWARE_VERSION, service
from zoo.catalogue import ModelMissing
from zoo.preview_settings import INPUT_BY_NAME

blueprint = Blueprint("pages", __name__)

# As many models are listed to choose from.
MODELS_LISTED = 100
JOBS_SHOWN = 20


def _page(template: str, title: str, **context: Any) -> str:
    return render_template(template, page_title=title, software_version=SOFTWARE_VERSION, **context)


def _models_to_choose(asked: str) -> list[dict[str, Any]]:
    """The models of the zoo as far as they are listed, and the one that is asked for if it is not among them."""
    catalogue = service().catalogue
    models = [item.body for item in catalogue.search(page_size=MODELS_LISTED, facets=()).items]
    if asked and asked not in [one["id"] for one in models]:
        with contextlib.suppress(ModelMissing):
            models.insert(0, catalogue.get(asked))
    return models


@blueprint.get("/try")
def try_page() -> str:
    visitors.visitor()
    models = _models_to_choose(request.args.get("model", ""))
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
    stages = [[stage, label] for stage, label in stages_of(job["kind"]).items()]
    title = f"{name} on {job['source']['image_name']}"
    if job["kind"] == check_view.KIND:
        draft = check_view.draft_of(known)
        return _page("check.html", f"Check of {name}", job=job, stages=stages, submission=draft)
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
