"""/images: upload, take a sample, list, look at, delete."""

from __future__ import annotations

from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from flask import Blueprint, jsonify, request
from werkzeug.exceptions import UnsupportedMediaType

from web import json_body, uploads, visitors
from web.api import query
from web.json_body import BadField
from web.service import service
from zoo.images import ImageInfo
from zoo.settings import KIB

blueprint = Blueprint("api_images", __name__)

# What a form adds around its file.
FORM_BYTES = 64 * KIB


def image_view(body: dict[str, Any]) -> dict[str, Any]:
    """An image as the API shows it."""
    base = f"/api/v1/images/{body['id']}"
    info = ImageInfo.from_json(body["info"]).to_json()
    shown = ("width", "height", "planes", "depth", "channels", "channel_names", "dtype", "rgb", "pixel_size", "format")
    return {
        "id": body["id"],
        "name": body["name"],
        "sha256": body["sha256"],
        "bytes": body["size"],
        "created_at": body["created_at"],
        "mine": body["owner"] is not None,
        "origin": body["origin"],
        **{name: info[name] for name in shown},
        "urls": {
            "self": base,
            "tiles": f"{base}/planes/{{plane}}/tiles/{{level}}/{{x}}_{{y}}.png?channels=",
            "thumbnail": f"{base}/thumbnail.png",
        },
    }


@blueprint.post("/images")
def upload_image() -> Any:
    """A multipart form with one `file`, or the bytes themselves with the name in X-Filename."""
    request.max_content_length = service().settings.upload_bytes + FORM_BYTES
    if request.mimetype == "multipart/form-data":
        if list(request.files) != ["file"] or len(request.files.getlist("file")) != 1:
            raise BadField("The form holds no file, or several.", "Send one file in the field 'file'.")
        file = request.files["file"]
        body = uploads.receive(cast(BinaryIO, file.stream), file.filename or "image")
    elif "X-Filename" in request.headers:
        name = unquote(request.headers["X-Filename"])
        body = uploads.receive(cast(BinaryIO, request.stream), name, request.content_length)
    else:
        raise UnsupportedMediaType
    return jsonify(image_view(body)), 201


@blueprint.post("/images/from-sample")
def image_from_sample() -> Any:
    body = json_body.read(request, {"model", "version", "sample"}, {"model", "sample"})
    model, version, sample = body["model"], body.get("version"), body["sample"]
    if not isinstance(model, str) or not isinstance(version, str | None):
        raise BadField("'model' or 'version' is not a text.", "Send them as in the model's document.")
    if isinstance(sample, bool) or not isinstance(sample, int):
        raise BadField("'sample' is not a whole number.", "Samples are counted from 0.")
    return jsonify(image_view(uploads.from_sample(model, version, sample))), 201


@blueprint.get("/images")
def list_images() -> Any:
    query.only({"page", "size"})
    page, size = query.page_and_size()
    owner = visitors.known_visitor()
    if owner is None:
        return jsonify({"items": [], "total": 0})
    found = uploads.images_of(owner, page, size)
    return jsonify({"items": [image_view(item.body) for item in found.items], "total": found.total})


@blueprint.get("/images/<id>")
def get_image(id: str) -> Any:
    return jsonify(image_view(uploads.readable_image(id)))


@blueprint.delete("/images/<id>")
def delete_image(id: str) -> Any:
    uploads.delete_image(id)
    return "", 204
