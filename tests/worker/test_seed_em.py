"""The seed models of electron micrographs: as good as told through the files a user gets, in one and several planes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage import io as image_files

from worker.normalise import apply_operators
from worker.predict import planes_as_channels
from worker.preview import ModelCache, PreviewJob, run_preview
from worker.training.scores import cells_rand_error, dice, skeleton_f1
from zoo.catalogue import SEED_FOLDER
from zoo.images import Crop, PixelSize, inspect
from zoo.packages import ModelPackage, read_package
from zoo.planes import cut_crop
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings

pytestmark = pytest.mark.slow

SETTINGS = Settings(worker_models=2)
DATA = Path(__file__).parents[3] / "shared" / "data" / "em-vnc"
PIXEL_SIZE = PixelSize(0.0046, 0.0046)


@pytest.fixture(scope="module")
def models() -> ModelCache:
    return ModelCache(SETTINGS, "cpu")


@pytest.fixture(scope="module")
def packages() -> dict[str, ModelPackage]:
    names = ("em-membranes", "em-mitochondria")
    return {name: read_package(Path(SEED_FOLDER) / f"{name}.zip", SETTINGS) for name in names}


def previewed(
    package: ModelPackage, crop: Crop, models: ModelCache, out: Path, **settings: object
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and the first map of a preview with the default settings but `settings`."""
    out.mkdir(exist_ok=True)
    job = PreviewJob(package, crop, resolve(settings, package), {"roi": crop.origin.to_json()})
    run_preview(job, models, out, lambda progress: None, lambda line: None, lambda: False)
    maps = tifffile.imread(out / "probability.ome.tif")
    return tifffile.imread(out / "labels.ome.tif"), maps.reshape(-1, *maps.shape[-2:])[0]


def crop_of(planes: np.ndarray) -> Crop:
    """A crop of (plane, y, x), an odd number of planes."""
    stack = planes[..., None]
    region = Region(0, 0, planes.shape[2], planes.shape[1])
    return Crop(stack[len(stack) // 2], PIXEL_SIZE, False, region, stack if len(stack) > 1 else None)


@pytest.mark.skipif(not DATA.exists(), reason="the folder shared/data is not here")
def test_membranes_and_cells_are_found_as_well_as_the_card_says(
    packages: dict[str, ModelPackage], models: ModelCache, tmp_path: Path
) -> None:
    package, rows = packages["em-membranes"], []
    for path in sorted((DATA / "val" / "raw").iterdir()):
        truth = image_files.imread(path.parents[1] / "membranes" / path.name) > 127
        cells, membrane = previewed(package, crop_of(image_files.imread(path)[None]), models, tmp_path)
        rows.append((skeleton_f1(truth, membrane >= 0.5)[0], cells_rand_error(truth, cells)))
        # What parts the cells is membrane too.
        assert skeleton_f1(truth, cells == 0)[0] > rows[-1][0] - 0.02
    told = {row["metric"]: row["value"] for row in package.scores}
    f1, rand = np.mean(rows, axis=0)
    assert f1 == pytest.approx(told["F1 of skeletons at 2 px"], abs=0.005)
    assert rand == pytest.approx(told["adapted Rand error of cells"], abs=0.01)
    assert f1 >= 0.925
    assert rand <= 0.05


def test_every_network_reproduces_its_test_tensors(packages: dict[str, ModelPackage], models: ModelCache) -> None:
    package = packages["em-mitochondria"]
    assert package.frames == (1, 3, 5)
    for frames, files in package.variant_tests.items():
        given, expected = (np.load(io.BytesIO(package.open(file))) for file in files)
        assert given.shape[-1] == frames
        planes = [apply_operators(given[0, ..., [plane]].transpose(1, 2, 0), package.preprocessing)
                  for plane in range(frames)]  # fmt: skip
        stack = planes_as_channels(np.stack(planes).astype(np.float32))
        maps = models.get(package).predict(stack, lambda done, tiles: None, lambda line: None, frames=frames)
        assert np.abs(maps - expected[0]).max() < 1e-3


def test_the_stack_among_the_samples_runs_with_every_count_of_frames(
    packages: dict[str, ModelPackage], models: ModelCache, tmp_path: Path
) -> None:
    package = packages["em-mitochondria"]
    sample = next(sample for sample in package.samples if sample.get("planes"))
    path = tmp_path / sample["file"]
    path.write_bytes(package.open(sample["file"]))
    info = inspect(path, path.name, SETTINGS)
    assert (info.depth, info.width, info.height) == (sample["planes"], sample["width"], sample["height"])
    assert info.pixel_size == PIXEL_SIZE
    found = []
    for frames, planes in (("1", 1), ("3", 3), ("5", 5), ("1+3+5", 5)):
        region = Region(0, 0, info.width, info.height)
        crop = cut_crop(path, path.name, SETTINGS, info, region, 2, None, info.pixel_size, planes)
        labels, _ = previewed(package, crop, models, tmp_path / frames, frames=frames)
        assert labels.max() >= 3
        found.append(labels > 0)
    for other in found[1:]:
        assert dice(found[0], other) > 0.8


@pytest.mark.skipif(not DATA.exists(), reason="the folder shared/data is not here")
@pytest.mark.parametrize("frames", ["3", "5", "1+3+5"])
def test_mitochondria_in_several_planes_are_found_as_well_as_the_card_says(
    packages: dict[str, ModelPackage], models: ModelCache, tmp_path: Path, frames: str
) -> None:
    package = packages["em-mitochondria"]
    sections = np.stack([image_files.imread(path) for path in sorted((DATA / "val" / "raw").iterdir())])
    reach, scores = int(frames[-1]) // 2, []
    for index in range(3):
        around = sections[np.clip(np.arange(index - reach, index + reach + 1), 0, 2)]
        truth = image_files.imread(DATA / "val" / "mitochondria" / f"{13 + index}.png") > 127
        _, probability = previewed(package, crop_of(around), models, tmp_path, frames=frames)
        scores.append(dice(truth, probability >= 0.5))
    told = next(row["value"] for row in package.scores if row["dataset"].endswith(f", {frames} frames"))
    assert np.mean(scores) == pytest.approx(told, abs=0.003)
    assert np.mean(scores) >= 0.9
