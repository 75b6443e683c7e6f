"""/submissions: drafts of authors, their review, and what becomes of them."""

from __future__ import annotations

import contextlib
from typing import Any

from flask import Blueprint, Response, jsonify, request

from web import files, json_body
from web.accounts import Account, account_name, require_account, require_role
from web.api import query
from web.errors import NotFound
from web.json_body import BadField
from web.service import service
from web.submission_access import own_submission, person, readable_submission
from zoo.errors import UserError
from zoo.package_missing import missing
from zoo.submissions import STATES, SUBMITTED, Body, SubmissionChanged, WrongState

blueprint = Blueprint("api_submissions", __name__)

HIDDEN = ("blobs", "let_go", "by_admin")
LISTED = (
    "id", "owner", "state", "title", "model_id", "version", "doi", "created_at", "changed_at", "updated_at",
    "submitted_at",
)  # fmt: skip


def submission_view(body: Body) -> dict[str, Any]:
    """A submission as the API shows it; `conflict` says what stands against its id or version, and
    `missing` what it lacks for a package to be made of it."""
    shown = {name: value for name, value in body.items() if name not in HIDDEN}
    base = f"/api/v1/submissions/{body['id']}"
    return shown | {
        "owner_name": account_name(body["owner"]),
        "conflict": service().publishing.review.conflict(body),
        "missing": missing(body["fields"], body["files"].keys()),
        "links": {"self": base, "page": f"/publish/{body['id']}", "review": f"/review/{body['id']}"},
    }


def entry_view(body: Body) -> dict[str, Any]:
    """A submission as a list shows it."""
    check = body["check"] or {}
    return {name: body[name] for name in LISTED} | {
        "owner_name": account_name(body["owner"]),
        "check_state": check.get("state", ""),
        "comments": len(body["comments"]),
    }


@blueprint.post("/submissions")
def create_submission() -> Any:
    body = json_body.read(request, {"fields"})
    account = require_role("author")
    created = service().submissions.create(account.id, _fields(body))
    return jsonify(submission_view(created)), 201


@blueprint.get("/submissions")
def list_submissions() -> Any:
    """One's own, newest first; a reviewer asks for all in a `state`, those that wait longest first."""
    query.only({"page", "size", "state"})
    page, size = query.page_and_size()
    state = query.choice("state", (*STATES, ""), "")
    if state:
        require_role("reviewer")
        found = service().submissions.in_state([state], page, size)
    else:
        found = service().submissions.of_owner(require_account().id, page, size)
    return jsonify({"items": [entry_view(item.body) for item in found.items], "total": found.total})


@blueprint.get("/submissions/<uuid>")
def get_submission(uuid: str) -> Any:
    return jsonify(submission_view(readable_submission(uuid)))


@blueprint.patch("/submissions/<uuid>")
def change_submission(uuid: str) -> Any:
    """Save what was typed; 409 with the newest text when it was changed elsewhere since `changed_at`."""
    body = json_body.read(request, {"fields", "changed_at"}, {"fields"})
    own_submission(uuid)
    changed_at = body.get("changed_at")
    if changed_at is not None and (isinstance(changed_at, bool) or not isinstance(changed_at, int | float)):
        raise BadField("'changed_at' is not a time.", "Send it as the submission has it, or leave it out.")
    try:
        changed = service().submissions.set_fields(uuid, _fields(body), changed_at)
    except SubmissionChanged as error:
        return jsonify(error.to_json() | {"newest": submission_view(error.newest)}), error.status
    return jsonify(submission_view(changed))


@blueprint.delete("/submissions/<uuid>")
def discard_submission(uuid: str) -> Any:
    discard(uuid)
    return "", 204


def discard(uuid: str) -> None:
    """Discard a draft of who asks, and stop its check; raises as `own_submission` and `Review.discard`."""
    check = own_submission(uuid)["check"] or {}
    service().publishing.review.discard(uuid, person(require_account()))
    if check.get("state") == "running":
        # It may be over, or gone.
        with contextlib.suppress(UserError):
            service().scheduler.cancel(check["job"])


@blueprint.get("/submissions/<uuid>/package.zip")
def get_package(uuid: str) -> Response:
    """The package as it was checked and would be published, for its author and the reviewers."""
    body = readable_submission(uuid)
    sha256 = body["package_sha256"]
    if not sha256:
        raise NotFound("There is no checked package yet.", "It is put together when the model is checked.")
    name = files.download_name(body["model_id"] or "model", body["version"] or "draft") + ".zip"
    return files.send(service().blobs.path(sha256), "application/zip", name, sha256, files.asked_by_content(sha256))


@blueprint.post("/submissions/<uuid>/submit")
def submit_submission(uuid: str) -> Any:
    json_body.read(request, ())
    own_submission(uuid)
    return jsonify(submission_view(service().publishing.review.submit(uuid, person(require_account()))))


@blueprint.post("/submissions/<uuid>/return")
def return_submission(uuid: str) -> Any:
    text = _text(json_body.read(request, {"text"}, {"text"}))
    reviewer = require_role("reviewer")
    return jsonify(submission_view(service().publishing.review.give_back(uuid, person(reviewer), text)))


@blueprint.post("/submissions/<uuid>/accept")
def accept_submission(uuid: str) -> Any:
    """Accept and publish; where the DOI has to wait, the answer is `accepted` and the service goes on with it."""
    text = _text(json_body.read(request, {"text"}))
    return jsonify(submission_view(accept(uuid, require_role("reviewer"), text)))


def accept(uuid: str, reviewer: Account, text: str) -> Body:
    """Accept a submission and publish it; raises WrongState, also for one's own, and what `Review.accept` raises."""
    body = service().submissions.get(uuid)
    if body["owner"] == reviewer.id and "admin" not in reviewer.roles and body["state"] == SUBMITTED:
        raise WrongState("This is your own submission.", "Another reviewer, or an admin, accepts it.")
    service().publishing.review.accept(uuid, person(reviewer), text)
    return service().publishing.publication.go_on(uuid)


@blueprint.post("/submissions/<uuid>/comment")
def comment_submission(uuid: str) -> Any:
    text = _text(json_body.read(request, {"text"}, {"text"}))
    readable_submission(uuid)
    return jsonify(submission_view(service().publishing.review.comment(uuid, person(require_account()), text)))


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    fields = {} if body.get("fields") is None else body["fields"]
    if not isinstance(fields, dict):
        raise BadField("The field 'fields' is not an object.", "Send {name: value, …}.")
    return fields


def _text(body: dict[str, Any]) -> str:
    text = "" if body.get("text") is None else body["text"]
    if not isinstance(text, str):
        raise BadField("The field 'text' is not a text.", "Send plain text.")
    return text
