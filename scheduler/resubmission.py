"""Submissions that may be sent twice: the same idempotency key of the same owner names the same job, for good.

A client whose connection broke before it heard the answer sends its submission again under the same key, to whatever
replica answers then, and gets the job that was accepted the first time, or a new one if none was.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any

from scheduler.jobs import JobMissing, JobRequest, Jobs
from zoo.errors import UserError

KEY = re.compile(r"[!-~]{8,200}")


class BadKey(UserError):
    code = "bad-idempotency-key"


class KeyReused(UserError):
    code = "key-reused"
    status = 409


def uuid_for(secret: str, owner: str, key: str, number: int = 0) -> str:
    """The uuid of the job that `owner` submits under `key`; `number` tells the jobs of one submission apart.

    Without the installation's `secret` nobody can guess it, even who knows owner and key. Raises BadKey.
    """
    if not KEY.fullmatch(key):
        raise BadKey("The Idempotency-Key is not valid.", "Give 8 to 200 visible characters, best a random UUID.")
    said = json.dumps(["zooscope.submission", owner, key, number])
    return hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()[:32]


def submitted_before(jobs: Jobs, request: JobRequest) -> str | None:
    """The uuid of the job that this very request made before; raises KeyReused when it was another request."""
    if request.uuid is None:
        return None
    try:
        body = jobs.get(request.uuid).body
    except JobMissing:
        return None
    if _asked(body["kind"], body["model"], body["settings"], body["input"]["sha256"]) != _asked(
        request.kind, request.model, request.settings, request.input_sha256
    ):
        raise KeyReused("This Idempotency-Key was used for another job.", "Use a new key for every submission.")
    return request.uuid


def _asked(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True, default=dict)
