"""The layers of a result: original, probability and mask, drawn from the job's input and result files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scheduler.contract import SHOWN_EARLY
from web import renders
from web.errors import NotFound
from web.service import service
from zoo.catalogue import ModelMissing
from zoo.display import to_display
from zoo.images import decode_crop, read_region

THUMBNAIL_PX = 384


def layer(job: Mapping[str, Any], name: str) -> Path:
    """The PNG of a layer of `job`; raises NotFound when the job has no such layer (yet)."""
    draw = DRAWN.get(name)
    if draw is None:
        raise NotFound(f"There is no layer {name!r}.", f"Layers: {', '.join(DRAWN)}.")
    return draw(job)


def _original(job: Mapping[str, Any]) -> Path:
    sha256 = job["input"]["sha256"]
    return renders.kept(sha256, "original", lambda: renders.encode_png(_input_picture(sha256)))


def _input_picture(sha256: str) -> np.ndarray:
    crop = decode_crop(service().blobs.path(sha256))
    return to_display(crop.pixels, crop.rgb)


def _probability(job: Mapping[str, Any]) -> Path:
    sha256 = file_of(job, "probability.ome.tif")["sha256"]
    channel = _foreground_channel(job)

    def draw() -> bytes:
        probability = _plane(sha256, "probability.ome.tif", channel)
        return renders.encode_png(np.rint(np.clip(np.nan_to_num(probability), 0, 1) * 255).astype(np.uint8))

    return renders.kept(sha256, f"probability-{channel}", draw)


def _foreground_channel(job: Mapping[str, Any]) -> int:
    """Which output channel says "object": the head names it."""
    try:
        model = service().catalogue.get(job["model"]["id"], job["model"]["version"])
    except ModelMissing:
        return 0
    head = model["head"]
    return int(head.get("foreground", head.get("channel", 0)))


def _mask(job: Mapping[str, Any]) -> Path:
    sha256 = file_of(job, "labels.ome.tif")["sha256"]
    return renders.kept(sha256, "mask", lambda: renders.encode_labels(_plane(sha256, "labels.ome.tif", 0)))


def _plane(sha256: str, name: str, channel: int) -> np.ndarray:
    """One channel (y, x) of a result file, through the reader and its limits."""
    parts = service()
    return read_region(parts.blobs.path(sha256), name, parts.settings, None, channels=[channel])[:, :, 0]


def _thumbnail(job: Mapping[str, Any]) -> Path:
    """The overlay, small; before there is one, the region."""
    if job["state"] != "done":
        sha256 = job["input"]["sha256"]
        return _small(sha256, lambda: _input_picture(sha256))
    sha256 = file_of(job, "overlay.png")["sha256"]
    return _small(sha256, lambda: _overlay(sha256))


def _overlay(sha256: str) -> np.ndarray:
    parts = service()
    return read_region(parts.blobs.path(sha256), "overlay.png", parts.settings, None)


def _small(sha256: str, picture: Callable[[], np.ndarray]) -> Path:
    return renders.kept(sha256, "thumbnail", lambda: renders.encode_png(renders.shrink(picture(), THUMBNAIL_PX)))


def file_of(job: Mapping[str, Any], name: str) -> dict[str, Any]:
    """{name, sha256, …} of a result file, of the overlay also while the job runs; raises NotFound."""
    if name == SHOWN_EARLY and (early := early_overlay(job)):
        return {"name": name, "sha256": early}
    result = job.get("result") if job["state"] == "done" else None
    for file in (result or {}).get("files", []):
        if file["name"] == name:
            return dict(file)
    raise NotFound(f"This job has no file {name[:80]!r}.", "Files are there once the job is done.")


def early_overlay(job: Mapping[str, Any]) -> str | None:
    """The sha256 of a running job's overlay, once it has arrived."""
    lease = job.get("lease") if job["state"] == "running" else None
    return (lease or {}).get("overlay")


DRAWN: dict[str, Callable[[Mapping[str, Any]], Path]] = {
    "original.png": _original,
    "probability.png": _probability,
    "mask.png": _mask,
    "thumbnail.png": _thumbnail,
}
