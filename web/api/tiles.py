"""/images/<id>/planes/…/tiles and thumbnails: pictures of an image for the viewer, in display contrast."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from flask import Blueprint, Response, request, send_file

from web import files, previews, renders, uploads
from web.api import query
from web.json_body import BadField
from web.service import service
from zoo.images import ImageInfo
from zoo.pyramid import Pyramid, draw_plane

blueprint = Blueprint("api_tiles", __name__)

THUMBNAIL_PX = 384
MOST_CHANNELS = 64


@blueprint.get("/images/<id>/planes/<int:plane>/tiles/<int:level>/<int:x>_<int:y>.png")
def get_tile(id: str, plane: int, level: int, x: int, y: int) -> Response:
    query.only({"channels", "low", "high"})
    body = uploads.readable_image(id)
    pyramid = _pyramid(body, plane, _channels(), _limit("low"), _limit("high"))
    response = Response(renders.encode_png(np.ascontiguousarray(pyramid.tile(level, x, y))), mimetype="image/png")
    # The pixels of an image never change, and its id is never given to another.
    return files.finish(response, immutable=True)


@blueprint.get("/images/<id>/thumbnail.png")
def get_thumbnail(id: str) -> Response:
    query.only({"plane"})
    body = uploads.readable_image(id)
    plane = query.integer("plane", 0, 0, 10**8)

    def draw() -> bytes:
        return renders.encode_png(_pyramid(body, plane, None, None, None).thumbnail(THUMBNAIL_PX))

    path = renders.kept(body["sha256"], f"thumbnail-{plane}", draw)
    response = send_file(path, mimetype="image/png", etag=path.stem, conditional=True)
    return files.finish(response, immutable=True)


def _pyramid(
    body: dict[str, Any], plane: int, channels: tuple[int, ...] | None, low: float | None, high: float | None
) -> Pyramid:
    parts = service()
    info = ImageInfo.from_json(body["info"])
    plane = previews.read_plane(plane, info)

    def draw() -> np.ndarray:
        path = parts.blobs.path(body["sha256"])
        with renders.AT_ONCE:
            return draw_plane(path, parts.settings, info, plane, channels, low, high)

    return parts.pyramids.get((body["sha256"], plane, channels, low, high), draw)


def _channels() -> tuple[int, ...] | None:
    text = request.args.get("channels", "")
    if not text:
        return None
    if not re.fullmatch(rf"[0-9]{{1,4}}(,[0-9]{{1,4}}){{0,{MOST_CHANNELS - 1}}}", text):
        raise BadField(f"channels is {text[:40]!r}.", "Give numbers counted from 0 with commas, such as 0,2,1.")
    return tuple(int(number) for number in text.split(","))


def _limit(name: str) -> float | None:
    text = request.args.get(name, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadField(f"{name} is {text[:40]!r}.", "Give a number.")
    return number
