"""A streamed preview gives what the same preview in memory gives, from TIFF, Zarr and PNG."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from example_package import INSTANCES_HEAD, MASK_HEAD, make_package
from PIL import Image
from scipy import ndimage

from scheduler.contract import RESULT_FILES, Progress
from worker.job import Cancelled
from zoo.images import PixelSize, inspect
from zoo.packages import ModelPackage, read_package
from zoo.passes import frame_counts
from zoo.planes import cut_crop
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SETTINGS = Settings(worker_models=3)
SIDE = 300, 260
SMALL = 6 * 2**20
CLASSES = [{"object": "a", "channel": 0, "colour": "#ff0000"}, {"object": "b", "channel": 1}]


def network_file(path: Path, channels: int, maps: int) -> Path:
    """Maps that follow the image: smoothed channels through a steep sigmoid, fast and with objects of many sizes."""
    import keras

    keras.utils.set_random_seed(5)
    image = keras.Input((None, None, channels))
    smooth = keras.layers.Conv2D(maps, 7, padding="same")
    net = keras.Model(image, keras.layers.Activation("sigmoid")(smooth(image)))
    bump = np.exp(-((np.arange(7) - 3.0) ** 2) / 4)
    kernel = np.outer(bump, bump)[..., None, None] * np.linspace(1, 2, channels * maps).reshape(channels, maps)
    smooth.set_weights([(kernel / kernel.sum(axis=(0, 1, 2))) * 14, np.linspace(-9.5, -9, maps)])
    net.save(path)
    return path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPackage]:
    folder = tmp_path_factory.mktemp("packages")
    grey, colour = network_file(folder / "grey.keras", 1, 2), network_file(folder / "colour.keras", 3, 2)
    names = ["one", "two"]
    heads = {
        "mask": MASK_HEAD | {"channel": 1},
        "classes": {"kind": "probability-mask", "classes": CLASSES, "threshold": 0.5, "minimum_area_px": 3},
        "instances": INSTANCES_HEAD,
        "cells": {"kind": "boundary-cells", "channel": 0, "threshold": 0.5, "minimum_area_px": 5},
    }
    made = {}
    for name, head in heads.items():
        made[name] = make_package(
            folder / f"{name}.zip", weights=colour if name == "mask" else grey, channels=3 if name == "mask" else 1,
            head=head, pixel_size_um=0.5, outputs=names,
        )  # fmt: skip
    return {name: read_package(path, SETTINGS) for name, path in made.items()}


@pytest.fixture(scope="module")
def models() -> Any:
    from worker.inference import ModelCache

    return ModelCache(SETTINGS, "cpu")


def picture(channels: int = 1, dtype: str = "uint8") -> np.ndarray:
    """(y, x, channel) with blobs."""
    rng = np.random.default_rng(8)
    blobs = ndimage.gaussian_filter(rng.standard_normal((*SIDE, channels)), (4, 4, 0))
    blobs = 110 + 45 * blobs / blobs.std() + rng.normal(0, 4, blobs.shape)
    return blobs.clip(0, 250).astype(dtype)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    grey, colour = picture(), picture(3)
    found = {name: folder / f"{name}.tif" for name in ("tiled", "colour", "strips", "one-strip", "float")}
    tifffile.imwrite(found["tiled"], grey[..., 0], tile=(64, 64), compression="zlib")
    tifffile.imwrite(found["colour"], colour, tile=(64, 64), photometric="rgb")
    tifffile.imwrite(found["strips"], grey[..., 0], rowsperstrip=7, compression="zlib")
    tifffile.imwrite(found["one-strip"], grey[..., 0].astype(">u2") * 200)
    holes = picture(dtype="float32")[..., 0]
    holes[100:104, 20:50] = np.nan
    tifffile.imwrite(found["float"], holes, tile=(32, 32))
    for name, version in (("folder", 2), ("sharded", 3)):
        found[name] = write_zarr(folder / f"{name}.zarr", grey[..., 0], version)
    Image.fromarray(grey[..., 0]).save(folder / "plain.png")
    return found | {"png": folder / "plain.png"}


def write_zarr(folder: Path, plane: np.ndarray, version: int) -> Path:
    more: dict[str, Any] = {"shards": (128, 128)} if version == 3 else {}
    zarr.create_array(
        str(folder / "0"), data=plane[None], chunks=(1, 64, 64), zarr_format=version,
        **({"shards": (1, 128, 128)} if more else {}),
    )  # fmt: skip
    axes = [{"name": name, "type": "channel" if name == "c" else "space"} for name in "cyx"]
    multiscales = [{"axes": axes, "datasets": [{"path": "0"}]}]
    if version == 2:
        (folder / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    else:
        body = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"multiscales": multiscales}}}
        (folder / "zarr.json").write_text(json.dumps(body))
    return folder


def both(
    package: ModelPackage, image: Path, models: Any, out: Path, *, memory: int = SMALL, roi: Region | None = None,
    pixel_size: PixelSize | None = None, plane: int = 0, **given: Any,
) -> tuple[Path, Path]:  # fmt: skip
    """The result's folders of the preview in memory and of the streamed one."""
    from worker.preview import PreviewJob, run_preview
    from worker.stream.reading import ImageRegion
    from worker.stream.run import run_streamed
    from worker.stream.scratch import Scratch

    settings = resolve(given, package)
    info = inspect(image, image.name, SETTINGS)
    region = roi or Region(0, 0, info.width, info.height)
    whole, streamed, work = (out / name for name in ("whole", "streamed", "work"))
    for folder in (whole, streamed, work):
        folder.mkdir(parents=True)
    source = {"image_name": image.name, "roi": region.to_json(), "plane": plane, "channels": None, "rgb": info.rgb}
    frames = max(frame_counts(settings))
    crop = cut_crop(image, image.name, SETTINGS, info, region, plane, None, pixel_size, frames)
    job = PreviewJob(package, crop, settings, source)
    run_preview(job, models, whole, lambda told: None, lambda line: None, lambda: False)
    place = ImageRegion(image, info, region, plane, None, pixel_size, frames, SETTINGS)
    told: list[Progress] = []
    threads = threading.active_count()
    run_streamed(
        package, place, settings, source, models, streamed, Scratch(work, memory), told.append, lambda line: None,
        lambda: False,
    )  # fmt: skip
    assert threading.active_count() == threads
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    return whole, streamed


