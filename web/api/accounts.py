"""/account: who asks, for programs and for pages that have been open for long."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from web.accounts import require_account

blueprint = Blueprint("api_accounts", __name__)


@blueprint.get("/account")
def get_account() -> Any:
    account = require_account()
    return jsonify({"id": account.id, "name": account.name, "orcid": account.orcid, "roles": sorted(account.roles)})
