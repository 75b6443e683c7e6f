"""A check as its page and the API show it: the report that its worker made, and the pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from web import layers
from web.accounts import current_account
from web.errors import NotFound
from web.service import service
from zoo.blobs import BlobMissing

KIND = "check"
MOST_REPORT_BYTES = 2**18


def report_of(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report of a check that is done; None for any other job, and for a report that cannot be read."""
    if job["kind"] != KIND or job["state"] != "done":
        return None
    try:
        return read_report(service().blobs.path(layers.file_of(job, "report.json")["sha256"]))
    except (NotFound, BlobMissing, ValueError):
        return None


def read_report(path: Path) -> dict[str, Any]:
    """The report of a worker in the file at `path`; raises ValueError for what is none."""
    if path.stat().st_size > MOST_REPORT_BYTES:
        raise ValueError("the report is too long")
    report = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(report, dict) or not isinstance(report.get("steps"), list):
        raise ValueError("the report has no steps")
    if not isinstance(report.get("passed"), bool) or not isinstance(report.get("ert"), dict):
        raise ValueError("the report lacks what it found")
    return report


def draft_of(job: Mapping[str, Any]) -> str:
    """The address of the draft that the job checks, for its author and reviewers; empty for anybody else."""
    account, uuid = current_account(), job["source"].get("submission")
    if account is None or not uuid:
        return ""
    if account.id == job["owner"]:
        return f"/publish/{uuid}"
    return f"/review/{uuid}" if account.has_role("reviewer") else ""