def compare(whole: Path, streamed: Path, *, exactly: bool = True) -> list[dict[str, str]]:
    """Assert that the results are the same; returns the rows of the table."""
    assert sorted(path.name for path in streamed.iterdir()) == sorted(RESULT_FILES)
    maps = [tifffile.imread(folder / "probability.ome.tif") for folder in (whole, streamed)]
    np.testing.assert_allclose(maps[1], maps[0], atol=0 if exactly else 2e-6)
    labels = [tifffile.imread(folder / "labels.ome.tif") for folder in (whole, streamed)]
    assert labels[0].dtype == labels[1].dtype
    np.testing.assert_array_equal(labels[1], labels[0])
    tables = [list(csv.DictReader((folder / "objects.csv").read_text().splitlines())) for folder in (whole, streamed)]
    assert [list(row) for row in tables[0]] == [list(row) for row in tables[1]]
    for one, other in zip(*tables, strict=True):
        for name in one:
            assert one[name] == other[name] or float(one[name]) == pytest.approx(float(other[name]), abs=1.1e-3)
    geojson = [json.loads((folder / "objects.geojson").read_text())["features"] for folder in (whole, streamed)]
    assert [each["geometry"] for each in geojson[0]] == [each["geometry"] for each in geojson[1]]
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (whole, streamed)]
    for key in ("input_sha256", "settings", "model", "source", "head", "scale"):
        assert manifests[0][key] == manifests[1][key]
    summary = {key: value for key, value in manifests[1]["summary"].items() if key in manifests[0]["summary"]}
    assert summary == manifests[0]["summary"]
    if manifests[1]["summary"]["overlay_reduced_by"] == 1:
        assert (whole / "overlay.png").read_bytes() == (streamed / "overlay.png").read_bytes()
    return tables[1]


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("instances", "tiled", {}),
    ("instances", "strips", {"tile_px": 64}),
    ("instances", "one-strip", {"tile_px": 100, "batch": 3}),
    ("instances", "png", {"tile_px": 90}),
    ("instances", "folder", {"roi": Region(13, 22, 201, 157), "tile_px": 64}),
    ("instances", "sharded", {"minimum_area_px": 60}),
    ("mask", "colour", {"tile_px": 64, "threshold": 0.6}),
    ("mask", "tiled", {"memory": 8 * 2**20}),
    ("classes", "float", {"tile_px": 80}),
    ("instances", "tiled", {"variations": "8-flips", "tile_px": 100}),
    ("instances", "tiled", {"pixel_size": PixelSize(0.8, 0.8), "tile_px": 128}),
    ("instances", "tiled", {"pixel_size": PixelSize(0.3, 0.35), "tile_px": 64}),
    ("mask", "colour", {"pixel_size": PixelSize(0.7, 0.7)}),
    ("cells", "tiled", {"memory": 64 * 2**20}),
    ("instances", "tiled", {"enhancement": "clahe", "tile_px": 128}),
]


