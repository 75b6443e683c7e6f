"""Previews of detectors, polygons and spots, streamed: what they are in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from example_package import make_package
from scipy import ndimage
from standard_package import make_standard_package, onnx_weights, run_onnx
from test_network_kinds import BOXES_HEAD, detector
from test_stream import CLASSES, SETTINGS, both, compare, picture

from zoo.images import PixelSize
from zoo.packages import read_package
from zoo.roi import Region

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def models() -> Any:
    from worker.inference import ModelCache

    return ModelCache(SETTINGS, "cpu")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "tiled.tif"
    tifffile.imwrite(path, picture()[..., 0], tile=(64, 64), compression="zlib")
    return path


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"memory": 2**21, "spot_sigma_max_px": 4.0, "threshold": 0.15},
        {"spot_method": "dog", "enhancement": "clahe", "memory": 2**21},
        {"pixel_size": PixelSize(0.7, 0.65)},
    ],
)
def test_spots_are_those_of_the_preview_in_memory(
    image: Path, models: Any, tmp_path: Path, given: dict[str, Any]
) -> None:
    head = {"kind": "spots", "channel": 0, "cells": 0, "method": "log", "threshold": 0.12}
    path = make_package(tmp_path / "spots.zip", head=head, network=False, pixel_size_um=0.5)
    given = {"cells": "none", "spot_sigma_max_px": 5.0} | given
    rows = compare(
        *both(read_package(path, SETTINGS), image, models, tmp_path / "out", **given),
        exactly="pixel_size" not in given,
    )
    assert len(rows) > 5


def stained() -> np.ndarray:
    """(y, x) uint8: touching cells on a dark ground, spots in and between them."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:300, :260]
    plane = np.zeros((300, 260))
    for middle in rng.uniform(0, (300, 260), (26, 2)):
        plane = np.maximum(plane, 60.0 * (np.hypot(y - middle[0], x - middle[1]) < rng.uniform(9, 21)))
    spots = np.zeros(plane.shape)
    spots[rng.integers(0, 300, 120), rng.integers(0, 260, 120)] = rng.uniform(700, 1500, 120)
    plane = ndimage.gaussian_filter(plane, 1) + ndimage.gaussian_filter(spots, 1.4)
    return (20 + plane + rng.normal(0, 1.5, plane.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"memory": 2**21, "minimum_area_px": 400},
        {"roi": Region(13, 22, 201, 157), "spot_method": "dog", "seed_height": 0.02},
        {"pixel_size": PixelSize(0.5, 0.5)},
    ],
)
def test_spots_are_counted_in_the_cells_of_the_preview_in_memory(
    models: Any, tmp_path: Path, given: dict[str, Any]
) -> None:
    tifffile.imwrite(tmp_path / "stained.tif", stained(), tile=(64, 64))
    head = {"kind": "spots", "channel": 0, "cells": 0, "threshold": 0.5, "cell_level": 0.35, "minimum_area_px": 60}
    path = make_package(tmp_path / "spots.zip", head=head, network=False, pixel_size_um=0.5)
    package = read_package(path, SETTINGS)
    rows = compare(*both(package, tmp_path / "stained.tif", models, tmp_path / "out", **given))
    assert sum(row["spots"] != "" for row in rows) > 5
    assert len({row["cell"] for row in rows if row["spots"] == ""}) > 5


def test_spots_have_no_cell_where_there_are_none(image: Path, models: Any, tmp_path: Path) -> None:
    head = {"kind": "spots", "channel": 0, "cells": 0, "threshold": 0.12, "sigma_max_px": 5.0}
    path = make_package(tmp_path / "spots.zip", head=head, network=False, pixel_size_um=0.5)
    rows = compare(*both(read_package(path, SETTINGS), image, models, tmp_path / "out"))
    assert len(rows) > 5
    assert {row["cell"] for row in rows} == {""}


def detector_file(path: Path) -> Path:
    """A grid of 8 pixels: scores of two classes, offsets and sizes that follow the image."""
    import keras

    image = keras.Input((None, None, 1))
    smooth = keras.layers.AveragePooling2D(8)(keras.layers.Conv2D(1, 5, padding="same", name="smooth")(image))
    scores = keras.layers.Conv2D(2, 1, activation="sigmoid", name="scores")(smooth)
    places = keras.layers.Conv2D(4, 1, activation="tanh", name="places")(smooth)
    net = keras.Model(image, keras.layers.Concatenate()([scores, places]))
    net.get_layer("smooth").set_weights([np.full((5, 5, 1, 1), 1 / 25), np.zeros(1)])
    net.get_layer("scores").set_weights([np.array([8.0, -9.0]).reshape(1, 1, 1, 2), np.array([-4.0, 3.0])])
    net.get_layer("places").set_weights(
        [np.array([1.0, -1, 0.6, 0.9]).reshape(1, 1, 1, 4), np.array([-0.4, 0.5, 0, 0])]
    )
    net.save(path)
    return path


