"""Turning a checked request for previews into jobs: crop, blob, queue."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from typing import Any

from scheduler.service import JobRequest
from web import visitors
from web.estimates import expected, megapixels
from web.previews import Checked, Request, check_document, check_model
from web.rerun import of_job, with_image
from web.service import service
from zoo.errors import ZooscopeError
from zoo.images import Crop, encode_crop
from zoo.package_requires import needs_of
from zoo.passes import frame_counts, passes
from zoo.planes import cut_crop
from zoo.preview_settings import resolve


def submit(request: Request, rerun_of: str | None = None, key: str | None = None) -> list[dict[str, Any]]:
    """A job per model, all or none; returns the job documents. `rerun_of` is the job whose request this one changes.

    The same request under the same idempotency `key` makes its jobs once. Raises UserErrors, and Unavailable without a
    queue.
    """
    checked = [check_model(request, model, version) for model, version in request.models]
    # Models that take as many planes share a crop.
    crops = {frames: encode_crop(_cut(request, frames)) for frames in {one.frames for one in checked}}
    jobs = [(one.frames, replace(_job_request(request, one), rerun_of=rerun_of)) for one in checked]
    if key is not None:
        uuid_for = service().scheduler.uuid_for
        jobs = [(frames, replace(job, uuid=uuid_for(job.owner, key, i))) for i, (frames, job) in enumerate(jobs)]
    return _queue([(crops[frames], job) for frames, job in jobs])


def rerun(job: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The same model version on the same pixels, with `settings` in place of the old ones where given.

    All is checked anew. Settings that take more planes than the job has are given them from its image, if that is
    still there. Raises UserErrors, and Unavailable without a queue.
    """
    request, document = of_job(job, settings), service().catalogue.get(job["model"]["id"], job["model"]["version"])
    held = request.info.depth
    wanted = max(frame_counts(resolve(request.settings, document)))
    if wanted > held:
        request = with_image(request, job, wanted)
    checked = check_document(request, document)
    again = replace(
        _job_request(request, checked),
        model=job["model"], source=job["source"], rerun_of=job["uuid"], input_sha256=job["input"]["sha256"],
    )  # fmt: skip
    if wanted > held:
        return _queue([(encode_crop(_cut(request, checked.frames)), again)])[0]
    return service().scheduler.submit(again)


def _queue(wanted: list[tuple[bytes, JobRequest]]) -> list[dict[str, Any]]:
    """A job for each crop and request, all or none."""
    parts = service()
    outcomes: list[dict[str, Any] | ZooscopeError] = []
    try:
        # Held until the documents refer to the crops: nobody may take their blobs for garbage meanwhile.
        with parts.scheduler.blob_lock:
            stored = [replace(request, input_sha256=parts.blobs.put_bytes(crop).sha256) for crop, request in wanted]
            outcomes = parts.scheduler.submit_all(stored)
        return [_accepted(outcome) for outcome in outcomes]
    except ZooscopeError:
        for outcome in outcomes:
            # The queue that failed now may also fail to forget; the job is cancelled all the same.
            if not isinstance(outcome, ZooscopeError):
                with contextlib.suppress(ZooscopeError):
                    parts.scheduler.delete(outcome["uuid"])
        for crop, _ in wanted:
            parts.scheduler.forget_blob(hashlib.sha256(crop).hexdigest())
        raise


def _accepted(outcome: dict[str, Any] | ZooscopeError) -> dict[str, Any]:
    if isinstance(outcome, ZooscopeError):
        raise outcome
    return outcome


def _cut(request: Request, frames: int) -> Crop:
    """The pixels of the region, in the chosen channels, with the planes beside it that `frames` planes at once take."""
    parts = service()
    return cut_crop(
        parts.blobs.path(request.image["sha256"]),
        request.image["name"],
        parts.settings,
        request.info,
        request.region,
        request.plane,
        request.channels,
        request.pixel_size,
        frames,
    )


def _job_request(request: Request, checked: Checked) -> JobRequest:
    """Without the crop, which is stored last."""
    model, workers = checked.model, service().scheduler.workers.present()
    # The lease must do for a worker that has to load the model, whoever it will be.
    cold = expected(request, checked, workers, cold=True)
    return JobRequest(
        kind="preview",
        owner=visitors.visitor(),
        address=visitors.address(),
        model={
            "id": model["id"],
            "version": model["version"],
            "name": model["name"],
            "package_sha256": model["package_sha256"],
            "head_kind": model["head"]["kind"],
            "doi": model.get("doi") or "",
        },
        settings=checked.settings,
        requires=needs_of(model),
        input_sha256="",
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
        load_seconds=cold.load_s,
        computing_seconds=cold.seconds - cold.load_s,
        ert_seconds=cold.ert_seconds,
        work=megapixels(request, checked) * passes(checked.settings),
    )