@pytest.mark.parametrize(("model", "image", "given"), CASES)
def test_the_result_is_that_of_the_preview_in_memory(
    packages: dict[str, ModelPackage], images: dict[str, Path], models: Any, tmp_path: Path, model: str, image: str,
    given: dict[str, Any],
) -> None:  # fmt: skip
    rows = compare(*both(packages[model], images[image], models, tmp_path, **given), exactly="pixel_size" not in given)
    assert len(rows) > 5


def test_cancelled_or_interrupted_it_leaves_no_thread(
    packages: dict[str, ModelPackage], images: dict[str, Path], models: Any, tmp_path: Path
) -> None:
    from worker.stream.reading import ImageRegion
    from worker.stream.run import run_streamed
    from worker.stream.scratch import Scratch

    package, image = packages["instances"], images["tiled"]
    info = inspect(image, image.name, SETTINGS)
    place = ImageRegion(image, info, Region(0, 0, info.width, info.height), 0, None, None, 1, SETTINGS)
    before = threading.active_count()
    for index, stage in enumerate(("reading", "inferring", "decoding", "measuring")):
        out = tmp_path / str(index)
        (out / "work").mkdir(parents=True)
        seen: list[str] = []

        def tell(told: Progress, seen: list[str] = seen) -> None:
            seen.append(told.stage)

        def cancelled(seen: list[str] = seen, stage: str = stage) -> bool:
            return bool(seen) and seen[-1] == stage

        with pytest.raises(Cancelled):
            run_streamed(
                package, place, resolve({"tile_px": 64}, package), {}, models, out, Scratch(out / "work", SMALL),
                tell, lambda line: None, cancelled,
            )  # fmt: skip
        assert seen[-1] == stage
        assert threading.active_count() == before


def test_a_large_overlay_is_reduced_and_says_so(
    packages: dict[str, ModelPackage], images: dict[str, Path], models: Any, tmp_path: Path
) -> None:
    _, streamed = both(packages["instances"], images["tiled"], models, tmp_path, memory=2**20)
    summary = json.loads((streamed / "manifest.json").read_text())["summary"]
    factor = summary["overlay_reduced_by"]
    assert factor > 1
    with Image.open(streamed / "overlay.png") as overlay:
        assert overlay.size == (SIDE[1] // factor, SIDE[0] // factor)
    assert f"overlay reduced by {factor}" in (streamed / "log.txt").read_text()


@pytest.mark.parametrize(
    "given",
    [
        {"frames": "3", "tile_px": 90, "plane": 0},
        {"frames": "1+3", "variations": "cdeep3m2-4", "tile_px": 128, "plane": 2, "roi": Region(11, 7, 170, 160)},
        {"frames": "3", "enhancement": "off", "plane": 4, "pixel_size": PixelSize(0.6, 0.6)},
    ],
)
def test_networks_of_several_planes(models: Any, tmp_path: Path, given: dict[str, Any]) -> None:
    planes = np.stack([np.roll(picture()[..., 0], 3 * shift, axis=0) for shift in range(5)])
    tifffile.imwrite(tmp_path / "stack.tif", planes, tile=(64, 64), photometric="minisblack")
    one, three = (network_file(tmp_path / f"{count}.keras", count, 2) for count in (1, 3))
    path = make_package(
        tmp_path / "deep.zip", weights=one, variants={3: three}, head=MASK_HEAD | {"channel": 1}, pixel_size_um=0.5,
        outputs=["one", "two"],
    )  # fmt: skip
    rows = compare(
        *both(read_package(path, SETTINGS), tmp_path / "stack.tif", models, tmp_path / "out", **given),
        exactly="pixel_size" not in given,
    )
    assert len(rows) > 5
