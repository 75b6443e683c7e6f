"""/review, /submissions and /models/<id>/versions/<version>/edit: for reviewers, authors and owners.

Every action is a form that works without a script; afterwards the page says what came of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request

from web import documentation
from web.account_pages import page, with_form
from web.accounts import require_account, require_role, sessions
from web.api import query
from web.api.submissions import accept, discard, entry_view, submission_view
from web.api.versions import own_version
from web.json_body import BadField
from web.service import service
from web.submission_access import person, readable_submission
from web.submission_words import STATE_NAMES, shown_fields, shown_files
from zoo import terms
from zoo.errors import UserError
from zoo.submissions import ACCEPTED, OPEN_STATES, PUBLISHED, RETURNED, SUBMITTED
from zoo.text_edits import LONGEST, LONGEST_TAG, MOST_TAGS

blueprint = Blueprint("review_pages", __name__)

SHOWN = 30
# What reviewers look through, each with what its list is called.
QUEUES = {SUBMITTED: "Waiting", RETURNED: "Returned", ACCEPTED: "Being published", PUBLISHED: "Published"}
TERM_NAMES = {
    "structure": "What it finds",
    "organism": "Organisms",
    "cell_type": "Cell types",
    "modality": "Imaging",
    "staining": "Staining",
}


@blueprint.get("/review")
def review_list() -> Response:
    reviewer = require_role("reviewer")
    state = query.choice("state", tuple(QUEUES), SUBMITTED)
    number = query.integer("page", 1, 1, query.LARGEST_PAGE)
    found = service().submissions.in_state([state], number, SHOWN)
    return page(
        "review_list.html",
        "Review",
        items=[entry_view(item.body) for item in found.items],
        total=found.total,
        next_page=number + 1 if found.total > number * SHOWN else None,
        state=state,
        queues=QUEUES,
        reviewer=reviewer,
        now=time.time(),
    )


@blueprint.get("/review/<uuid>")
def review_page(uuid: str) -> Response:
    return _review(uuid)


def _review(uuid: str, status: int = 200, error: UserError | None = None) -> Response:
    reviewer = require_role("reviewer")
    body = readable_submission(uuid)
    card = documentation.render(str(body["fields"].get("card") or ""))
    return page(
        "review.html",
        body["title"] or "Review",
        status,
        submission=submission_view(body),
        fields=shown_fields(body["fields"]),
        files=shown_files(body),
        card_html=card,
        state_names=STATE_NAMES,
        mine=body["owner"] == reviewer.id,
        may_accept=body["owner"] != reviewer.id or "admin" in reviewer.roles,
        form_word=sessions().form_word(),
        typed=request.form.get("text", ""),
        error=error,
        done=request.args.get("done", ""),
        now=time.time(),
    )


@blueprint.post("/review/<uuid>")
@with_form
def review_action(uuid: str) -> Response:
    """Accept, return or comment, whichever button was pressed."""
    reviewer, text = require_role("reviewer"), request.form.get("text", "")
    review = service().publishing.review
    actions: dict[str, Callable[[], Any]] = {
        "accept": lambda: accept(uuid, reviewer, text),
        "return": lambda: review.give_back(uuid, person(reviewer), text),
        "comment": lambda: review.comment(uuid, person(reviewer), text),
    }
    action = request.form.get("action", "")
    try:
        if action not in actions:
            raise BadField("There is no such action.", "Reload the page.")
        actions[action]()
    except UserError as error:
        return _review(uuid, error.status, error)
    return cast(Response, redirect(f"/review/{uuid}?{urlencode({'done': action})}", 303))


@blueprint.get("/submissions")
def submissions() -> Response:
    account = require_account()
    number = query.integer("page", 1, 1, query.LARGEST_PAGE)
    found = service().submissions.of_owner(account.id, number, SHOWN)
    return page(
        "submissions.html",
        "Your submissions",
        items=[entry_view(item.body) | {"last": (item.body["comments"] or [None])[-1]} for item in found.items],
        total=found.total,
        next_page=number + 1 if found.total > number * SHOWN else None,
        state_names=STATE_NAMES,
        open_states=OPEN_STATES,
        form_word=sessions().form_word(),
        done=request.args.get("done", ""),
        now=time.time(),
    )


@blueprint.post("/submissions/<uuid>/discard")
@with_form
def discard_draft(uuid: str) -> Response:
    discard(uuid)
    return cast(Response, redirect("/submissions?done=discarded", 303))


@blueprint.get("/models/<id>/versions/<version>/edit")
def edit_page(id: str, version: str) -> Response:
    return _edit(id, version)


def _edit(id: str, version: str, status: int = 200, error: UserError | None = None, part: str = "") -> Response:
    document = own_version(id, version)
    about = document.get("about") or {}
    given = {name: str(document.get(name) or "") for name in LONGEST} | {"tags": "\n".join(document.get("tags") or [])}
    given |= {f"about.{name}": "\n".join(about.get(name) or []) for name in terms.FIELDS}
    return page(
        "edit_version.html",
        f"Edit {document['name']}",
        status,
        model=document,
        given=given | {name: value for name, value in request.form.items() if name in given},
        longest=LONGEST | {"tags": MOST_TAGS * LONGEST_TAG},
        term_fields=TERM_NAMES,
        reason=request.form.get("reason", ""),
        form_word=sessions().form_word(),
        error=error,
        part=part,
    )


@blueprint.post("/models/<id>/versions/<version>/edit")
@with_form
def edit(id: str, version: str) -> Response:
    own_version(id, version)
    edits: dict[str, Any] = {name: request.form[name] for name in LONGEST if name in request.form}
    if "tags" in request.form:
        edits["tags"] = _lines("tags")
    about = {name: _lines(f"about.{name}") for name in terms.FIELDS if f"about.{name}" in request.form}
    if about:
        edits["about"] = about
    if "card" in edits:
        # A form's lines end as those of a mail do.
        edits["card"] = edits["card"].replace("\r\n", "\n")
    try:
        service().publishing.changes.edit(id, version, edits, require_account().id)
    except UserError as error:
        return _edit(id, version, error.status, error, "texts")
    return cast(Response, redirect(f"/models/{id}?version={version}", 303))


def _lines(name: str) -> list[str]:
    return [line.strip() for line in request.form[name].splitlines() if line.strip()]


@blueprint.post("/models/<id>/versions/<version>/withdraw")
@with_form
def withdraw(id: str, version: str) -> Response:
    own_version(id, version)
    try:
        if request.form.get("sure") != "yes":
            raise BadField("The box is not ticked.", "A withdrawal cannot be taken back: tick the box if you are sure.")
        service().publishing.changes.withdraw(id, version, request.form.get("reason", ""), require_account().id)
    except UserError as error:
        return _edit(id, version, error.status, error, "withdraw")
    return cast(Response, redirect(f"/models/{id}?version={version}", 303))
