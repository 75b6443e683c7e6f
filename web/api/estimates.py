"""/estimates: how long previews will take, and how well models suit the image, before anything is queued."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify, request

from web import json_body, previews
from web.estimates import estimate

blueprint = Blueprint("api_estimates", __name__)


@blueprint.post("/estimates")
def make_estimates() -> Any:
    body = json_body.read(request, previews.FIELDS, {"image", "models"})
    return jsonify(estimate(previews.read_request(body)))
