"""The setting `class`: only objects of one class are sought, as if the others had never been there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from worker.heads.decode import decode
from zoo.pixel_scale import Scale
from zoo.preview_settings import resolve

CLASSES = [{"object": "red cell", "channel": 0}, {"object": "platelet", "channel": 1}]
HEADS: dict[str, dict[str, Any]] = {
    "exclusive": {"kind": "probability-mask", "classes": CLASSES, "threshold": 0.5},
    "each": {"kind": "probability-mask", "classes": CLASSES, "threshold": 0.5, "exclusive": False},
    "boxes": {
        "kind": "boxes", "classes": CLASSES, "threshold": 0.3,
        "columns": ["x_min", "y_min", "x_max", "y_max", "score", "class"],
    },
    "grid": {
        "kind": "grid-detector", "classes": CLASSES, "threshold": 0.3, "stride": 4, "scores": [0, 1],
        "offset": [2, 3], "size": [4, 5],
    },
}  # fmt: skip
SHAPE = (40, 60)


def maps_of(name: str) -> np.ndarray:
    if name == "boxes":
        return np.array([[1, 2, 11, 12, 0.9, 0], [30, 20, 38, 28, 0.6, 1]], np.float32)
    if name == "grid":
        maps = np.zeros((10, 15, 6), np.float32)
        maps[2, 2, [0, 4, 5]] = [0.9, np.log(2), np.log(2)]
        maps[6, 9, [1, 4, 5]] = [0.6, np.log(2), np.log(2)]
        return maps
    maps = np.zeros((*SHAPE, 2), np.float32)
    maps[2:12, 1:11, 0], maps[20:28, 30:38, 1] = 0.9, 0.6
    return maps


@pytest.mark.parametrize("name", HEADS)
def test_only_objects_of_the_class_are_found(name: str) -> None:
    def found(**given: str) -> tuple[list[int], int]:
        settings = resolve(given, {"head": HEADS[name]})
        decoded = decode(maps_of(name), HEADS[name], settings, Scale(), SHAPE)
        return decoded.classes.tolist(), int(decoded.labels.max())

    assert found() == found(**{"class": "all"}) == ([0, 1], 2)
    assert found(**{"class": "red cell"}) == ([0], 1)
    assert found(**{"class": "platelet"}) == ([1], 1)
