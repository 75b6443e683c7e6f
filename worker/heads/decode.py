"""From a network's maps to labelled objects, by the kind of head that the package names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from worker.heads.labels import drop_small
from worker.heads.mask import decode_mask
from worker.heads.watershed import decode_instances
from worker.rescale import finer_at_model, labels_to_shape, to_shape
from zoo.pixel_scale import Scale


def score_channel(head: Mapping[str, Any]) -> int:
    """The output channel that is the probability of being inside an object."""
    return int(head.get("foreground" if head["kind"] == "watershed-instances" else "channel", 0))


def decode(
    maps: np.ndarray, head: Mapping[str, Any], settings: Mapping[str, Any], scale: Scale, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Objects and maps on the image's pixels.

    Instances are told apart on the finer of the two grids: gaps that the image's coarser pixels would close stay
    open, and outlines are as smooth as the image's finer pixels allow. A mask is what the returned map is at the
    threshold, so that who thresholds the map themselves gets the same.

    Args:
        maps: (y, x, map) float32 on the model's pixels.
        head: `kind` and the maps' indices.
        settings: threshold, minimum_area_px (pixels of the image), seed_height.
        scale: from the image's to the model's pixels.
        shape: (y, x) of the image.

    Returns:
        labels (y, x) int32 numbered from 1 in scan order, and maps (y, x, map) float32.
    """
    given = to_shape(maps, shape)
    threshold, minimum_area = settings["threshold"], settings["minimum_area_px"]
    if head["kind"] == "probability-mask":
        labels = decode_mask(given[..., score_channel(head)], threshold=threshold, minimum_area=minimum_area)
        return labels, given
    fine = maps if finer_at_model(scale) else given
    labels = decode_instances(
        fine[..., score_channel(head)],
        fine[..., int(head.get("distance", 1))],
        threshold=threshold,
        seed_height=settings["seed_height"],
        smoothing=float(head.get("smoothing", 1.0)) / min(scale.factor, 1.0),
        minimum_area=0 if fine is maps else minimum_area,
    )
    if labels.shape != shape:
        labels = labels_to_shape(labels, shape)
    return drop_small(labels, minimum_area) if fine is maps else labels, given
