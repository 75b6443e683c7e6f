"""What a head finds is the same whatever the tiles: a real network, its maps in random tiles, every head of maps.

The network's weights and the pixels are small multiples of powers of two, so that its sums are exact in any order and
nothing but the tiles can make a difference.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from example_package import INSTANCES_HEAD, make_package
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from worker.heads.decode import decode
from worker.heads.decoded import Decoded
from worker.inference import WarmModel
from zoo.packages import read_package
from zoo.pixel_scale import Scale
from zoo.preview_settings import resolve
from zoo.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
HEADS: list[dict[str, Any]] = [
    {"kind": "probability-mask", "channel": 0, "threshold": 0.5},
    {"kind": "probability-mask", "exclusive": False, "threshold": 0.5,
     "classes": [{"object": "one", "channel": 0}, {"object": "other", "channel": 1, "threshold": 0.6}]},
    INSTANCES_HEAD | {"smoothing": 0.0},
    INSTANCES_HEAD,
    {"kind": "boundary-cells", "channel": 0, "threshold": 0.5, "smoothing": 1.0, "minimum_area_px": 20},
    {"kind": "spots", "channel": 0, "cells": 1, "method": "log", "threshold": 0.2, "minimum_area_px": 20},
    {"kind": "spots", "channel": 1, "cells": None, "method": "dog", "threshold": 0.2},
    {"kind": "star-convex", "probability": 0, "rays": list(range(1, 17)), "threshold": 0.5, "overlap": 0.3},
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> WarmModel:
    """A network of three convolutions, whose maps are its input blurred a little and blurred more."""
    import keras

    folder = tmp_path_factory.mktemp("exact")
    inputs = keras.Input((None, None, 1))
    layers = [keras.layers.Conv2D(1, 3, padding="same", use_bias=False) for _ in range(3)]
    maps = [inputs]
    for layer in layers:
        maps.append(layer(maps[-1]))
    network = keras.Model(inputs, keras.layers.Concatenate()([maps[2], maps[3]]))
    ramp = np.array([1, 2, 1]) / 4
    for layer in layers:
        layer.set_weights([np.outer(ramp, ramp)[..., None, None]])
    network.save(folder / "exact.keras")
    path = make_package(folder / "exact.zip", weights=folder / "exact.keras", head=INSTANCES_HEAD)
    package = read_package(path, Settings())
    return WarmModel(dataclasses.replace(package, halo=8, minimum_size=8), "cpu")


def picture(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Blobs in noise, (y, x, 1) float32, whole 256ths from 0 to 1."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 4)
    blobs = np.clip(0.5 + smooth / (4 * smooth.std()) + 0.1 * rng.standard_normal(shape), 0, 1)
    return (np.rint(blobs * 256) / 256).astype(np.float32)[..., None]


def found(model: WarmModel, plane: np.ndarray, head: dict[str, Any], tile: int | None, batch: int) -> Decoded:
    maps = model.predict(plane, lambda done, tiles: None, lambda line: None, tile=tile, batch=batch)
    height, width = plane.shape[:2]
    if head["kind"] == "star-convex":
        # Rays of 4 to 12 pixels from the second map, exactly, each a little longer than the one before.
        maps = np.concatenate([maps[..., :1], *(maps[..., 1:] * (8 + ray / 2) for ray in range(16))], axis=2)
    return decode(maps, head, resolve({}, {"head": head}), Scale(), (height, width))


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head["kind"])
@given(st.integers(0, 1000), st.integers(30, 150), st.integers(30, 150), st.integers(16, 90), st.integers(1, 4))
@settings(max_examples=8, deadline=None)
def test_the_tiles_make_no_difference(
    model: WarmModel, head: dict[str, Any], seed: int, height: int, width: int, tile: int, batch: int
) -> None:
    plane = picture(seed, (height, width))
    whole, tiled = found(model, plane, head, None, 1), found(model, plane, head, tile, batch)
    np.testing.assert_array_equal(tiled.maps, whole.maps)
    np.testing.assert_array_equal(tiled.labels, whole.labels)
    np.testing.assert_array_equal(tiled.classes, whole.classes)
    if whole.points is not None and tiled.points is not None:
        for name in ("xy", "radius", "snr", "parent"):
            np.testing.assert_array_equal(getattr(tiled.points, name), getattr(whole.points, name))


def test_the_pictures_have_objects_to_lose(model: WarmModel) -> None:
    for head in HEADS:
        made = found(model, picture(3, (150, 150)), head, 40, 2)
        assert made.count > 3, head


def test_the_network_computes_exactly(model: WarmModel) -> None:
    plane = picture(1, (64, 64))
    maps = model.predict(plane, lambda done, tiles: None, lambda line: None)
    ramp = np.array([1, 2, 1]) / 4
    blurred = plane[..., 0].astype(np.float64)
    for _ in range(2):
        blurred = ndimage.convolve(blurred, np.outer(ramp, ramp), mode="constant")
    np.testing.assert_array_equal(maps[..., 0], blurred)
