"""A check as its page and the API show it: the report that its worker made, and the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web import layers
from web.accounts import current_account
from web.check_report import read_report
from web.errors import NotFound
from web.service import service
from zoo.blobs import BlobMissing

KIND = "check"


def report_of(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report of a check that is done; None for any other job, and for a report that cannot be read."""
    if job["kind"] != KIND or job["state"] != "done":
        return None
    try:
        return read_report(service().blobs.path(layers.file_of(job, "report.json")["sha256"]))
    except (NotFound, BlobMissing, ValueError):
        return None


def draft_of(job: Mapping[str, Any]) -> str:
    """The address of the draft that the job checks, for its author and reviewers; empty for anybody else."""
    account, uuid = current_account(), job["source"].get("submission")
    if account is None or not uuid:
        return ""
    if account.id == job["owner"]:
        return f"/publish/{uuid}"
    return f"/review/{uuid}" if account.has_role("reviewer") else ""
