"""From a network's maps to objects, by the kind of head that the package names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.heads.boxes import Boxes, boxes_from_rows, nms
from worker.heads.classes import decode_classes
from worker.heads.decoded import Decoded
from worker.heads.deep_watershed import decode_deep_watershed
from worker.heads.grid import decode_grid
from worker.heads.intensity_cells import cells_by_intensity
from worker.heads.labels import drop_small
from worker.heads.mask import decode_mask
from worker.heads.membranes import decode_cells
from worker.heads.painted import paint
from worker.heads.spots import find_spots
from worker.heads.star_convex import decode_star_convex
from worker.heads.watershed import decode_instances
from worker.rescale import finer_at_model, labels_to_shape, to_shape
from zoo.deep_watershed import deep_watershed_of
from zoo.pixel_scale import Scale
from zoo.preview_settings import ALL_CLASSES

# Above every probability and score.
NEVER = 2.0


@dataclass(frozen=True)
class Task:
    """What a head is given: `maps` (y, x, map) float32 of the model's pixels, or of its coarser grid; the package's
    `head`; the preview's `settings`; `scale` from the image's to the model's pixels; `shape` (y, x) of the image.
    """

    maps: np.ndarray
    head: Mapping[str, Any]
    settings: Mapping[str, Any]
    scale: Scale
    shape: tuple[int, int]

    def number(self, name: str, default: float) -> float:
        """A setting of the preview, else the head's, else `default`."""
        return float(self.settings.get(name, self.head.get(name, default)))

    @property
    def smallest(self) -> int:
        return int(self.settings["minimum_area_px"])

    @property
    def sigma_factor(self) -> float:
        """Smoothing told in the image's pixels is this much longer where the model's are finer."""
        return 1 / min(self.scale.factor, 1.0)

    def thresholds(self) -> list[float]:
        """The least score of each class: its own as long as the setting is the head's, else the setting; of a class
        that is not sought, one that no map reaches."""
        least = float(self.settings["threshold"])
        untouched = least == float(self.head.get("threshold", least))
        own = [each.get("threshold") for each in self.head["classes"]]
        found = [float(each) if untouched and each is not None else least for each in own]
        sought = self.settings.get("class", ALL_CLASSES)
        names = [each.get("object") for each in self.head["classes"]]
        return [each if sought in (ALL_CLASSES, name) else NEVER for each, name in zip(found, names, strict=True)]

    def head_with_thresholds(self) -> dict[str, Any]:
        """The head, each class with its least score."""
        pairs = zip(self.head["classes"], self.thresholds(), strict=True)
        return dict(self.head) | {"classes": [each | {"threshold": least} for each, least in pairs]}


def decode(
    maps: np.ndarray, head: Mapping[str, Any], settings: Mapping[str, Any], scale: Scale, shape: tuple[int, int]
) -> Decoded:
    """Objects and maps on the image's pixels.

    Instances are told apart on the finer of the two grids: gaps that the image's coarser pixels would close stay
    open, and outlines are as smooth as the image's finer pixels allow. A mask is what the returned map is at the
    threshold, so that who thresholds the map themselves gets the same.

    Args:
        maps: (y, x, map) float32 on the model's pixels, or on its grid of `stride` pixels for detectors; for the head
            boxes its list, (row, column) float32.
        head: `kind` and the maps' indices.
        settings: threshold, minimum_area_px (pixels of the image) and those of the kind.
        scale: from the image's to the model's pixels.
        shape: (y, x) of the image.
    """
    return DECODERS[head["kind"]](Task(maps, head, settings, scale, shape))


def _mask(task: Task) -> Decoded:
    given = to_shape(task.maps, task.shape)
    if "classes" in task.head:
        labels, classes, scores = decode_classes(
            given, task.head, thresholds=task.thresholds(), minimum_area=task.smallest
        )
        return Decoded(given, labels, classes, scores)
    scores = given[..., int(task.head.get("channel", 0))]
    labels = decode_mask(scores, threshold=task.settings["threshold"], minimum_area=task.smallest)
    return Decoded(given, labels, _one_class(labels), scores)


