"""Images of visitors: uploaded, made from a package's sample, read, deleted. Documents of the collection `images`.

An upload goes to a temporary file in the data folder, is inspected there, and becomes a blob only when it is an image
that can be read. The owner alone reads an uploaded image (result links show the region that was computed, no more);
samples are published with their model and belong to everybody.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from web import visitors
from web.errors import Forbidden, NotFound
from web.service import service
from zoo.blobs import Blob, BlobTooLarge
from zoo.disk import check_free
from zoo.documents import DocumentExists, DocumentMissing, Page, Query
from zoo.errors import UserError
from zoo.identifiers import is_uuid, new_uuid, safe_file_name
from zoo.images import ImageInfo, inspect

COLLECTION = "images"
CHUNK_BYTES = 2**20


class EmptyUpload(UserError):
    code = "empty-upload"


class BrokenUpload(UserError):
    code = "broken-upload"


def receive(stream: BinaryIO, name: str, expected_size: int | None = None) -> dict[str, Any]:
    """Store a stranger's image file; returns its document. Raises what `inspect` refuses, 413 and 507.

    `expected_size` is what the client said it would send: less is an upload that broke off.
    """
    with tempfile.NamedTemporaryFile(dir=service().uploads_folder) as spool:
        size = _copy(stream, spool)
        if size == 0:
            raise EmptyUpload("The file is empty.", "Choose an image file with something in it.")
        if expected_size is not None and size != expected_size:
            raise BrokenUpload("The upload broke off before its end.", "Send the file again.")
        spool.flush()
        return _keep(Path(spool.name), safe_file_name(name))


@contextlib.contextmanager
def spooled(data: bytes) -> Iterator[Path]:
    """A temporary file of `data`, for readers that want a path."""
    with tempfile.NamedTemporaryFile(dir=service().uploads_folder) as spool:
        spool.write(data)
        spool.flush()
        yield Path(spool.name)


def _copy(source: BinaryIO, target: Any) -> int:
    settings, size = service().settings, 0
    while chunk := source.read(CHUNK_BYTES):
        size += len(chunk)
        if size > settings.upload_bytes:
            raise BlobTooLarge(
                f"The file is larger than {settings.upload_bytes / 2**20:,.0f} MB.",
                "Cut out the part you are interested in, or save it compressed.",
            )
        check_free(settings.data, len(chunk), settings.free_disk_bytes)
        target.write(chunk)
    return size


def _keep(path: Path, name: str) -> dict[str, Any]:
    parts = service()
    info = inspect(path, name, parts.settings)
    with parts.scheduler.blob_lock:
        blob = parts.blobs.put_file(path)
        return _create(new_uuid(), visitors.visitor(), name, blob, info, origin=None)


def _create(
    id: str, owner: str | None, name: str, blob: Blob, info: ImageInfo, origin: dict[str, Any] | None
) -> dict[str, Any]:
    body = {
        "id": id,
        "owner": owner,
        "name": name,
        "sha256": blob.sha256,
        "size": blob.size,
        "created_at": time.time(),
        "info": info.to_json(),
        "origin": origin,
    }
    return service().documents.create(COLLECTION, id, body).body


def from_sample(model: str, version: str | None, number: int) -> dict[str, Any]:
    """The image of a package's sample; the same document for everybody who asks for it."""
    parts = service()
    document = parts.catalogue.get(model, version)
    sample = sample_of(document, number)
    key = f"{document['package_sha256']}/{sample['file']}"
    id = hashlib.sha256(key.encode()).hexdigest()[:32]
    try:
        return parts.documents.get(COLLECTION, id).body
    except DocumentMissing:
        pass
    name = Path(sample["file"]).name
    origin = {"model": model, "version": document["version"], "sample": number}
    origin |= {field: sample.get(field, "") for field in ("title", "origin", "licence")}
    with spooled(parts.catalogue.package(model, document["version"]).open(sample["file"])) as path:
        info = _with_pixel_size(inspect(path, name, parts.settings), sample.get("pixel_size_um"))
        with parts.scheduler.blob_lock:
            blob = parts.blobs.put_file(path)
            try:
                return _create(id, None, sample.get("title") or name, blob, info, origin)
            except DocumentExists:
                return parts.documents.get(COLLECTION, id).body


def sample_of(document: dict[str, Any], number: int) -> dict[str, Any]:
    samples: list[dict[str, Any]] = document.get("samples") or []
    if not 0 <= number < len(samples):
        raise NotFound(f"{document['name']} has no sample {number}.", f"It has {len(samples)}, counted from 0.")
    return samples[number]


def _with_pixel_size(info: ImageInfo, pixel_size_um: float | None) -> ImageInfo:
    if info.pixel_size is not None or not pixel_size_um:
        return info
    return ImageInfo.from_json(info.to_json() | {"pixel_size": {"x_um": pixel_size_um, "y_um": pixel_size_um}})


def readable_image(id: str) -> dict[str, Any]:
    """The image's document if this visitor may see it; raises NotFound or Forbidden."""
    missing = NotFound("There is no such image.", "It may have been deleted: upload it again.")
    if not is_uuid(id):
        raise missing
    try:
        body = service().documents.get(COLLECTION, id).body
    except DocumentMissing:
        raise missing from None
    if body["owner"] not in (None, visitors.known_visitor()):
        raise Forbidden("This image belongs to another visitor.", "Upload your own copy.")
    return body


def images_of(owner: str, page: int, size: int) -> Page:
    return service().documents.search(
        COLLECTION, Query(filters={"owner": [owner]}, sort="created_at", page=page, size=size)
    )


def delete_image(id: str) -> None:
    """Forget an uploaded image; its file goes when nothing else needs it. Results made from it stay."""
    body = readable_image(id)
    if body["owner"] is None:
        raise Forbidden("A sample belongs to its model and cannot be deleted.")
    service().documents.delete(COLLECTION, id)
    service().scheduler.forget_blob(body["sha256"])
