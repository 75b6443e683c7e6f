"""/models: search the zoo, one model, the files of its package; /preview-settings."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from flask import Blueprint, Response, jsonify, request, send_file

from web import files, renders, search_state, uploads
from web.api import query
from web.errors import NotFound
from web.service import service
from zoo.catalogue import FACETS, OLD_FACETS, SORTS
from zoo.display import to_display
from zoo.images import read_region
from zoo.preview_settings import INPUT_SETTINGS, PREVIEW_SETTINGS, settings_for_model

blueprint = Blueprint("api_models", __name__)

# Least first, unless the request says otherwise.
ASCENDING = ("name", "speed_s_per_mp")


@blueprint.get("/models")
def list_models() -> Any:
    query.only({"q", "page", "size", "sort", "order", *search_state.PIXEL_FIELDS, *FACETS, *OLD_FACETS})
    page, size = query.page_and_size()
    filters = {name: request.args.getlist(name) for name in (*FACETS, *OLD_FACETS) if name in request.args}
    sort = query.choice("sort", SORTS, "_score")
    order = query.choice("order", ("asc", "desc"), "asc" if sort in ASCENDING else "desc")
    ranges = search_state.asked_ranges()
    found = service().catalogue.search(query.search_text(), filters, sort, order == "desc", page, size, ranges)
    return jsonify({"items": [item.body for item in found.items], "total": found.total, "facets": found.facets})


@blueprint.get("/models/<id>")
def get_model(id: str) -> Any:
    return jsonify(service().catalogue.get(id))


@blueprint.get("/models/<id>/versions/<version>")
def get_model_version(id: str, version: str) -> Any:
    return jsonify(service().catalogue.get(id, version))


@blueprint.get("/models/<id>/versions/<version>/package.zip")
def get_package(id: str, version: str) -> Response:
    model = service().catalogue.get(id, version)
    sha256 = model["package_sha256"]
    name = files.download_name(id, version) + ".zip"
    answer = files.send(service().blobs.path(sha256), "application/zip", name, sha256, files.asked_by_content(sha256))
    # The rest of a download that broke off is no second one.
    begun = answer.status_code == 200 or (answer.content_range and answer.content_range.start == 0)
    if begun and request.method == "GET":
        service().usage.count(id, "downloads")
    answer.headers["Repr-Digest"] = f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:"
    return answer


@blueprint.get("/models/<id>/versions/<version>/cover.png")
def get_cover(id: str, version: str) -> Response:
    model = service().catalogue.get(id, version)
    return _picture(model, model["cover"])


@blueprint.get("/models/<id>/versions/<version>/cover-before.png")
def get_cover_before(id: str, version: str) -> Response:
    """What the cover shows, without the result drawn over it."""
    model = service().catalogue.get(id, version)
    return _picture(model, model.get("cover_before") or model["cover"])


@blueprint.get("/models/<id>/versions/<version>/samples/<int:number>")
def get_sample(id: str, version: str, number: int) -> Response:
    """The sample as a picture; `POST /images/from-sample` gives its pixels."""
    model = service().catalogue.get(id, version)
    return _picture(model, uploads.sample_of(model, number)["file"])


def _picture(model: dict[str, Any], member: str) -> Response:
    """A picture of a package in display contrast, drawn once; packages of others may have none that a page shows."""
    if not member:
        raise NotFound("This model has no such picture.")

    def draw() -> bytes:
        parts = service()
        with uploads.spooled(parts.catalogue.package(model["id"], model["version"]).open(member)) as path:
            info = uploads.inspect(path, member, parts.settings)
            return renders.encode_png(to_display(read_region(path, member, parts.settings, None), info.rgb))

    path = renders.kept(model["package_sha256"], f"member-{member}", draw)
    response = send_file(path, mimetype="image/png", etag=path.stem, conditional=True)
    return files.finish(response, files.asked_by_content(model["package_sha256"]))


@blueprint.get("/preview-settings")
def list_preview_settings() -> Any:
    query.only({"model", "version"})
    model = request.args.get("model")
    found = PREVIEW_SETTINGS
    if model is not None:
        found = settings_for_model(service().catalogue.get(model, request.args.get("version")))
    items = [setting.to_json() for setting in found]
    return jsonify({"items": items, "inputs": [setting.to_json() for setting in INPUT_SETTINGS]})
