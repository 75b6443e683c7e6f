"""What a preview will take and how well each model suits the image, said before Run is pressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scheduler import ert
from scheduler.capabilities import Needs
from scheduler.eta import Eta
from scheduler.forecast import Task
from web import visitors
from web.previews import Checked, Request, check_model
from web.service import service
from zoo.errors import UserError
from zoo.package_requires import needs_of
from zoo.passes import passes
from zoo.pixel_scale import CLOSE_ENOUGH

KIND = "preview"
# Beyond these factors details are lost or invented.
GENTLE_SCALE = (0.5, 2.0)


def estimate(request: Request) -> dict[str, Any]:
    """The answer of POST /estimates: an item per model in the order asked, and the queue they would join."""
    scheduler = service().scheduler
    workers, owner = scheduler.workers.present(), visitors.known_visitor() or ""
    priority = scheduler.etas.priority(KIND, owner)
    items = [_item(request, model, version, owner, priority, workers) for model, version in request.models]
    ahead = max((item.pop("ahead") for item in items), default=0)
    return {"items": items, "queue": {"ahead": ahead, "workers": len(workers)}}


def expected(
    request: Request, checked: Checked, workers: Sequence[Mapping[str, Any]], cold: bool = False
) -> ert.Estimate:
    """Expected runtime of one checked preview on the `workers` of the status, on the pixels that the model will see.

    A model some worker has loaded costs no loading, unless `cold` asks for the longest case.
    """
    warm = not cold and any(checked.model["package_sha256"] in worker["models"] for worker in workers)
    device = next((worker["device"] for worker in workers if worker["device"].startswith("gpu")), "cpu")
    figures = service().scheduler.figures(checked.model["package_sha256"], checked.model.get("ert") or {}, device)
    return ert.estimate(figures, megapixels(request, checked), passes(checked.settings), service().settings, warm)


def megapixels(request: Request, checked: Checked) -> float:
    """The region in the model's own pixels."""
    height, width = checked.scale.shape(request.region.height, request.region.width)
    return height * width / 1e6


def _item(
    request: Request, model: str, version: str | None, owner: str, priority: int, workers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    try:
        checked = check_model(request, model, version)
    except UserError as error:
        refused = error.to_json()["error"]
        return {
            "model": model, "version": version, "ok": False, "seconds": None, "load_s": None, "eta": None, "ahead": 0,
            "text": error.message,
            "scale": None, "suitability": 0.0, "reasons": [f"{error.message} {error.hint}".strip()], "error": refused,
        }  # fmt: skip
    time = expected(request, checked, workers)
    eta, ahead = _eta(request, checked, owner, priority, workers)
    time = _on_its_worker(time, eta)
    suitability, reasons = suits(request, checked)
    return {
        "model": model, "version": checked.model["version"], "ok": True, "seconds": time.seconds,
        "load_s": time.load_s, "eta": eta.to_json(), "ahead": ahead, "text": say_time(time, eta, ahead),
        "scale": checked.scale.factor,
        "suitability": suitability, "reasons": reasons, "error": None,
    }  # fmt: skip


def _eta(
    request: Request, checked: Checked, owner: str, priority: int, workers: Sequence[Mapping[str, Any]]
) -> tuple[Eta, int]:
    """When the preview would start and end if it was submitted now, and how many would be before it."""
    cold = expected(request, checked, workers, cold=True)
    work = megapixels(request, checked) * passes(checked.settings)
    task = Task("", owner, "", checked.model["package_sha256"], work, cold.seconds - cold.load_s, cold.load_s)
    return service().scheduler.etas.of_new(KIND, Needs.read(needs_of(checked.model)), priority, task)


def _on_its_worker(time: ert.Estimate, eta: Eta) -> ert.Estimate:
    """With the loading that is left by the time that a worker is free: a job before it may have loaded the model."""
    if eta.start_s is None or eta.end_s is None:
        return time
    computing = time.seconds - time.load_s
    load = min(time.load_s, max(0.0, eta.end_s - eta.start_s - computing))
    return replace(time, seconds=computing + load, load_s=load)


def suits(request: Request, checked: Checked) -> tuple[float, list[str]]:
    """How well the model suits the image, 0..1 for sorting, and the reasons a person reads."""
    suitability, size_reason = _size_suits(request, checked)
    if checked.channels.kind != "take":
        suitability -= 0.1
    return max(suitability, 0.05), [size_reason, checked.channels.text]


def _size_suits(request: Request, checked: Checked) -> tuple[float, str]:
    wanted = checked.model.get("pixel_size_um")
    if not wanted:
        return 0.45, "made for no particular pixel size"
    made_for = say_length(wanted)
    if request.pixel_size is None:
        return 0.5, f"made for {made_for}; the image's pixel size is not known"
    if checked.scale.changes:
        gentle = GENTLE_SCALE[0] <= checked.scale.factor <= GENTLE_SCALE[1]
        return (0.8 if gentle else 0.25), f"made for {made_for}: will be resized ×{checked.scale.factor:.2g}"
    if abs(request.pixel_size.x_um / wanted - 1) <= CLOSE_ENOUGH:
        return 1.0, f"{made_for}: matches"
    if checked.model.get("pixel_size_nominal"):
        return 0.6, f"made for about {made_for}; used as it is"
    return 0.3, f"made for {made_for}; not resized, because resizing is off"


def say_length(micrometres: float) -> str:
    """A pixel size in the unit a person would use: nm below 0.1 µm."""
    return f"{micrometres * 1000:.3g} nm" if micrometres < 0.1 else f"{micrometres:.3g} µm"


def say_time(time: ert.Estimate, eta: Eta, ahead: int) -> str:
    """Such as "about 14 s: 8 s until a worker is free (1 job before yours), 4 s of work, up to 2 s to load it"."""
    parts = [f"{_seconds(time.seconds - time.load_s)} of work"]
    if time.load_s >= 0.5:
        parts.append(f"up to {_seconds(time.load_s)} to load the model")
    before = f"{ahead} {'job' if ahead == 1 else 'jobs'} before yours" if ahead else ""
    start = eta.start_s or 0.0
    if start >= 1:
        parts.insert(0, f"{_seconds(start)} until a worker is free" + (f" ({before})" if before else ""))
    elif before:
        parts.append(before)
    if not eta.workers:
        parts.append("once a worker is there: none is now")
    return f"about {_seconds(start + time.seconds)}: {', '.join(parts)}"


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 1):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
