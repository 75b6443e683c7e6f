"""What each kind of head needs in order to be decoded window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worker.heads.decode import DECODERS, Task
from worker.stream.regions import RegionHead
from zoo.pixel_scale import Scale

# In sigmas, where scipy's Gaussian ends, and one pixel for neighbours.
REACH = 4.0
BOX_KINDS = ("grid-detector", "boxes")
STAR_CONVEX, SPOTS = "star-convex", "spots"


def region_head(head: Mapping[str, Any], settings: Mapping[str, Any], scale: Scale) -> RegionHead | None:
    """The head as one of regions inside connected pieces, or of regions everywhere, which are one piece; None when its
    objects are found in another way.

    `scale` is from the image's pixels to those of the maps it will be given.
    """
    kind, everywhere = head["kind"], False
    channels: list[int] = [0]
    thresholds: Sequence[float] = [0.0]
    if kind == "probability-mask":
        channels, thresholds = _classes(head, settings, scale)
        margin, splits = 1, False
    elif kind == "watershed-instances" and head.get("algorithm") is None:
        channels, thresholds = [int(head.get("foreground", 0))], [float(settings["threshold"])]
        smoothing = float(head.get("smoothing", 1.0)) / min(scale.factor, 1.0)
        margin, splits = int(REACH * smoothing + 0.5) + 1, True
    elif kind in ("watershed-instances", "boundary-cells"):
        # Their objects fill the plane, or are found by local maxima: no piece is known to stand alone.
        margin, splits, everywhere = 0, True, True
    else:
        return None
    whole = dict(settings) | {"minimum_area_px": 0}

    def foreground(maps: np.ndarray) -> np.ndarray:
        if everywhere:
            return np.ones(maps.shape[:2], bool)
        return np.logical_or.reduce(
            [maps[..., channel] >= least for channel, least in zip(channels, thresholds, strict=True)]
        )

    def decode(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = maps.shape[0], maps.shape[1]
        found = DECODERS[kind](Task(maps, head, whole, scale, shape))
        return found.labels, found.classes

    return RegionHead(foreground, decode, margin, splits)


def _classes(head: Mapping[str, Any], settings: Mapping[str, Any], scale: Scale) -> tuple[list[int], Sequence[float]]:
    """Maps and thresholds of a mask's classes."""
    if "classes" not in head:
        return [int(head.get("channel", 0))], [float(settings["threshold"])]
    nothing = np.zeros((1, 1, 1), np.float32)
    return [int(each["channel"]) for each in head["classes"]], Task(nothing, head, settings, scale, (1, 1)).thresholds()


def score_of(head: Mapping[str, Any], maps: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(y, x) float32 whose mean over a region is its score, from `maps` (y, x, map) on the pixels of `labels`.

    `classes` (n,) are those of the labels 1..n.
    """
    kind = head["kind"]
    if kind == "boundary-cells":
        return 1 - maps[..., int(head.get("channel", 0))]
    if kind == "watershed-instances":
        deep = head.get("algorithm") is not None
        return maps[..., int(head.get("interior", 1) if deep else head.get("foreground", 0))]
    if "classes" not in head:
        return maps[..., int(head.get("channel", 0))]
    inside = np.flatnonzero(labels)
    channels = np.array([int(each["channel"]) for each in head["classes"]])
    scores = np.zeros(labels.shape, np.float32)
    scores.ravel()[inside] = maps.reshape(-1, maps.shape[-1])[inside, channels[classes[labels.ravel()[inside] - 1]]]
    return scores
