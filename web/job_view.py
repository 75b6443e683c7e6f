"""A job as the page and the API show it: what a person needs, and nothing that belongs to owner or worker alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scheduler import contract
from scheduler.eta import Eta
from scheduler.jobs import FARTHEST_PLACE
from scheduler.service import Scheduler
from web import check_view, layers, visitors
from web.legend import legend
from web.service import SOFTWARE_VERSION, service

API = "/api/v1"
# An ETA is told anew when it is off by so much.
ETA_MOVED_SECONDS, ETA_MOVED_PART = 1.0, 0.1
MODEL_FIELDS = ("id", "version", "name", "package_sha256", "head_kind")
LAYERS = ("original.png", "probability.png", "mask.png", "tint.png", "thumbnail.png")


def view(scheduler: Scheduler, job: Mapping[str, Any], visitor: str | None) -> dict[str, Any]:
    """The job view of CONTRACT's API for `visitor`; the image behind the region is named to its owner alone."""
    uuid, mine = job["uuid"], job["owner"] == visitor
    place = scheduler.place(uuid) if job["state"] == "queued" else None
    eta = scheduler.etas.of(job, place)
    source = dict(job["source"])
    if not mine:
        source["image_id"] = None
    return {
        "uuid": uuid,
        "kind": job["kind"],
        "state": job["state"],
        "place": place,
        "eta": eta.to_json() if eta else None,
        "held": bool(job.get("held")),
        "progress": _progress(job, place, eta),
        "estimate": job.get("estimate"),
        "model": {name: job["model"].get(name) for name in MODEL_FIELDS} | {"doi": job["model"].get("doi") or ""},
        "settings": job["settings"],
        "source": source,
        "created_at": job.get("created_at"),
        "started_at": job.get("started_at"),
        "finished_at": job.get("finished_at"),
        "attempt": job.get("attempt", 0),
        "error": job.get("error"),
        "history": job.get("history") or [],
        "result": _result(job),
        "rerun_of": job.get("rerun_of"),
        "input_sha256": job["input"]["sha256"],
        "software_version": SOFTWARE_VERSION,
        "links": {
            "page": f"/r/{uuid}",
            "self": f"{API}/jobs/{uuid}",
            "log": f"{API}/jobs/{uuid}/log",
            "events": f"{API}/jobs/{uuid}/events",
            "original": layer_url(job, "original.png"),
            "overlay": _overlay_url(job),
        },
        "mine": mine,
    }


def view_here(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job view for the visitor of this request."""
    return view(service().scheduler, job, visitors.known_visitor())


def layer_url(job: Mapping[str, Any], layer: str) -> str:
    return f"{API}/jobs/{job['uuid']}/layers/{layer}"


def _file_url(job: Mapping[str, Any], name: str, sha256: str) -> str:
    return f"{API}/jobs/{job['uuid']}/files/{name}?sha256={sha256[:16]}"


def _overlay_url(job: Mapping[str, Any]) -> str | None:
    """Where the overlay is, as soon as it is somewhere: before the rest of the result."""
    files = (job.get("result") or {}).get("files", [])
    finished = next((file["sha256"] for file in files if file["name"] == contract.SHOWN_EARLY), None)
    sha256 = finished if job["state"] == "done" else layers.early_overlay(job)
    return _file_url(job, contract.SHOWN_EARLY, sha256) if sha256 else None


def _progress(job: Mapping[str, Any], place: int | None, eta: Eta | None) -> dict[str, Any] | None:
    if job["state"] == "queued":
        message = _why_it_waits(job, place or 0, eta)
        return {"stage": "queued", "label": contract.STAGES["queued"], "fraction": 0.0, "message": message}
    progress = job.get("progress")
    if not progress:
        return None
    stage = progress["stage"]
    return {
        "stage": stage,
        "label": contract.STAGE_LABELS.get(stage, stage),
        "fraction": progress.get("fraction", 0.0),
        "message": progress.get("message", ""),
    }


def _why_it_waits(job: Mapping[str, Any], place: int, eta: Eta | None) -> str:
    if job.get("held"):
        most = service().settings.running_per_owner
        run = "preview of the same person runs" if most == 1 else "previews of the same person run"
        return f"{most} {run}, as many as may at once; it starts when one of them ends"
    if eta is not None and not eta.workers:
        return "no worker that can run it is connected now; it starts when one is"
    if eta is not None and eta.paused_s:
        return f"the operator paused previews; they go on in {math.ceil(eta.paused_s / 60)} min"
    most = "more than " if place >= FARTHEST_PLACE else ""
    return f"{most}{place:,} {'job' if place == 1 else 'jobs'} before it" if place else ""


def worth_telling(before: Mapping[str, Any], now: Mapping[str, Any], passed_s: float) -> bool:
    """Whether `now` says anything new `passed_s` after `before`; an ETA that comes nearer as it should does not."""
    if {**before, "eta": None} != {**now, "eta": None}:
        return True
    told, true = before["eta"], now["eta"]
    if told is None or true is None or told["end_s"] is None or true["end_s"] is None:
        return (told or {}).get("end_s") != (true or {}).get("end_s")
    return any(
        abs(max(0.0, told[name] - passed_s) - true[name]) > max(ETA_MOVED_SECONDS, ETA_MOVED_PART * true["end_s"])
        for name in ("start_s", "end_s")
    )


def _result(job: Mapping[str, Any]) -> dict[str, Any] | None:
    result = job.get("result")
    if job["state"] != "done" or not result:
        return None
    base = f"{API}/jobs/{job['uuid']}"
    files = [
        {
            "name": file["name"],
            "url": _file_url(job, file["name"], file["sha256"]),
            "size": file["size"],
            "media_type": contract.MEDIA_TYPES.get(file["name"], "application/octet-stream"),
            "sha256": file["sha256"],
        }
        for file in result["files"]
    ]
    told = {
        "summary": result.get("summary") or {},
        "timings": result.get("timings") or {},
        "files": files,
        "zip": f"{base}/result.zip",
    }
    if job["kind"] == check_view.KIND:
        drawn = {"overlay": _overlay_url(job)}
        return told | {"layers": drawn, "objects": None, "legend": None, "report": check_view.report_of(job)}
    drawn = {layer.removesuffix(".png"): layer_url(job, layer) for layer in LAYERS}
    drawn["overlay"] = _overlay_url(job)
    return told | {"layers": drawn, "objects": f"{base}/objects", "legend": legend(job)}
