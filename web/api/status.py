"""/status: is it me or the service?"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from web.service import SOFTWARE_VERSION, service

blueprint = Blueprint("api_status", __name__)


@blueprint.get("/status")
def get_status() -> Any:
    return jsonify(service().scheduler.status() | {"software_version": SOFTWARE_VERSION})
