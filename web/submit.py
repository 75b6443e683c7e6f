"""Turning a checked request for previews into jobs: crop, blob, queue."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

from scheduler.service import JobRequest
from web import visitors
from web.estimates import expected
from web.previews import Checked, Request, check_model
from web.service import service
from zoo.errors import ZooscopeError
from zoo.images import Crop, encode_crop, read_region
from zoo.preview_settings import resolve


def submit(request: Request) -> list[dict[str, Any]]:
    """A job per model, all or none; returns the job documents. Raises UserErrors, and Unavailable without a queue."""
    parts = service()
    checked = [check_model(request, model, version) for model, version in request.models]
    crop = encode_crop(_cut(request))
    jobs: list[dict[str, Any]] = []
    try:
        # Held until the documents refer to the crop: nobody may take its blob for garbage meanwhile.
        with parts.scheduler.blob_lock:
            input_sha256 = parts.blobs.put_bytes(crop).sha256
            for one in checked:
                jobs.append(parts.scheduler.submit(_job_request(request, one, input_sha256)))
    except ZooscopeError:
        for job in jobs:
            # The queue that failed now may also fail to forget; the job is cancelled all the same.
            with contextlib.suppress(ZooscopeError):
                parts.scheduler.delete(job["uuid"])
        parts.scheduler.forget_blob(hashlib.sha256(crop).hexdigest())
        raise
    return jobs


def rerun(job: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The same model version on the same pixels, with `settings` in place of the old ones where given."""
    model = service().catalogue.get(job["model"]["id"], job["model"]["version"])
    request = JobRequest(
        kind="preview",
        owner=visitors.visitor(),
        model=job["model"],
        settings=resolve(job["settings"] | settings, model),
        input_sha256=job["input"]["sha256"],
        source=job["source"],
        estimate_seconds=job["estimate"]["seconds"],
        load_seconds=job["estimate"]["load_s"],
        rerun_of=job["uuid"],
    )
    return service().scheduler.submit(request)


def _cut(request: Request) -> Crop:
    """The pixels of the region, in the chosen channels."""
    parts = service()
    pixels = read_region(
        parts.blobs.path(request.image["sha256"]),
        request.image["name"],
        parts.settings,
        request.region,
        request.plane,
        request.channels,
    )
    rgb = request.info.rgb and request.channels in (None, (0, 1, 2))
    return Crop(pixels, request.pixel_size, rgb, request.region)


def _job_request(request: Request, checked: Checked, input_sha256: str) -> JobRequest:
    model, workers = checked.model, service().scheduler.status()["workers"]
    return JobRequest(
        kind="preview",
        owner=visitors.visitor(),
        model={
            "id": model["id"],
            "version": model["version"],
            "name": model["name"],
            "package_sha256": model["package_sha256"],
            "head_kind": model["head"]["kind"],
        },
        settings=checked.settings,
        input_sha256=input_sha256,
        source={
            "image_id": request.image["id"],
            "image_name": request.image["name"],
            "image_sha256": request.image["sha256"],
            "roi": request.region.to_json(),
            "plane": request.plane,
            "channels": None if request.channels is None else list(request.channels),
            "rgb": request.info.rgb,
            "pixel_size_um": request.pixel_size.x_um if request.pixel_size else None,
        },
        estimate_seconds=expected(request, checked, workers).seconds,
        # The lease must do for a worker that has to load the model, whoever it will be.
        load_seconds=expected(request, checked, workers, cold=True).load_s,
    )
