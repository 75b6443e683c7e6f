"""Regions decoded window by window are those of the whole plane, whatever the windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from worker.heads.decode import decode
from worker.stream.heads import region_head, score_of
from worker.stream.numbering import numbered
from worker.stream.planes import Stored
from worker.stream.regions import find_regions
from worker.stream.scratch import Scratch
from zoo.pixel_scale import Scale

MASK = {"kind": "probability-mask", "channel": 1}
EXCLUSIVE = {
    "kind": "probability-mask",
    "classes": [{"object": "a", "channel": 0}, {"object": "b", "channel": 1, "threshold": 0.4}],
    "exclusive": True,
}
SEPARATE = EXCLUSIVE | {"exclusive": False}
INSTANCES = {"kind": "watershed-instances", "foreground": 0, "distance": 1, "smoothing": 1.0}
HEADS: list[dict[str, Any]] = [MASK, EXCLUSIVE, SEPARATE, INSTANCES]


def smooth(seed: int, side: int = 90) -> np.ndarray:
    """(y, x, 2) float32 in 0..1 with blobs of many sizes."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((side + rng.integers(0, 30), side, 2))
    blurred = ndimage.gaussian_filter(noise, (rng.uniform(1, 4), rng.uniform(1, 4), 0))
    return (1 / (1 + np.exp(-3 * blurred / blurred.std() + rng.uniform(0, 3)))).astype(np.float32)


def streamed(
    maps: np.ndarray, head: dict[str, Any], chosen: dict[str, Any], memory: int, folder: Path, log: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    scratch = Scratch(folder, memory)
    plan = region_head(head, chosen, Scale())
    assert plan is not None
    shape = maps.shape[0], maps.shape[1]
    regions = find_regions(Stored(maps), plan, scratch, log.append)
    labels, objects, ids = numbered(regions.labels, regions.count, shape, chosen["minimum_area_px"], scratch)
    assert (np.diff(objects.first) > 0).all()
    return labels.read((0, shape[0]), (0, shape[1])), regions.classes[ids - 1]


@pytest.mark.parametrize("head", HEADS, ids=["mask", "exclusive", "separate", "instances"])
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1), threshold=st.floats(0.3, 0.8), smallest=st.integers(0, 30), rows=st.integers(1, 9)
)
def test_labels_and_classes_are_those_of_the_whole(
    tmp_path: Path, head: dict[str, Any], seed: int, threshold: float, smallest: int, rows: int
) -> None:
    maps = smooth(seed)
    chosen = {"threshold": threshold, "minimum_area_px": smallest, "seed_height": 0.05}
    whole = decode(maps, head, chosen, Scale(), (maps.shape[0], maps.shape[1]))
    log: list[str] = []
    labels, classes = streamed(maps, head, chosen, 400 * 4096 * rows, tmp_path, log)
    assume(not log)
    np.testing.assert_array_equal(labels, whole.labels)
    np.testing.assert_array_equal(classes, whole.classes)
    assert whole.scores is not None
    scores, inside = score_of(head, whole.maps, labels, classes), labels > 0
    np.testing.assert_array_equal(scores[inside], whole.scores[inside])


def test_a_mask_too_large_for_a_window_is_cut_and_says_so(tmp_path: Path) -> None:
    maps = np.full((200, 150, 2), 0.9, np.float32)
    maps[:, 70:72] = 0
    maps[5:9, 70:72] = 0.9
    maps[190:193, 70] = 0.9
    chosen = {"threshold": 0.5, "minimum_area_px": 0}
    log: list[str] = []
    labels, _ = streamed(maps, MASK, chosen, 400 * 4096, tmp_path, log)
    assert log == ["1 piece of the foreground too large for one window: cut at every 64 pixels"]
    np.testing.assert_array_equal(labels > 0, maps[..., 1] >= 0.5)
    # 4 x 3 squares, the two columns of those at the gap being of two parts where it is open.
    for top in range(0, 200, 64):
        for left in range(0, 150, 64):
            square = labels[top : top + 64, left : left + 64]
            _, parts = ndimage.label(square)
            assert parts == len(np.unique(square[square > 0]))
    assert labels.max() == sum(
        ndimage.label(labels[top : top + 64, left : left + 64])[1] for top in range(0, 200, 64) for left in (0, 64, 128)
    )


def test_touching_objects_too_many_for_a_window_come_out_once(tmp_path: Path) -> None:
    """A carpet of discs that touch: one piece of foreground, decoded in overlapping windows."""
    y, x = np.mgrid[:240, :200]
    distance = 1 - np.hypot((y % 12) - 6, (x % 12) - 6) / 9
    maps = np.stack([np.full(distance.shape, 0.9), distance], axis=-1).astype(np.float32)
    chosen = {"threshold": 0.5, "minimum_area_px": 0, "seed_height": 0.05}
    whole = decode(maps, INSTANCES, chosen, Scale(), (240, 200)).labels
    log: list[str] = []
    labels, _ = streamed(maps, INSTANCES, chosen, 400 * 4096, tmp_path, log)
    assert "decoded in squares of 32 pixels that see 16 pixels beyond" in log[0]
    assert labels.max() == whole.max()
    np.testing.assert_array_equal(labels, whole)
