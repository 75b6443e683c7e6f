"""The viewer library, served as npm installed it, so that no third party's minified script lives in the repository."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

OPENSEADRAGON = Path(__file__).parent / "node_modules" / "openseadragon" / "build" / "openseadragon"
A_DAY = 86_400

blueprint = Blueprint("vendor", __name__)


@blueprint.get("/static/vendor/openseadragon.min.js")
def openseadragon() -> Response:
    """The viewer; 404 until `npm ci --prefix web` (part of `make install`) has been run."""
    return send_from_directory(OPENSEADRAGON, "openseadragon.min.js", max_age=A_DAY)
