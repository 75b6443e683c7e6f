"""Deep Zoom tiles."""

from __future__ import annotations

import threading
from math import ceil, log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zoo.images import inspect
from zoo.pyramid import TILE_SIDE, Pyramid, Pyramids, TileMissing, draw_plane
from zoo.settings import Settings


@given(st.integers(1, 1200), st.integers(1, 700))
def test_levels_have_deep_zoom_sizes(width: int, height: int) -> None:
    pyramid = Pyramid(np.zeros((height, width), np.uint8))
    assert pyramid.max_level == ceil(log2(max(width, height)))
    assert len(pyramid.levels) == pyramid.max_level + 1
    for level in range(pyramid.max_level + 1):
        scale = 2 ** (pyramid.max_level - level)
        assert pyramid.levels[pyramid.max_level - level].shape == (ceil(height / scale), ceil(width / scale))


def test_tiles_of_the_top_level_make_up_the_plane() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (300, 600, 3), dtype=np.uint8)
    pyramid = Pyramid(picture)
    rows = [np.hstack([pyramid.tile(pyramid.max_level, column, row) for column in range(3)]) for row in range(2)]
    assert np.array_equal(np.vstack(rows), picture)
    assert pyramid.tile(0, 0, 0).shape == (1, 1, 3)


@pytest.mark.parametrize(("level", "column", "row"), [(99, 0, 0), (-1, 0, 0), (10, 3, 0), (10, 0, 2), (10, -1, 0)])
def test_a_tile_that_is_not_there_is_refused(level: int, column: int, row: int) -> None:
    with pytest.raises(TileMissing):
        Pyramid(np.zeros((300, 600), np.uint8)).tile(level, column, row)


def test_a_thumbnail_keeps_the_shape() -> None:
    assert Pyramid(np.zeros((300, 900), np.uint8)).thumbnail(120).shape == (40, 120)


def test_a_plane_is_drawn_once_for_many_at_the_same_time() -> None:
    pyramids, drawn, started = Pyramids(), [], threading.Barrier(4)

    def draw() -> np.ndarray:
        drawn.append(1)
        return np.zeros((TILE_SIDE, TILE_SIDE), np.uint8)

    def ask() -> None:
        started.wait()
        pyramids.get("plane", draw)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [1]


def test_the_least_used_plane_is_forgotten() -> None:
    pyramids, drawn = Pyramids(maximum_bytes=200_000), []

    def ask(name: str) -> None:
        pyramids.get(name, lambda: drawn.append(name) or np.zeros((TILE_SIDE, TILE_SIDE), np.uint8))

    for name in ("a", "b", "a", "c", "a", "b"):
        ask(name)
    assert drawn == ["a", "b", "c", "b"]


def test_a_plane_has_one_contrast(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(600, dtype=np.uint16), (300, 1)) * 50
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    settings = Settings()
    picture = draw_plane(tmp_path / "ramp.png", settings, inspect(tmp_path / "ramp.png", "ramp", settings), 0)
    assert picture.dtype == np.uint8
    assert (np.diff(picture[0].astype(int)) >= 0).all()
    assert (picture.min(), picture.max()) == (0, 255)
