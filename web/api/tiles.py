"""/images/<id>/planes/…/tiles and thumbnails: pictures of an image for the viewer, in display contrast."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("api_tiles", __name__)
