"""Which preview a job runs again, which ones ran it again, and what was changed between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from scheduler.jobs import JobMissing
from web import visitors
from web.legend import model_of
from web.model_settings import settings_data
from web.service import service
from zoo.preview_settings import BY_NAME

LATER_SHOWN = 10
CHANGES_SHOWN = 3


def around(job: Mapping[str, Any]) -> dict[str, Any]:
    """{earlier: relative or None, later: relatives, the newest first}, each {uuid, state, created_at, changes}.

    The later ones are told to their owner alone: who was given one link was not given the others. `changes` are a few
    words on what the later of the two does differently.
    """
    scheduler, owner = service().scheduler, visitors.known_visitor()
    earlier = None
    if job["rerun_of"]:
        try:
            before = scheduler.job(job["rerun_of"])
            earlier = _relative(before, changes(before, job))
        except JobMissing:
            pass
    later = []
    if owner is not None and owner == job["owner"]:
        found = scheduler.jobs_of(owner, size=LATER_SHOWN, rerun_of=job["uuid"])
        later = [_relative(stored.body, changes(job, stored.body)) for stored in found.items]
    return {"earlier": earlier, "later": later}


def try_query(job: Mapping[str, Any]) -> str:
    """The query of the Try page on which the job of this view stands as it was, to be run again with changes."""
    source, model = job["source"], model_of(job)
    pixel_size = source.get("pixel_size_um")
    address = {
        "image": source["image_id"] or "",
        "roi": ",".join(map(str, source["roi"])),
        "plane": source["plane"],
        "model": job["model"]["id"],
        "rerun": job["uuid"],
        "channels": ",".join(map(str, source["channels"] or [])),
        "px": pixel_size or "",
    }
    # Settings in which the model leaves no choice are not on that page.
    there = settings_data([model])["models"][model["id"]] if model else job["settings"]
    address |= {f"set.{name}": value for name, value in job["settings"].items() if name in there and value is not None}
    return urlencode({name: value for name, value in address.items() if value != ""}, safe=",")


def _relative(job: Mapping[str, Any], changed: str) -> dict[str, Any]:
    return {"uuid": job["uuid"], "state": job["state"], "created_at": job["created_at"], "changes": changed}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Such as "threshold 0.7 instead of 0.5, another region"; "the same settings" when nothing differs."""
    told = []
    if before["model"]["package_sha256"] != after["model"]["package_sha256"]:
        told.append(f"{after['model']['name']} {after['model']['version']}")
    if before["source"]["image_sha256"] != after["source"]["image_sha256"]:
        told.append("another image")
    elif before["source"]["roi"] != after["source"]["roi"]:
        told.append("another region")
    elif (before["source"].get("plane"), before["source"].get("channels")) != (
        after["source"].get("plane"),
        after["source"].get("channels"),
    ):
        told.append("another plane or other channels")
    for name, value in after["settings"].items():
        if name in before["settings"] and value != before["settings"][name]:
            label = BY_NAME[name].label.lower() if name in BY_NAME else name
            told.append(f"{label} {_said(value)} instead of {_said(before['settings'][name])}")
    more = len(told) - CHANGES_SHOWN
    if more > 0:
        told = [*told[:CHANGES_SHOWN], f"{more} more {'change' if more == 1 else 'changes'}"]
    return ", ".join(told) or "the same settings"


def _said(value: Any) -> str:
    return "automatic" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
