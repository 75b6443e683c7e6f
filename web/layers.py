"""The layers of a result: original, probability and mask, drawn from the job's input and result files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scheduler.contract import SHOWN_EARLY
from web import renders
from web.errors import NotFound
from web.legend import main_map, model_of
from web.service import service
from zoo.display import to_display
from zoo.images import decode_crop, read_region

THUMBNAIL_PX = 384
PROBABILITY = "probability.ome.tif"
# Rounding may carry a probability this far out of 0..1.
PROBABILITY_SLACK = 0.01
# Okabe & Ito's vermilion: seen on dark and bright tissue, and told from the colours of most classes.
TINT = (213, 94, 0)
TINT_OPACITY = 0.6


def layer(job: Mapping[str, Any], name: str, chosen: int | None = None) -> Path:
    """The PNG of a layer of `job`; raises NotFound when the job has no such layer (yet).

    `chosen` is the number of a map, for the layers that show one; None takes that which says "object".
    """
    draw = DRAWN.get(name)
    if draw is None:
        raise NotFound(f"There is no layer {name!r}.", f"Layers: {', '.join(DRAWN)}.")
    return draw(job, chosen)


def _original(job: Mapping[str, Any], _: int | None) -> Path:
    sha256 = job["input"]["sha256"]
    return renders.kept(sha256, "original", lambda: renders.encode_png(_input_picture(sha256)))


def _input_picture(sha256: str) -> np.ndarray:
    crop = decode_crop(service().blobs.path(sha256))
    return to_display(crop.pixels, crop.rgb)


def _probability(job: Mapping[str, Any], chosen: int | None) -> Path:
    sha256, channel = _map_of(job, chosen)

    def draw() -> bytes:
        return renders.encode_png(_grey(_plane(sha256, PROBABILITY, channel)))

    return renders.kept(sha256, f"probability-{channel}", draw)


def _tint(job: Mapping[str, Any], chosen: int | None) -> Path:
    """A map as a colour that is the more opaque the higher it is, to lie over the original."""
    sha256, channel = _map_of(job, chosen)

    def draw() -> bytes:
        alpha = (_grey(_plane(sha256, PROBABILITY, channel)) * TINT_OPACITY).astype(np.uint8)
        colour = np.broadcast_to(np.array(TINT, np.uint8), (*alpha.shape, 3))
        return renders.encode_png(np.dstack([colour, alpha]))

    return renders.kept(sha256, f"tint-{channel}", draw)


def _map_of(job: Mapping[str, Any], chosen: int | None) -> tuple[str, int]:
    """The file of the maps and the number of the one to show; raises NotFound."""
    sha256, model = file_of(job, PROBABILITY)["sha256"], model_of(job)
    channel = main_map(model.get("head") or {}) if chosen is None else chosen
    maps = model.get("output_channels") or []
    if chosen and chosen >= len(maps):
        raise NotFound(f"There is no map {chosen}.", f"Maps: 0 to {max(len(maps) - 1, 0)}.")
    return sha256, channel


def _grey(values: np.ndarray) -> np.ndarray:
    """uint8 of probabilities; of a map of other values, from its least to its greatest."""
    values = np.nan_to_num(values)
    low, high = float(values.min()), float(values.max())
    if low < -PROBABILITY_SLACK or high > 1 + PROBABILITY_SLACK:
        values = (values - low) / (high - low)
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _mask(job: Mapping[str, Any], _: int | None) -> Path:
    sha256 = file_of(job, "labels.ome.tif")["sha256"]
    return renders.kept(sha256, "mask", lambda: renders.encode_labels(_plane(sha256, "labels.ome.tif", 0)))


def _plane(sha256: str, name: str, channel: int) -> np.ndarray:
    """One channel (y, x) of a result file, through the reader and its limits."""
    parts = service()
    return read_region(parts.blobs.path(sha256), name, parts.settings, None, channels=[channel])[:, :, 0]


def _thumbnail(job: Mapping[str, Any], _: int | None) -> Path:
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


DRAWN: dict[str, Callable[[Mapping[str, Any], int | None], Path]] = {
    "original.png": _original,
    "probability.png": _probability,
    "tint.png": _tint,
    "mask.png": _mask,
    "thumbnail.png": _thumbnail,
}
