"""/submissions/<uuid>/check: have a draft checked, look at the check, and at the pictures that it made."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from scheduler.contract import MEDIA_TYPES
from web import checks, files, json_body
from web.api.submissions import submission_view
from web.errors import NotFound
from web.service import service
from web.submission_access import own_submission, readable_submission

blueprint = Blueprint("api_checks", __name__)


@blueprint.post("/submissions/<uuid>/check")
def start_check(uuid: str) -> Any:
    """Answers the submission, whose `check` names the job; /api/v1/jobs/<job>/events tells how far it is."""
    json_body.read(request, ())
    checks.start(own_submission(uuid))
    return jsonify(submission_view(service().submissions.get(uuid))), 202


@blueprint.delete("/submissions/<uuid>/check")
def cancel_check(uuid: str) -> Any:
    return jsonify(submission_view(checks.cancel(own_submission(uuid))))


@blueprint.get("/submissions/<uuid>/check/files/<name>")
def get_check_file(uuid: str, name: str) -> Response:
    """A picture or the log of the last check that is over."""
    body = readable_submission(uuid)
    kept = ((body["check"] or {}).get("files") or {}).get(name)
    if kept is None:
        raise NotFound(
            f"The check has no file {name[:80]!r}.", f"It may have {', '.join(checks.KEPT)} once it is over."
        )
    sha256 = kept["sha256"]
    path = service().blobs.path(sha256)
    download = files.download_name(uuid[:8], name)
    return files.send(path, MEDIA_TYPES[name], download, sha256, files.asked_by_content(sha256))
