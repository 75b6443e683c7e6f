"""/jobs: submit previews, list one's own, look at one, cancel, run again, delete, read the log."""

from __future__ import annotations

import contextlib
from typing import Any

from flask import Blueprint, Response, jsonify, request

from scheduler.contract import IDEMPOTENCY_KEY
from scheduler.jobs import JobMissing
from web import json_body, previews, submit, visitors
from web.api import query
from web.errors import Forbidden
from web.job_view import view_here
from web.json_body import BadField
from web.service import service
from zoo.identifiers import is_uuid

blueprint = Blueprint("api_jobs", __name__)


def known_job(uuid: str) -> dict[str, Any]:
    """The job document; raises JobMissing. Whoever has the link may read it."""
    return service().scheduler.job(uuid)


def own_job(uuid: str) -> dict[str, Any]:
    """The job document, for its owner alone; raises JobMissing or Forbidden."""
    job = known_job(uuid)
    if job["owner"] != visitors.known_visitor():
        raise Forbidden("This preview was made in another browser.", "Run your own copy of it from its page.")
    return job


@blueprint.post("/jobs")
def create_jobs() -> Any:
    body = json_body.read(request, previews.FIELDS, {"image", "models"})
    visitors.visitor()
    key = request.headers.get(IDEMPOTENCY_KEY)
    jobs = submit.submit(previews.read_request(body), _earlier(body.get("rerun_of")), key)
    for job in jobs:
        service().usage.count(job["model"]["id"], "tried")
    return jsonify({"jobs": [view_here(job) for job in jobs]}), 201


def _earlier(uuid: Any) -> str | None:
    """The visitor's own job that is run again with changes; None when it is gone meanwhile."""
    if uuid is None:
        return None
    if not isinstance(uuid, str) or not is_uuid(uuid):
        raise BadField("The field 'rerun_of' is not the uuid of a job.", "Leave it out, or name one of your previews.")
    with contextlib.suppress(JobMissing):
        return str(own_job(uuid)["uuid"])
    return None


@blueprint.get("/jobs")
def list_jobs() -> Any:
    query.only({"page", "size"})
    page, size = query.page_and_size()
    owner = visitors.known_visitor()
    if owner is None:
        return jsonify({"items": [], "total": 0})
    found = service().scheduler.jobs_of(owner, page, size)
    return jsonify({"items": [view_here(item.body) for item in found.items], "total": found.total})


@blueprint.get("/jobs/<uuid>")
def get_job(uuid: str) -> Any:
    return jsonify(view_here(known_job(uuid)))


@blueprint.post("/jobs/<uuid>/cancel")
def cancel_job(uuid: str) -> Any:
    own_job(uuid)
    return jsonify(view_here(service().scheduler.cancel(uuid)))


@blueprint.post("/jobs/<uuid>/rerun")
def rerun_job(uuid: str) -> Any:
    body = json_body.read(request, {"settings"})
    settings = body.get("settings") or {}
    if not isinstance(settings, dict):
        raise BadField("The field 'settings' is not an object.", "Send {name: value, …}.")
    job = submit.rerun(own_job(uuid), settings)
    service().usage.count(job["model"]["id"], "tried")
    return jsonify(view_here(job)), 201


@blueprint.delete("/jobs/<uuid>")
def delete_job(uuid: str) -> Any:
    own_job(uuid)
    service().scheduler.delete(uuid)
    return "", 204


@blueprint.get("/jobs/<uuid>/log")
def get_log(uuid: str) -> Any:
    known_job(uuid)
    return Response(service().scheduler.log_text(uuid), mimetype="text/plain")
