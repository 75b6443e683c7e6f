"""/submissions/<uuid>/files and /uploads: sending the files of a submission, whole or in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from flask import Blueprint, Response, jsonify, request

from web import files, renders, submission_files
from web.api.query import only
from web.api.submissions import submission_view
from web.errors import NotFound
from web.json_body import BadField
from web.service import service
from web.submission_access import own_submission, readable_submission
from web.upload_parts import OtherOffset, Parts, read_range
from zoo.images import inspect
from zoo.pyramid import Pyramid, draw_plane
from zoo.submissions import Body, check_role

blueprint = Blueprint("api_submission_files", __name__)

LONGEST_KEY = 400
THUMBNAIL_PX = 384


def _parts() -> Parts:
    return Parts(service().uploads_folder, service().settings.free_disk_bytes)


def _key() -> str:
    only({"key"})
    key = request.args.get("key", "")
    if len(key) > LONGEST_KEY:
        raise BadField(f"The key has {len(key)} characters.", f"Use at most {LONGEST_KEY}.")
    return key


@blueprint.put("/submissions/<uuid>/files/<role>")
def put_file(uuid: str, role: str) -> Any:
    """The bytes of a file, or with Content-Range some of them: 202 says how many have come, 200 what the file is."""
    body = own_submission(uuid)
    submission_files.check_open(body)
    limit, key = submission_files.limit_of(role), _key()
    request.max_content_length = limit
    name = unquote(request.headers.get("X-Filename", ""))[:1000]
    span = read_range(request.headers.get("Content-Range"), request.content_length)
    parts, owner = _parts(), f"{uuid}-{role}"
    try:
        with parts.appended(owner, key, cast(BinaryIO, request.stream), span, limit) as (path, whole):
            if not whole:
                return jsonify({"received": path.stat().st_size, "bytes": span.total}), 202
            try:
                changed, found = submission_files.keep(body, role, path, name)
            finally:
                path.unlink(missing_ok=True)
    except OtherOffset as error:
        return jsonify(error.to_json() | {"received": error.received}), error.status
    return jsonify({"submission": submission_view(changed), "found": found})


@blueprint.get("/submissions/<uuid>/uploads/<role>")
def get_upload(uuid: str, role: str) -> Any:
    """How many bytes of the file `key` have come, for who goes on with an upload."""
    own_submission(uuid)
    return jsonify({"received": _parts().received(f"{uuid}-{check_role(role)}", _key())})


@blueprint.delete("/submissions/<uuid>/files/<role>")
def delete_file(uuid: str, role: str) -> Any:
    own_submission(uuid)
    _parts().drop(f"{uuid}-{check_role(role)}")
    return jsonify(submission_view(service().submissions.remove_file(uuid, role)))


@blueprint.get("/submissions/<uuid>/files/<role>")
def get_file(uuid: str, role: str) -> Response:
    """A file as it was sent, for its author and the reviewers."""
    file = _file(readable_submission(uuid), role)
    path = service().blobs.path(file["sha256"])
    return files.send(path, "application/octet-stream", file["name"], file["sha256"])


@blueprint.get("/submissions/<uuid>/files/<role>/thumbnail.png")
def get_file_thumbnail(uuid: str, role: str) -> Response:
    """The test image or the cover, small."""
    file = _file(readable_submission(uuid), role)
    if role not in ("test_image", "cover"):
        raise NotFound("This file is no picture.")
    source = service().blobs.path(file["sha256"])
    path = renders.kept(file["sha256"], "submitted", lambda: _small(source, file["name"]))
    return files.send(path, "image/png", "thumbnail.png", f"{file['sha256']}-thumbnail")


def _file(body: Body, role: str) -> dict[str, Any]:
    file: dict[str, Any] | None = body["files"].get(check_role(role))
    if file is None:
        raise NotFound("The submission has no such file.", "It may have been replaced, or removed once published.")
    return file


def _small(path: Path, name: str) -> bytes:
    """The middle plane, as it is shown."""
    settings = service().settings
    info = inspect(path, name, settings)
    with renders.AT_ONCE:
        picture = draw_plane(path, settings, info, info.planes // 2, None, None, None)
    return renders.encode_png(Pyramid(picture).thumbnail(THUMBNAIL_PX))
