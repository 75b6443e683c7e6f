"""/publish: begin a draft or go on with one; /publish/<uuid>: the form in five steps."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from web.account_pages import page
from web.accounts import require_account
from web.api.submissions import entry_view, submission_view
from web.service import service
from web.submission_access import readable_submission
from zoo.package_fields import FIELDS, HOW, LICENCES, WHAT
from zoo.package_head_form import HEAD_FORMS
from zoo.submissions import OPEN_STATES

blueprint = Blueprint("publish", __name__)

STEPS = (
    ("files", "Files"), ("what", "What it is"), ("how", "How it works"), ("check", "Check"), ("submit", "Submit"),
)  # fmt: skip
DRAFTS_SHOWN = 50


@blueprint.get("/publish")
def publish() -> Any:
    account = require_account()
    found = service().submissions.of_owner(account.id, size=DRAFTS_SHOWN)
    drafts = [entry_view(item.body) for item in found.items if item.body["state"] in OPEN_STATES]
    return page("publish.html", "Publish a model", drafts=drafts, package_bytes=service().settings.package_bytes)


@blueprint.get("/publish/<uuid>")
def publish_draft(uuid: str) -> Any:
    body = readable_submission(uuid)
    data = {
        "submission": submission_view(body),
        "heads": [head_data(form) for form in HEAD_FORMS],
        "me": require_account().id,
    }
    title = body["title"] or "A model without a name"
    return page(
        "publish_draft.html", title, submission=body, data=data, steps=STEPS, licences=LICENCES,
        what=[field for field in FIELDS if field.step == WHAT], how=[field for field in FIELDS if field.step == HOW],
        heads=HEAD_FORMS, limits=service().settings,
    )  # fmt: skip


def head_data(form: Any) -> dict[str, Any]:
    """A head as the form's script needs it."""
    return {
        "kind": form.kind,
        "help": form.help,
        "parts": [
            {"name": part.name, "label": part.label, "kind": part.kind, "default": part.default, "help": part.help}
            for part in form.parts
        ],
    }
