"""A preview from the crop to the files, with a small network of fixed random weights."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from example_package import INSTANCES_HEAD, MASK_HEAD, make_package
from PIL import Image

from scheduler.contract import RESULT_FILES, STAGES, Progress
from zoo.channel_fit import ChannelsUnfit
from zoo.images import Crop, PixelSize, encode_crop
from zoo.packages import ModelPackage, read_package
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings

# Keras 3.15 copies tensors in a way that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SETTINGS = Settings(worker_models=2)
REGION = Region(40, 30, 200, 168)
SOURCE = {"image_name": "cells.png", "image_sha256": "0" * 64, "roi": REGION.to_json(), "plane": 0, "channels": None,
          "rgb": False, "pixel_size_um": 0.5}  # fmt: skip


def network_file(path: Path, channels: int, maps: int) -> Path:
    import keras

    from worker.training.network import build_unet

    keras.utils.set_random_seed(11)
    net = build_unet(channels, maps, width=4, levels=4, normalise=False)
    for layer in net.layers:
        layer.set_weights([weights * 1.4 for weights in layer.get_weights()])
    net.save(path)
    return path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPackage]:
    folder = tmp_path_factory.mktemp("packages")
    grey = network_file(folder / "grey.keras", 1, 1)
    colour = network_file(folder / "colour.keras", 3, 2)
    made = {
        "mask": make_package(folder / "mask.zip", weights=grey, head=MASK_HEAD, pixel_size_um=0.5),
        "instances": make_package(folder / "instances.zip", weights=colour, channels=3, head=INSTANCES_HEAD),
    }
    return {name: read_package(path, SETTINGS) for name, path in made.items()}


@pytest.fixture(scope="module")
def models():
    from worker.preview import ModelCache

    return ModelCache(SETTINGS, "cpu")


@pytest.fixture(scope="module")
def crop() -> Crop:
    rng = np.random.default_rng(6)
    coarse = rng.integers(0, 200, (21, 25)).astype(np.uint8)
    smooth = Image.fromarray(coarse).resize((200, 168), Image.Resampling.BICUBIC)
    return Crop(np.asarray(smooth)[..., None], PixelSize(0.5, 0.5), False, REGION)


class Listener:
    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.lines: list[str] = []


def run(package: ModelPackage, crop: Crop, models: Any, out: Path, listener: Listener | None = None, **given: Any):
    from worker.preview import PreviewJob, run_preview

    listener = listener or Listener()
    out.mkdir()
    job = PreviewJob(package, crop, resolve(given, package), SOURCE)
    return run_preview(job, models, out, listener.progress.append, listener.lines.append, lambda: False)


@pytest.mark.parametrize("kind", ["mask", "instances"])
def test_the_seven_files_agree_with_one_another(packages, models, crop: Crop, tmp_path: Path, kind: str) -> None:
    listener = Listener()
    result = run(packages[kind], crop, models, tmp_path / "out", listener)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted(RESULT_FILES) == sorted(result.files)
    labels = tifffile.imread(out / "labels.ome.tif")
    probability = np.atleast_3d(np.moveaxis(np.atleast_3d(tifffile.imread(out / "probability.ome.tif").T), -1, 0).T)
    rows = list(csv.DictReader((out / "objects.csv").read_text().splitlines()))
    features = json.loads((out / "objects.geojson").read_text())["features"]
    assert labels.max() == len(rows) == len(features) == result.summary["objects"] > 3
    assert labels.shape == (168, 200)
    assert probability.dtype == np.float32
    assert 0 <= probability.min() < probability.max() <= 1
    with Image.open(out / "overlay.png") as overlay:
        assert overlay.size == (200, 168)
    first = rows[0]
    ys, xs = np.nonzero(labels == 1)
    assert (int(first["x_min"]), int(first["y_min"])) == (xs.min() + 40, ys.min() + 30)
    assert int(first["area_px"]) == xs.size
    assert float(first["area_um2"]) == pytest.approx(xs.size * 0.25)
    assert result.summary["coverage"] == pytest.approx((labels > 0).mean(), abs=1e-5)
    assert (out / "log.txt").read_text().splitlines() == listener.lines
    stages = [progress.stage for progress in listener.progress]
    assert list(dict.fromkeys(stages)) == [stage for stage in STAGES if stage not in ("queued", "uploading")]
    fractions = [progress.fraction for progress in listener.progress]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1


def test_the_manifest_tells_how_to_get_the_same_again(packages, models, crop: Crop, tmp_path: Path) -> None:
    package = packages["mask"]
    result = run(package, crop, models, tmp_path / "out", threshold=0.4)
    body = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert body["model"] == {"id": "mask", "version": "1.0.0", "name": "Test model", "package_sha256": package.sha256}
    assert body["settings"]["threshold"] == 0.4
    assert body["input_sha256"] == hashlib.sha256(encode_crop(crop)).hexdigest()
    assert body["source"]["roi"] == REGION.to_json()
    assert body["summary"] == result.summary
    assert body["device"] == "cpu"
    assert set(body["timings"]) == set(result.timings)


def test_the_same_inputs_give_the_same_bytes_whatever_the_tiles(packages, models, crop: Crop, tmp_path: Path) -> None:
    package = packages["instances"]
    for name in ("one", "two"):
        run(package, crop, models, tmp_path / name)
    for name in RESULT_FILES:
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
        if name == "manifest.json":
            assert json.loads(one) | {"timings": 0} == json.loads(two) | {"timings": 0}
        else:
            assert one == two, name
    run(package, crop, models, tmp_path / "tiled", tile_px=64, batch=3)
    whole, tiled = (tifffile.imread(tmp_path / name / "probability.ome.tif") for name in ("one", "tiled"))
    np.testing.assert_allclose(whole, tiled, atol=1e-5)


def test_averaging_over_eight_variations_makes_the_result_turn_with_the_image(
    packages, models, crop: Crop, tmp_path: Path
) -> None:
    # Reflecting up to the stride happens at one side only, so the sides must be multiples of it.
    square = dataclasses.replace(crop, pixels=np.ascontiguousarray(crop.pixels[:160, :160]))
    turned = dataclasses.replace(crop, pixels=np.ascontiguousarray(np.rot90(square.pixels)))
    maps = []
    for name, one in (("as-it-is", square), ("turned", turned)):
        run(packages["mask"], one, models, tmp_path / name, variations=8)
        maps.append(tifffile.imread(tmp_path / name / "probability.ome.tif"))
    np.testing.assert_allclose(np.rot90(maps[0]), maps[1], atol=1e-5)
    run(packages["mask"], square, models, tmp_path / "plain")
    assert np.abs(tifffile.imread(tmp_path / "plain" / "probability.ome.tif") - maps[0]).max() > 1e-3


def test_an_image_of_other_pixels_is_resized_and_the_result_comes_back(
    packages, models, crop: Crop, tmp_path: Path
) -> None:
    coarse = dataclasses.replace(crop, pixel_size=PixelSize(1.0, 1.0))
    listener = Listener()
    result = run(packages["mask"], coarse, models, tmp_path / "resized", listener)
    assert result.summary["scale"] == 2
    assert any("resized by 2 to 400 x 336" in line for line in listener.lines)
    assert tifffile.imread(tmp_path / "resized" / "labels.ome.tif").shape == (168, 200)
    assert run(packages["mask"], coarse, models, tmp_path / "off", rescale="off").summary["scale"] == 1


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_enhancement_and_other_sample_types_run(packages, models, crop: Crop, tmp_path: Path, dtype: type) -> None:
    pixels = crop.pixels.astype(dtype) * 100
    if dtype is np.float32:
        pixels[0, 0], pixels[5, 5] = np.nan, np.inf
    deep = dataclasses.replace(crop, pixels=pixels)
    run(packages["mask"], deep, models, tmp_path / "out", enhancement="cdeep3m2")
    assert np.isfinite(tifffile.imread(tmp_path / "out" / "probability.ome.tif")).all()
    assert "nan" not in (tmp_path / "out" / "objects.csv").read_text()


@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (9, 8)])
def test_tiny_and_constant_regions_run(packages, models, tmp_path: Path, shape: tuple[int, int]) -> None:
    crop = Crop(np.full((*shape, 1), 7, np.uint8), None, False, Region(0, 0, shape[1], shape[0]))
    result = run(packages["instances"], crop, models, tmp_path / "out")
    assert (result.summary["height"], result.summary["width"]) == shape
    assert result.summary["pixel_size_um"] is None


def test_a_threshold_no_pixel_reaches_gives_empty_files(packages, models, crop: Crop, tmp_path: Path) -> None:
    result = run(packages["mask"], crop, models, tmp_path / "out", minimum_area_px=10_000_000)
    assert result.summary["objects"] == 0
    assert result.summary["area_px"] is None
    assert json.loads((tmp_path / "out" / "objects.geojson").read_text())["features"] == []
    assert (tmp_path / "out" / "objects.csv").read_text().count("\n") == 1


def test_channels_that_do_not_fit_are_refused(packages, models, tmp_path: Path) -> None:
    crop = Crop(np.zeros((8, 8, 2), np.uint8), None, False, Region(0, 0, 8, 8))
    with pytest.raises(ChannelsUnfit):
        run(packages["instances"], crop, models, tmp_path / "out")


def test_cancelling_stops_between_tiles(packages, models, crop: Crop, tmp_path: Path) -> None:
    from worker.preview import Cancelled, PreviewJob, run_preview

    seen: list[Progress] = []
    job = PreviewJob(packages["mask"], crop, resolve({"tile_px": 64}, packages["mask"]), SOURCE)
    with pytest.raises(Cancelled):
        run_preview(
            job, models, tmp_path, seen.append, lambda line: None, lambda: "tile" in seen[-1].message if seen else False
        )
    assert seen[-1].message.startswith("tile 1 of")


def test_models_stay_warm_and_the_oldest_goes(packages, models) -> None:
    from worker.inference import ModelCache

    cache = ModelCache(Settings(worker_models=1), "cpu")
    mask = cache.get(packages["mask"])
    assert cache.get(packages["mask"]) is mask
    cache.get(packages["instances"])
    assert cache.warm == (packages["instances"].sha256,)


def test_running_out_of_memory_tries_less_and_says_so(packages, models, crop: Crop) -> None:
    import copy

    import tensorflow as tf

    from worker.inference import OutOfMemory, WarmModel

    def cramped(capacity: int) -> WarmModel:
        """The model on a device that holds so many pixels at once."""
        model = copy.copy(models.get(packages["mask"]))
        network = copy.copy(model.network())
        fits = network.forward

        def forward(batch: tf.Tensor) -> tf.Tensor:
            if tf.size(batch) > capacity:
                raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
            return fits(batch)

        network.forward = forward
        model.networks = {1: network}
        return model

    plane = np.tile(crop.pixels, (3, 3, 1)).astype(np.float32) / 255
    lines: list[str] = []
    wanted = models.get(packages["mask"]).predict(plane, lambda done, tiles: None, print)
    found = cramped(100_000).predict(plane, lambda done, tiles: None, lines.append, tile=256, batch=2)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert lines[0].startswith("out of memory: batch halved from 2 to 1")
    assert any("tile halved" in line for line in lines)
    with pytest.raises(OutOfMemory):
        cramped(100).predict(plane, lambda done, tiles: None, lines.append)


def test_a_network_with_code_of_its_own_is_refused(packages, models, tmp_path: Path) -> None:
    import keras

    from worker.inference import ModelUnrunnable

    inputs = keras.Input((None, None, 1))
    outputs = keras.layers.Lambda(lambda tensor: tensor * 2)(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "own.keras")
    path = make_package(tmp_path / "own.zip", weights=tmp_path / "own.keras")
    with pytest.raises(ModelUnrunnable, match="cannot be loaded"):
        models.get(read_package(path, SETTINGS))


def test_a_network_that_breaks_its_promise_is_refused(models, tmp_path: Path) -> None:
    from worker.inference import ModelUnrunnable

    path = make_package(tmp_path / "two.zip", weights=network_file(tmp_path / "two.keras", 1, 2))
    with pytest.raises(ModelUnrunnable, match="promises 1 maps"):
        models.get(read_package(path, SETTINGS))
