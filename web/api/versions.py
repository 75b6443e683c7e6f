"""/models/<id>/versions/<version>: its owner edits its texts, or takes it back; neither makes a new version."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify, request

from web import json_body
from web.accounts import check_owner, require_account
from web.json_body import BadField
from web.service import service
from zoo.text_edits import FIELDS

blueprint = Blueprint("api_versions", __name__)


def own_version(id: str, version: str) -> dict[str, Any]:
    """The version's document, also of a withdrawn one, for the model's owner and admins; raises as `check_owner`."""
    require_account()
    document = service().catalogue.get_any(id, version)
    check_owner(service().publishing.owners.owner_of(id))
    return document


@blueprint.patch("/models/<id>/versions/<version>")
def edit_version(id: str, version: str) -> Any:
    edits = json_body.read(request, FIELDS)
    account = require_account()
    own_version(id, version)
    return jsonify(service().publishing.changes.edit(id, version, edits, account.id))


@blueprint.post("/models/<id>/versions/<version>/withdraw")
def withdraw_version(id: str, version: str) -> Any:
    """Take a version back; its page, DOI and earlier results stay. Answers with its tombstone."""
    reason = json_body.read(request, {"reason"}, {"reason"})["reason"]
    if not isinstance(reason, str):
        raise BadField("The field 'reason' is not a text.", "Say why it is withdrawn.")
    account = require_account()
    own_version(id, version)
    return jsonify(service().publishing.changes.withdraw(id, version, reason, account.id))