def _instances(task: Task) -> Decoded:
    if task.head.get("algorithm") == "deep-watershed":
        labels, given = _on_finer_grid(task, _deep_watershed)
        return Decoded(given, labels, _one_class(labels), given[..., int(task.head.get("interior", 1))])
    labels, given = _on_finer_grid(task, _watershed)
    return Decoded(given, labels, _one_class(labels), given[..., int(task.head.get("foreground", 0))])


def _watershed(task: Task, fine: np.ndarray, minimum_area: int) -> np.ndarray:
    return decode_instances(
        fine[..., int(task.head.get("foreground", 0))],
        fine[..., int(task.head.get("distance", 1))],
        threshold=task.settings["threshold"],
        seed_height=task.settings["seed_height"],
        smoothing=float(task.head.get("smoothing", 1.0)) * task.sigma_factor,
        # Instances are dropped for their size in the image's pixels alone.
        minimum_area=0 if finer_at_model(task.scale) else minimum_area,
        minimum_score=float(task.head.get("minimum_score", 0.0)),
    )


def _deep_watershed(task: Task, fine: np.ndarray, minimum_area: int) -> np.ndarray:
    labels = decode_deep_watershed(
        fine[..., int(task.head.get("maxima", 0))],
        fine[..., int(task.head.get("interior", 1))],
        deep_watershed_of(task.head, task.settings.get("preset")),
    )
    return drop_small(labels, minimum_area)


def _star_convex(task: Task) -> Decoded:
    stride, plane = int(task.head.get("stride", 1)), task.scale.shape(*task.shape)
    probability = task.maps[..., int(task.head.get("probability", 0))]
    labels, scores = decode_star_convex(
        probability,
        task.maps[..., list(task.head["rays"])],
        threshold=task.settings["threshold"],
        overlap=task.number("overlap", 0.4),
        stride=stride,
    )
    labels = labels_to_shape(labels[: plane[0], : plane[1]], task.shape)
    # An object's score is that of the pixel that proposed it.
    own = np.concatenate([np.zeros(1, np.float32), scores])[labels]
    labels = drop_small(labels, task.smallest)
    given = to_shape(enlarged(task.maps, stride, plane), task.shape)
    return Decoded(given, labels, _one_class(labels), own)


def _cells(task: Task) -> Decoded:
    labels, given = _on_finer_grid(task, _between_membranes)
    # A cell's score is how sure the network is that it is no membrane.
    return Decoded(given, labels, _one_class(labels), 1 - given[..., int(task.head.get("channel", 0))])


def _between_membranes(task: Task, fine: np.ndarray, minimum_area: int) -> np.ndarray:
    seeds = task.head.get("seeds")
    return decode_cells(
        fine[..., int(task.head.get("channel", 0))],
        threshold=task.settings["threshold"],
        seed_height=task.number("seed_height", 0.15),
        smoothing=float(task.head.get("smoothing", 2.0)) * task.sigma_factor,
        minimum_area=minimum_area,
        seeds=None if seeds is None else fine[..., int(seeds)],
    )


