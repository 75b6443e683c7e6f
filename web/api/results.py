"""/jobs/<uuid>/files, /objects, /result.zip and /layers: what a finished preview left, for anybody with the link."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request, send_file

from scheduler.contract import MEDIA_TYPES
from web import files, layers, objects
from web.api import query
from web.api.jobs import known_job
from web.errors import NotFound
from web.service import service

blueprint = Blueprint("api_results", __name__)

CHUNK_BYTES = 2**18
MOST_MAPS = 1024
# A fixed date, so that the same result gives the same zip.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
COMPRESSED_ALREADY = (".png",)


@blueprint.get("/jobs/<uuid>/files/<name>")
def get_file(uuid: str, name: str) -> Response:
    job = known_job(uuid)
    file = layers.file_of(job, name)
    sha256 = file["sha256"]
    return files.send(
        service().blobs.path(sha256),
        MEDIA_TYPES.get(name, "application/octet-stream"),
        files.download_name(_stem(job), name),
        sha256,
        files.asked_by_content(sha256),
    )


@blueprint.get("/jobs/<uuid>/layers/<name>")
def get_layer(uuid: str, name: str) -> Response:
    """`?map=` chooses one of the maps that the legend of the job's view names."""
    chosen = query.integer("map", 0, 0, MOST_MAPS) if request.args.get("map") else None
    path = layers.layer(known_job(uuid), name, chosen)
    return files.finish(send_file(path, mimetype="image/png", etag=path.stem, conditional=True), immutable=False)


@blueprint.get("/jobs/<uuid>/objects")
def get_objects(uuid: str) -> Response:
    path = objects.compact(known_job(uuid))
    if "gzip" not in request.accept_encodings:
        return Response(gzip.decompress(path.read_bytes()), mimetype="application/json")
    response = send_file(path, mimetype="application/json", etag=path.name, conditional=True)
    response.content_encoding = "gzip"
    response.vary.add("Accept-Encoding")
    return files.finish(response, immutable=False)


@blueprint.get("/jobs/<uuid>/result.zip")
def get_zip(uuid: str) -> Response:
    job = known_job(uuid)
    if job["state"] != "done":
        raise NotFound("This job has no result.", "Files are there once the job is done.")
    members = [(file["name"], service().blobs.path(file["sha256"])) for file in job["result"]["files"]]
    etag = hashlib.sha256("".join(file["sha256"] for file in job["result"]["files"]).encode()).hexdigest()
    response = Response(_zip(members), mimetype="application/zip")
    response.set_etag(etag)
    response.headers.set("Content-Disposition", "attachment", filename=f"{_stem(job)}.zip")
    files.finish(response, immutable=False)
    response.make_conditional(request)
    return response


def _stem(job: dict[str, Any]) -> str:
    """Such as cells-nuclei-1a2b3c4d: image, model, and the beginning of the job's uuid."""
    return files.download_name(Path(job["source"]["image_name"]).stem[:60], job["model"]["id"], job["uuid"][:8])


class _Sink:
    """A file that only grows, emptied while it is written."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def write(self, data: bytes) -> int:
        self.waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        data = bytes(self.waiting)
        self.waiting.clear()
        return data


def _zip(members: list[tuple[str, Path]]) -> Iterator[bytes]:
    """A zip of `members`, never held whole in memory or on disk."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for name, path in members:
            entry = zipfile.ZipInfo(name, ZIP_DATE)
            stored = name.endswith(COMPRESSED_ALREADY)
            entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            entry._compresslevel = 1  # type: ignore[attr-defined]
            entry.external_attr = 0o644 << 16
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(entry, "w") as target:
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)
                    if sink.waiting:
                        yield sink.take()
    yield sink.take()
