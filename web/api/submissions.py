"""/submissions: drafts of authors, their review, and what becomes of them. Files and checks have modules of their own."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

blueprint = Blueprint("api_submissions", __name__)


def submission_view(body: dict[str, Any]) -> dict[str, Any]:
    """A submission as the API shows it."""
    return {name: value for name, value in body.items() if name not in ("blobs", "by_admin")}
