"""/status: is it me or the service?"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from web.service import SOFTWARE_VERSION, service

blueprint = Blueprint("api_status", __name__)

# What strangers may know of a worker.
PUBLIC = ("name", "state", "device", "device_name", "seen_at")


@blueprint.get("/status")
def get_status() -> Any:
    status = service().scheduler.status()
    # A job's uuid is the key to its result, and tokens are nobody's business.
    workers = [{name: worker[name] for name in PUBLIC} for worker in status["workers"]]
    return jsonify(status | {"workers": workers, "software_version": SOFTWARE_VERSION})
