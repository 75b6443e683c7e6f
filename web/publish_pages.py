"""/publish: begin a draft or go on with one; /publish/<uuid>: the form in five steps."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, request

from web.account_pages import page
from web.accounts import check_owner, require_account
from web.api.submissions import entry_view, submission_view
from web.service import service
from web.submission_access import readable_submission
from zoo.package_fields import FIELDS, HOW, LICENCES, WHAT
from zoo.package_head_form import HEAD_FORMS
from zoo.package_words import fields_of
from zoo.submissions import OPEN_STATES

blueprint = Blueprint("publish", __name__)

STEPS = (
    ("files", "Files"), ("what", "What it is"), ("how", "How it works"), ("check", "Check"), ("submit", "Submit"),
)  # fmt: skip
DRAFTS_SHOWN = 50
# Words that may be edited without a new version, and what another file tells anew.
EDITED = ("name", "description", "card", "tags")
OF_FILES = ("channel_names", "output_channels")


@blueprint.get("/publish")
def publish() -> Any:
    account = require_account()
    found = service().submissions.of_owner(account.id, size=DRAFTS_SHOWN)
    drafts = [entry_view(item.body) for item in found.items if item.body["state"] in OPEN_STATES]
    newer = request.args.get("model", "")
    fields = fields_of_next(newer) if newer else {}
    title = f"A new version of {fields['name']}" if newer else "Publish a model"
    return page(
        "publish.html", title, drafts=drafts, fields=fields, package_bytes=service().settings.package_bytes
    )  # fmt: skip


def fields_of_next(id: str) -> dict[str, Any]:
    """The form of a model's next version: the words of the newest, as they were edited since; files come anew.

    Raises ModelMissing, ModelWithdrawn, and NotAllowed for who does not own it.
    """
    document = service().catalogue.get(id)
    check_owner(document.get("owner", ""))
    fields = fields_of(service().catalogue.package(id))
    fields |= {name: document[name] for name in EDITED if document.get(name)}
    fields |= {"version": next_version(document["version"]), "guessed": ["version"]}
    return {name: value for name, value in fields.items() if name not in OF_FILES}


def next_version(version: str) -> str:
    """1.3.0 after 1.2.7; the author may choose another."""
    numbers = [int(part) for part in re.findall(r"[0-9]+", version.partition("-")[0])[:2]]
    major, minor = (*numbers, 0, 0)[:2]
    return f"{major}.{minor + 1}.0"


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
