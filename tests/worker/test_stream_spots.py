"""Spots found square by square are those of the whole plane, whatever the squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from worker.heads.decode import decode
from worker.heads.decoded import Points
from worker.stream.planes import Stored
from worker.stream.scratch import Scratch
from worker.stream.spots import find_spots
from zoo.pixel_scale import Scale


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1), height=st.integers(3, 420), width=st.integers(3, 300),
    method=st.sampled_from(["log", "dog"]), least=st.floats(0.7, 2), more=st.floats(1, 2.5),
    threshold=st.floats(0.15, 0.7), memory=st.integers(2**14, 2**23),
)  # fmt: skip
def test_spots_are_those_of_the_whole(
    tmp_path: Path, seed: int, height: int, width: int, method: str, least: float, more: float, threshold: float,
    memory: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    plane = np.zeros((height, width))
    plane[rng.integers(0, height, 60), rng.integers(0, width, 60)] = rng.uniform(50, 400, 60)
    plane = ndimage.gaussian_filter(plane, rng.uniform(0.8, 2.5)) + rng.normal(0, 0.5, plane.shape)
    # Half of it lies on something bright, with an edge; parts are noisier.
    plane[: height // 2] += 10 + rng.normal(0, 1, (height // 2, width))
    maps = np.stack([np.zeros_like(plane), plane], axis=2).astype(np.float32)
    head = {"kind": "spots", "channel": 1}
    chosen = {
        "threshold": threshold, "spot_method": method, "spot_sigma_min_px": least, "spot_sigma_max_px": least * more,
        "minimum_area_px": 0,
    }  # fmt: skip
    whole = decode(maps, head, chosen, Scale(), (height, width)).points
    found = find_spots(Stored(maps), head, chosen, Scratch(tmp_path, memory))
    assert whole is not None
    for name in Points.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
