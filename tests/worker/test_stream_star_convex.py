"""Star-convex polygons told apart window by window are those of the whole plane, whatever the windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from worker.heads.decode import Task
from worker.heads.star_convex import decode_star_convex
from worker.stream.numbering import numbered
from worker.stream.planes import Stored
from worker.stream.scratch import Scratch
from worker.stream.star_convex import StarConvex
from worker.stream.statistics import NotStreamable
from zoo.pixel_scale import Scale

RAYS = 8


def crowd(seed: int, height: int, width: int, longest: float) -> np.ndarray:
    """(y, x, 1 + RAYS) float32: candidates everywhere, of polygons that overlap one another in long chains."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((height, width)), rng.uniform(1, 4))
    probability = np.clip(0.5 + 0.3 * smooth / max(float(smooth.std()), 1e-6), 0, 1)
    # Many are equally probable.
    probability = np.round(probability * 12) / 12
    rays = longest * np.clip(
        0.7 + 0.3 * ndimage.gaussian_filter(rng.standard_normal((height, width, RAYS)), 2) * 4, 0, 1
    )
    rays[rng.random((height, width)) < 0.01] = rng.choice([0.0, -3.0, np.nan])
    return np.concatenate([probability[..., None], rays], axis=2).astype(np.float32)


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1), height=st.integers(1, 60), width=st.integers(1, 50),
    longest=st.floats(2, 6), stride=st.sampled_from([1, 1, 2, 4]), threshold=st.floats(0.5, 0.9),
    overlap=st.floats(0.05, 0.8), room=st.integers(17, 30), crop=st.integers(0, 3),
)  # fmt: skip
def test_labels_and_scores_are_those_of_the_whole(
    tmp_path: Path, seed: int, height: int, width: int, longest: float, stride: int, threshold: float, overlap: float,
    room: int, crop: int,
) -> None:  # fmt: skip
    maps = crowd(seed, height, width, longest)
    head = {"kind": "star-convex", "probability": 0, "rays": list(range(1, 1 + RAYS)), "stride": stride}
    chosen = {"threshold": threshold, "overlap": overlap, "minimum_area_px": 0}
    labels, scores = decode_star_convex(
        maps[..., 0], maps[..., 1:], threshold=threshold, overlap=overlap, stride=stride
    )
    shape = max(1, height * stride - crop), max(1, width * stride - crop)
    found = StarConvex(Stored(maps), Task(maps, head, chosen, Scale(), shape), Scratch(tmp_path, 0))
    margin = int(np.ceil(2 * longest / stride)) + 2
    found.scratch.memory = 2 * found.bytes_per_cell * (room + 2 * margin) ** 2
    log: list[str] = []
    kept = found.find(log.append)
    drawn = numbered(found.draw(kept, shape), len(kept), shape, 0, found.scratch)
    np.testing.assert_array_equal(drawn[0].read((0, shape[0]), (0, shape[1])) > 0, labels[: shape[0], : shape[1]] > 0)
    if not crop:
        np.testing.assert_array_equal(drawn[0].read((0, shape[0]), (0, shape[1])), labels)
        np.testing.assert_array_equal(kept.scores[drawn[2] - 1], scores)


def test_rays_too_long_for_the_memory_are_refused(tmp_path: Path) -> None:
    maps = np.full((40, 40, 1 + RAYS), 0.9, np.float32)
    maps[20, 20, 1:] = 4000
    head = {"kind": "star-convex", "probability": 0, "rays": list(range(1, 1 + RAYS))}
    task = Task(maps, head, {"threshold": 0.5, "minimum_area_px": 0}, Scale(), (40, 40))
    with pytest.raises(NotStreamable, match="reach up to 4000 pixels"):
        StarConvex(Stored(maps), task, Scratch(tmp_path, 2**20)).find(lambda line: None)