@pytest.mark.parametrize("given", [{}, {"tile_px": 64}, {"pixel_size": PixelSize(0.7, 0.65), "tile_px": 128}])
def test_boxes_are_those_of_the_preview_in_memory(
    image: Path, models: Any, tmp_path: Path, given: dict[str, Any]
) -> None:
    head = {
        "kind": "grid-detector", "stride": 8, "classes": CLASSES, "scores": [0, 1], "offset": [2, 3], "size": [4, 5],
        "threshold": 0.3, "overlap": 0.4,
    }  # fmt: skip
    path = make_package(
        tmp_path / "boxes.zip", weights=detector_file(tmp_path / "net.keras"), head=head, pixel_size_um=0.5
    )
    package = read_package(path, SETTINGS)
    rows = compare(*both(package, image, models, tmp_path / "out", **given), exactly="pixel_size" not in given)
    assert {row["class"] for row in rows} == {"a", "b"}


def polygons_file(path: Path, stride: int, rays: int) -> Path:
    """A probability and the lengths of rays, every `stride` pixels, that follow the image."""
    import keras

    image = now = keras.Input((None, None, 1))
    now = keras.layers.Conv2D(1, 7, padding="same", name="smooth")(now)
    now = keras.layers.AveragePooling2D(stride)(now)
    probability = keras.layers.Conv2D(1, 1, activation="sigmoid", name="probability")(now)
    lengths = keras.layers.Conv2D(rays, 1, activation="relu", name="rays")(now)
    net = keras.Model(image, keras.layers.Concatenate()([probability, lengths]))
    net.get_layer("smooth").set_weights([np.full((7, 7, 1, 1), 1 / 49), np.zeros(1)])
    net.get_layer("probability").set_weights([np.full((1, 1, 1, 1), 8.0), np.array([-4.0])])
    steep = np.linspace(3, 6, rays).reshape(1, 1, 1, rays)
    net.get_layer("rays").set_weights([steep, np.full(rays, 0.5)])
    net.save(path)
    return path


@pytest.mark.parametrize(
    ("stride", "given"),
    [
        (1, {"tile_px": 90}),
        (2, {"tile_px": 64, "overlap": 0.2, "minimum_area_px": 40}),
        (2, {"tile_px": 128, "pixel_size": PixelSize(0.7, 0.65)}),
        (1, {"tile_px": 128, "pixel_size": PixelSize(0.4, 0.4), "minimum_area_px": 3}),
    ],
)
def test_polygons_are_those_of_the_preview_in_memory(
    image: Path, models: Any, tmp_path: Path, stride: int, given: dict[str, Any]
) -> None:
    head = {
        "kind": "star-convex", "probability": 0, "rays": list(range(1, 9)), "stride": stride, "threshold": 0.5,
        "overlap": 0.4,
    }  # fmt: skip
    given = {"roi": Region(13, 22, 100, 91), **given}
    path = make_package(
        tmp_path / "polygons.zip", weights=polygons_file(tmp_path / "net.keras", stride, 8), head=head,
        pixel_size_um=0.5, outputs=["probability", *(f"ray{index}" for index in range(8))],
    )  # fmt: skip
    rows = compare(
        *both(read_package(path, SETTINGS), image, models, tmp_path / "out", **given),
        exactly="pixel_size" not in given,
    )
    assert len(rows) > 5


@pytest.mark.parametrize("given", [{}, {"tile_px": 64}, {"tile_px": 90, "batch": 3}])
def test_listed_boxes_are_those_of_the_preview_in_memory(models: Any, tmp_path: Path, given: dict[str, Any]) -> None:
    """A network that lists a box about each bright point, in tiles that see some of them twice."""
    weights = detector(tmp_path / "network.onnx")
    test = np.zeros((1, 1, 40, 40), np.float32)
    test[0, 0, 10, 20] = 0.9
    path = make_standard_package(
        tmp_path / "listed.zip", onnx_weights(weights), test, run_onnx(weights, test), output_axes="ic",
        config={"zooscope": {"head": BOXES_HEAD, "stride": 8, "halo": 8}},
    )  # fmt: skip
    rng = np.random.default_rng(4)
    plane = rng.uniform(0, 0.4, (210, 180)).astype(np.float32)
    plane.ravel()[rng.choice(plane.size, 90, replace=False)] = rng.uniform(0.55, 1, 90)
    tifffile.imwrite(tmp_path / "points.tif", plane, tile=(64, 64))
    rows = compare(*both(read_package(path, SETTINGS), tmp_path / "points.tif", models, tmp_path / "out", **given))
    assert len(rows) > 20