def _on_finer_grid(task: Task, find: Callable[[Task, np.ndarray, int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and maps on the image's pixels; `find` is told the smallest area in the pixels it works on."""
    given = to_shape(task.maps, task.shape)
    if not finer_at_model(task.scale):
        return find(task, given, task.smallest), given
    labels = find(task, task.maps, int(task.smallest * task.scale.y * task.scale.x))
    return drop_small(labels_to_shape(labels, task.shape), task.smallest), given


def _grid(task: Task) -> Decoded:
    plane = task.scale.shape(*task.shape)
    maps = enlarged(task.maps, int(task.head["stride"]), plane)
    return _boxed(task, boxes_of(task), maps)


def _listed(task: Task) -> Decoded:
    """The network's own list of boxes, in pixels of the model's plane; its one map shows the scores."""
    boxes = boxes_of(task)
    scores = np.concatenate([np.zeros(1, np.float32), boxes.score])[paint(boxes.xyxy, task.scale.shape(*task.shape))]
    return _boxed(task, boxes, scores[..., None])


def boxes_of(task: Task) -> Boxes:
    """The boxes of a detector, in pixels of the model's plane, best first."""
    plane, overlap = task.scale.shape(*task.shape), task.number("overlap", 0.5)
    if task.head["kind"] == "boxes":
        return nms(boxes_from_rows(task.maps, task.head_with_thresholds()).clipped(plane), overlap)
    return decode_grid(task.maps, task.head_with_thresholds(), overlap=overlap, shape=plane)


def _boxed(task: Task, boxes: Boxes, maps: np.ndarray) -> Decoded:
    """Boxes and maps of the model's plane, brought to the image's pixels."""
    boxes = boxes_on_image(task, boxes)
    return Decoded(labels_to_shape(maps, task.shape), paint(boxes.xyxy, task.shape), boxes.kind, boxes=boxes)


def boxes_on_image(task: Task, boxes: Boxes) -> Boxes:
    """Boxes of the model's plane in the image's pixels, without those that are too small there."""
    (height, width), (rows, columns) = task.shape, task.scale.shape(*task.shape)
    factors = np.array([width / columns, height / rows] * 2)
    boxes = Boxes((boxes.xyxy * factors).astype(np.float32), boxes.score, boxes.kind)
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    return boxes[sides.prod(axis=1) >= task.settings.get("minimum_area_px", 0)]


def enlarged(maps: np.ndarray, stride: int, shape: tuple[int, int]) -> np.ndarray:
    """Grid maps (y, x, map) with every cell as `stride` x `stride` equal pixels, cut to `shape`."""
    return maps.repeat(stride, axis=0)[: shape[0]].repeat(stride, axis=1)[:, : shape[1]]


def _spots(task: Task) -> Decoded:
    given = to_shape(task.maps, task.shape)
    labels, scores = np.zeros(task.shape, np.int32), None
    options = spot_options(task.head, task.settings)
    if counts_in_cells(task.head, task.settings):
        plane = given[..., int(task.head["cells"])]
        labels, scores = cells_by_intensity(plane, **cell_options(task), minimum_area=task.smallest)
    points = find_spots(given[..., int(task.head.get("channel", 0))], **options, labels=labels)
    return Decoded(given, labels, np.ones(int(labels.max(initial=0)), np.int32), scores, points=points)


def counts_in_cells(head: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether cells are sought, too, for spots to be counted in."""
    return head.get("cells") is not None and settings.get("cells", "by-intensity") != "none"


def spot_options(head: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `find_spots` is told, from the preview's settings, else the head."""
    return {
        "method": str(settings.get("spot_method", head.get("method", "log"))),
        "sigma_min": float(settings.get("spot_sigma_min_px", head.get("sigma_min_px", 1.0))),
        "sigma_max": float(settings.get("spot_sigma_max_px", head.get("sigma_max_px", 3.0))),
        "threshold": settings["threshold"],
    }


def cell_options(task: Task) -> dict[str, float]:
    """What `cells_by_intensity` is told besides the smallest area."""
    return {
        "level": task.number("cell_level", 0.5),
        "splitting": task.number("seed_height", 0.1),
        "smoothing": float(task.head.get("smoothing", 2.0)),
        "spot_sigma": spot_options(task.head, task.settings)["sigma_max"],
    }


def _one_class(labels: np.ndarray) -> np.ndarray:
    return np.zeros(int(labels.max(initial=0)), np.int32)


DECODERS: dict[str, Callable[[Task], Decoded]] = {
    "probability-mask": _mask,
    "watershed-instances": _instances,
    "boundary-cells": _cells,
    "grid-detector": _grid,
    "boxes": _listed,
    "spots": _spots,
    "star-convex": _star_convex,
}
