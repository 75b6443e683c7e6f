"""Cells by brightness found window by window are those of the whole plane, whatever the windows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from worker.heads.decode import decode
from worker.stream.intensity_cells import CellFinder
from worker.stream.numbering import numbered
from worker.stream.planes import Stored
from worker.stream.scratch import Scratch
from worker.stream.statistics import NotStreamable
from zoo.pixel_scale import Scale

HEAD = {"kind": "spots", "channel": 0, "cells": 1}
SETTINGS = {"threshold": 0.5, "minimum_area_px": 0}


def crowd(seed: int, height: int, width: int, share: float) -> np.ndarray:
    """(y, x, 2) float32: bright discs and rings, some with others inside, touching in clusters; holes, spots, noise.

    Discs would cover about `share` of the plane if none lay on another.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    plane, largest = np.zeros((height, width)), rng.uniform(6, 30)
    for _ in range(max(1, int(share * height * width / (0.45 * math.pi * largest**2)))):
        middle, radius = rng.uniform(0, (height, width)), rng.uniform(0.2, 1) * largest
        near = np.hypot(y - middle[0], x - middle[1])
        hollow = radius * rng.choice([0.0, 0.0, 0.3, 0.6, 0.8])
        plane = np.maximum(plane, 50.0 * ((near < radius) & (near >= hollow)))
    plane[rng.random(plane.shape) < rng.choice([0, 0.01])] = 0
    plane[rng.random(plane.shape) < rng.choice([0, 0.003])] = 200
    plane = ndimage.gaussian_filter(plane, rng.choice([0.0, 0.8])) + rng.normal(0, rng.choice([0, 1]), plane.shape)
    return np.stack([rng.normal(0, 1, plane.shape), plane], axis=2).astype(np.float32)


def streamed(
    maps: np.ndarray, head: dict[str, Any], chosen: dict[str, Any], folder: Path, memory: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores (y, x)."""
    shape = maps.shape[0], maps.shape[1]
    scratch = Scratch(folder, memory)
    told: list[float] = []
    cells = CellFinder(Stored(maps), head, chosen, scratch).find(told.append)
    assert told == sorted(told)
    labels, objects, _ = numbered(cells.labels, cells.count, shape, chosen["minimum_area_px"], scratch)
    assert (np.diff(objects.first) > 0).all()
    whole = (0, shape[0]), (0, shape[1])
    return labels.read(*whole), cells.scores.read(*whole)[..., 0]


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1), height=st.integers(1, 260), width=st.integers(1, 200), share=st.floats(0.1, 1.5),
    smoothing=st.sampled_from([0.0, 1.0, 2.0]), sigma=st.floats(0.5, 4), level=st.floats(0.2, 0.8),
    splitting=st.floats(0.01, 0.5), smallest=st.integers(0, 60), memory=st.integers(2**21, 2**23),
)  # fmt: skip
def test_labels_and_scores_are_those_of_the_whole(
    tmp_path: Path, seed: int, height: int, width: int, share: float, smoothing: float, sigma: float, level: float,
    splitting: float, smallest: int, memory: int,
) -> None:  # fmt: skip
    maps = crowd(seed, height, width, share)
    head = HEAD | {"smoothing": smoothing}
    chosen = SETTINGS | {
        "cell_level": level, "seed_height": splitting, "spot_sigma_max_px": sigma, "minimum_area_px": smallest,
    }  # fmt: skip
    whole = decode(maps, head, chosen, Scale(), (height, width))
    try:
        labels, scores = streamed(maps, head, chosen, tmp_path, memory)
    except NotStreamable:
        assume(False)
    np.testing.assert_array_equal(labels, whole.labels)
    np.testing.assert_array_equal(scores, whole.scores)


@pytest.mark.parametrize("apart", [11, 14, 17])
def test_cells_that_hang_together_over_all_windows_are_parted(tmp_path: Path, apart: int) -> None:
    """A carpet of discs that touch, many times larger than a window, with gaps that some of them enclose."""
    y, x = np.mgrid[:300, :270]
    rows = (y // apart) % 2 * (apart // 3)
    near = np.hypot(y % apart - apart // 2, (x + rows) % apart - apart // 2)
    plane = 50.0 * (near < 0.62 * apart)
    plane[np.hypot(y - 150, x - 130) < 40] = 50
    plane[np.hypot(y - 150, x - 130) < 25] = 0
    plane[np.hypot(y - 150, x - 130) < 12] = 50
    plane[np.hypot(y - 150, x - 130) < 6] = 0
    maps = np.stack([plane, plane], axis=2).astype(np.float32)
    head, chosen = HEAD | {"smoothing": 0.0}, SETTINGS | {"seed_height": 0.05, "spot_sigma_max_px": 0.5}
    whole = decode(maps, head, chosen, Scale(), (300, 270))
    assert whole.labels.max() > 30
    labels, _ = streamed(maps, head, chosen, tmp_path, 2**21)
    np.testing.assert_array_equal(labels, whole.labels)


def test_a_cell_too_thick_for_the_memory_is_refused(tmp_path: Path) -> None:
    maps = np.zeros((400, 400, 2), np.float32)
    maps[10:390, 10:390, 1] = 50
    with pytest.raises(NotStreamable, match="too large to be parted") as refused:
        streamed(maps, HEAD, SETTINGS, tmp_path, 2**20)
    assert "more than" in str(refused.value)


def test_a_cell_too_long_for_the_memory_is_refused(tmp_path: Path) -> None:
    maps = np.zeros((400, 400, 2), np.float32)
    maps[5:395, 5:395, 1] = 50
    maps[30:370, 30:370, 1] = 0
    with pytest.raises(NotStreamable, match=r"too large to be parted.*over 3[89][0-9] x 3[89][0-9] pixels"):
        streamed(maps, HEAD, SETTINGS | {"seed_height": 1.0}, tmp_path, 2**21)
