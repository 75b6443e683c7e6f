"""Networks of every kind through the one engine: ONNX and Keras in any order of axes, fixed sizes, lists of boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standard_package import make_standard_package, onnx_weights, run_onnx, write_onnx

from worker.check import reproduces
from worker.inference import ModelCache, WarmModel
from zoo.packages import ModelPackage, read_package
from zoo.settings import Settings

SETTINGS = Settings(cpu_threads=1)
RNG = np.random.default_rng(4)
SCALE = {"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], "min_percentile": 1.0, "max_percentile": 99.0}}


@pytest.fixture(scope="module")
def models() -> ModelCache:
    return ModelCache(SETTINGS, "cpu")


def shaped(axes: str, channels: int, side: int, batch: int = 1) -> tuple[int, ...]:
    return tuple({"b": batch, "c": channels, "y": side, "x": side}[axis] for axis in axes)


def packed(folder: Path, *, axes: str = "bcyx", channels: int = 1, maps: int = 1, **network: Any) -> ModelPackage:
    """A package with an ONNX network and the tensors that onnxruntime alone makes of it."""
    file = write_onnx(folder / "network.onnx", axes=axes, channels=channels, maps=maps, **network)
    side = network.get("side") or 48
    given = RNG.uniform(0, 1, shaped(axes, channels, side, network.get("batch") or 1)).astype(np.float32)
    stride = network.get("stride", 1)
    head = {"kind": "grid-detector", "stride": stride, "classes": [{"object": "cell", "objects": "cells"}]}
    head |= {"scores": [0], "offset": [1, 2], "size": [3, 4]}
    config = {"zooscope": {"head": head, "stride": 8}} if stride > 1 else None
    out = make_standard_package(
        folder / "model.zip",
        onnx_weights(file),
        given,
        run_onnx(file, given),
        axes=axes,
        size=network.get("side"),
        output_scale=stride,
        config=config,
        halo=8 // stride,
    )
    return read_package(out, SETTINGS)


def predicted(model: WarmModel, plane: np.ndarray, **settings: Any) -> np.ndarray:
    return model.predict(plane, lambda done, tiles: None, lambda line: None, **settings)


@pytest.mark.parametrize("axes", ["bcyx", "byxc", "cbxy", "cyx", "byx", "yx", "xbyc"])
def test_any_order_of_axes_reproduces_its_test_tensor(tmp_path: Path, models: ModelCache, axes: str) -> None:
    package = packed(tmp_path, axes=axes, channels=2 if "c" in axes else 1, maps=3 if "c" in axes else 1)
    assert package.stride == 8
    found = reproduces(package, models)
    assert found.agrees, found.text
    assert found.difference < 1e-5


def test_tiles_and_batches_change_nothing(tmp_path: Path, models: ModelCache) -> None:
    package = packed(tmp_path, channels=2, maps=2)
    model = models.get(package)
    plane = RNG.uniform(0, 1, (90, 131, 2)).astype(np.float32)
    whole = predicted(model, plane)
    assert whole.shape == (90, 131, 2)
    for tile, batch in ((32, 1), (40, 3), (64, 8)):
        np.testing.assert_allclose(predicted(model, plane, tile=tile, batch=batch), whole, atol=1e-5)


@pytest.mark.parametrize("batch", [None, 3])
def test_a_network_of_one_size_is_given_that_size(tmp_path: Path, models: ModelCache, batch: int | None) -> None:
    package = packed(tmp_path, channels=1, maps=1, side=64, batch=batch)
    model = models.get(package)
    assert (model.network().window, model.network().batch) == ((64, 64), batch)
    plane = RNG.uniform(0, 1, (150, 61, 1)).astype(np.float32)
    made = predicted(model, plane)
    # The same weights without a fixed size, over the plane as it is padded.
    free = write_onnx(tmp_path / "free.onnx", channels=1, maps=1)
    padded = np.pad(plane, [(0, 10), (0, 3), (0, 0)], mode="reflect")
    expected = run_onnx(free, padded.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)
    np.testing.assert_allclose(made[:149, :60], expected[:149, :60], atol=1e-5)
    # Small planes are reflected to the one size.
    assert predicted(model, plane[:20, :30]).shape == (20, 30, 1)


def test_sides_from_a_least_one_are_padded(tmp_path: Path, models: ModelCache) -> None:
    package = packed(tmp_path)
    assert package.minimum_size == 32
    assert predicted(models.get(package), RNG.uniform(0, 1, (9, 70, 1)).astype(np.float32)).shape == (9, 70, 1)


def test_maps_on_a_grid_of_cells(tmp_path: Path, models: ModelCache) -> None:
    package = packed(tmp_path, channels=1, maps=5, stride=4)
    model = models.get(package)
    plane = RNG.uniform(0, 1, (50, 41, 1)).astype(np.float32)
    whole = predicted(model, plane)
    assert whole.shape == (13, 11, 5)
    np.testing.assert_allclose(predicted(model, plane, tile=16), whole, atol=1e-5)
    assert reproduces(package, models).agrees
