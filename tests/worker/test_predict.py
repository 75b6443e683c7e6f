"""Networks of several planes: what they are given, how ensembles are averaged, and the way through a whole preview."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from example_package import MASK_HEAD, make_package

from zoo.images import Crop
from zoo.packages import ModelPackage, read_package
from zoo.passes import frame_counts
from zoo.planes import PlanesMissing
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings

# Keras 3.15 copies tensors in a way that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SETTINGS = Settings(worker_models=2)
# What each plane counts for in the networks' one map, the lowest plane first; unlike, so that no order is another.
WEIGHTS = {1: [0.9], 3: [0.1, 0.7, 0.2], 5: [0.05, 0.1, 0.5, 0.15, 0.2]}
SOURCE = {"image_name": "stack.tif", "image_sha256": "0" * 64, "roi": [0, 0, 24, 16], "plane": 2, "channels": None,
          "rgb": False, "pixel_size_um": None}  # fmt: skip


def weighing_network(path: Path, frames: int) -> Path:
    """A network whose map is the weighted sum of its planes, each taken from the pixel on the left."""
    import keras

    inputs = keras.Input((None, None, frames))
    layer = keras.layers.Conv2D(1, 3, padding="same", use_bias=False)
    model = keras.Model(inputs, layer(inputs))
    kernel = np.zeros((3, 3, frames, 1), np.float32)
    kernel[1, 0, :, 0] = WEIGHTS[frames]
    layer.set_weights([kernel])
    model.save(path)
    return path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("planes")
    files = {frames: weighing_network(folder / f"planes{frames}.keras", frames) for frames in WEIGHTS}
    path = make_package(
        folder / "deep.zip", weights=files.pop(1), variants=files, head=MASK_HEAD | {"minimum_area_px": 0}
    )
    return read_package(path, SETTINGS)


@pytest.fixture(scope="module")
def models():
    from worker.preview import ModelCache

    return ModelCache(SETTINGS, "cpu")


def stack_of(planes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((planes, 16, 24, 1)).astype(np.float32)


def crop_of(planes: int) -> Crop:
    stack = (stack_of(planes) * 200).astype(np.uint8)
    return Crop(stack[planes // 2], None, False, Region(0, 0, 24, 16), stack if planes > 1 else None)


def by_hand(stack: np.ndarray, frames: int, numbers: tuple[int, ...]) -> np.ndarray:
    """The mean over variations of what `weighing_network` makes, done with NumPy on lists of planes."""
    square = {
        1: lambda a: a, 2: np.flipud, 3: np.fliplr, 4: np.rot90, 5: lambda a: np.rot90(a, -1),
        6: lambda a: np.rot90(np.flipud(a)), 7: lambda a: np.rot90(np.fliplr(a)), 8: lambda a: np.rot90(a, 2),
    }  # fmt: skip
    back = square | {
        4: square[5], 5: square[4], 6: lambda a: np.flipud(np.rot90(a, -1)), 7: lambda a: np.fliplr(np.rot90(a, -1)),
    }  # fmt: skip
    middle, made = len(stack) // 2, []
    for number in numbers:
        planes = [stack[middle + step, :, :, 0] for step in range(-(frames // 2), frames // 2 + 1)]
        planes = planes[::-1] if number > 8 else planes
        turned = [square[(number - 1) % 8 + 1](plane) for plane in planes]
        total = sum(weight * plane for weight, plane in zip(WEIGHTS[frames], turned, strict=True))
        made.append(back[(number - 1) % 8 + 1](np.pad(total, [(0, 0), (1, 0)])[:, :-1]))
    return np.mean(made, axis=0)


def averaged(models: Any, package: ModelPackage, stack: np.ndarray, **given: Any) -> tuple[np.ndarray, list[Any]]:
    from worker.job import Run
    from worker.predict import averaged

    progress: list[Any] = []
    run = Run(progress.append, lambda line: None, lambda: False)
    return averaged(models.get(package), stack, resolve(given, package), run), progress


@pytest.mark.parametrize(
    ("given", "sets"),
    [
        ({}, {1: (1,)}),
        ({"frames": "3"}, {3: (1,)}),
        ({"frames": "5", "variations": "cdeep3m2-4"}, {5: (1, 6, 11, 15)}),
        ({"frames": "3", "variations": "cdeep3m2-4"}, {3: (7, 8, 10, 12)}),
        ({"frames": "1+3", "variations": "cdeep3m2-2"}, {1: (1, 6, 11, 15), 3: (1, 2, 3, 4, 13, 14, 15, 16)}),
        ({"frames": "1+3+5"}, {1: (1,), 3: (1,), 5: (1,)}),
        ({"frames": "1", "variations": "8-flips"}, {1: tuple(range(1, 9))}),
    ],
)
def test_networks_and_variations_are_averaged_each_network_alike(
    models: Any, package: ModelPackage, given: dict[str, str], sets: dict[int, tuple[int, ...]]
) -> None:
    stack = stack_of(5)
    found, progress = averaged(models, package, stack, **given)
    assert found.dtype == np.float32
    wanted = np.mean([by_hand(stack, frames, numbers) for frames, numbers in sets.items()], axis=0)
    np.testing.assert_allclose(found[..., 0], wanted, atol=1e-5)
    fractions = [each.fraction for each in progress]
    assert fractions == sorted(fractions)
    if sum(map(len, sets.values())) > 1:
        assert progress[-1].message.endswith(f"pass {sum(map(len, sets.values()))} of {sum(map(len, sets.values()))}")


def run(package: ModelPackage, crop: Crop, models: Any, out: Path, **given: Any) -> np.ndarray:
    from worker.preview import PreviewJob, run_preview

    out.mkdir()
    job = PreviewJob(package, crop, resolve(given, package), SOURCE)
    run_preview(job, models, out, lambda _: None, lambda _: None, lambda: False)
    return np.asarray(tifffile.imread(out / "probability.ome.tif"))


def test_a_whole_preview_of_several_planes(models: Any, package: ModelPackage, tmp_path: Path) -> None:
    crop = crop_of(5)
    maps = {
        frames: run(package, crop, models, tmp_path / frames.replace("+", "-"), frames=frames)
        for frames in ("1", "3", "5", "1+3+5")
    }
    assert not np.allclose(maps["1"], maps["3"], atol=1e-3)
    np.testing.assert_allclose(maps["1+3+5"], np.mean([maps["1"], maps["3"], maps["5"]], axis=0), atol=1e-5)
    manifest = json.loads((tmp_path / "1-3-5" / "manifest.json").read_text())
    assert manifest["settings"]["frames"] == "1+3+5"
    assert manifest["settings"] == resolve({"frames": "1+3+5"}, package)
    assert "5 planes" in (tmp_path / "5" / "log.txt").read_text()
    # A crop cut for more planes gives one plane what a crop of that plane gives.
    np.testing.assert_array_equal(run(package, crop_of(5), models, tmp_path / "of5"), maps["1"])


@pytest.mark.parametrize("enhancement", ["off", "cdeep3m2", "clahe"])
def test_a_plane_is_prepared_alike_whatever_stands_beside_it(package: ModelPackage, enhancement: str) -> None:
    from worker.job import PreviewJob
    from worker.prepare import fitted, prepared

    def planes(crop: Crop, **given: str) -> np.ndarray:
        job = PreviewJob(package, crop, resolve(given | {"enhancement": enhancement}, package), SOURCE)
        return prepared(job, fitted(job, lambda _: None), lambda _: None)[0]

    stack = (stack_of(3) * 200).astype(np.uint16)
    stack[0] *= 50
    deep = Crop(stack[1], None, False, Region(0, 0, 24, 16), stack)
    found = planes(deep, frames="3")
    assert (found.shape, found.dtype) == ((3, 16, 24, 1), np.float32)
    for index in range(3):
        alone = Crop(stack[index], None, False, Region(0, 0, 24, 16))
        np.testing.assert_array_equal(found[index], planes(alone)[0])


def test_a_job_cut_with_too_few_planes_is_refused(package: ModelPackage) -> None:
    from worker.job import PreviewJob
    from worker.prepare import fitted

    settings = resolve({"frames": "5"}, package)
    assert frame_counts(settings) == (5,)
    with pytest.raises(PlanesMissing, match="pixels of 3 planes and is to use 5"):
        fitted(PreviewJob(package, crop_of(3), settings, SOURCE), lambda _: None)
