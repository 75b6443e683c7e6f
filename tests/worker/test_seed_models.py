"""The models that come with Zooscope: they open, run, reproduce their test tensors, and are as good as told."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from skimage import io as image_files

from worker.inference import ModelCache
from worker.normalise import apply_operators
from worker.preview import PreviewJob, run_preview
from worker.training.scores import average_precision, dice
from zoo.catalogue import SEED_FOLDER
from zoo.images import Crop, PixelSize, inspect, read_region
from zoo.packages import ModelPackage, read_package
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings

pytestmark = pytest.mark.slow

SETTINGS = Settings(worker_models=2)
DATA = Path(__file__).parents[3] / "shared" / "data"
LARGEST = 2_500_000
SEEDS = {path.stem: path for path in sorted(Path(SEED_FOLDER).glob("*.zip"))}


@pytest.fixture(scope="module")
def models() -> ModelCache:
    return ModelCache(SETTINGS, "cpu")


@pytest.fixture(scope="module")
def packages() -> dict[str, ModelPackage]:
    return {name: read_package(path, SETTINGS) for name, path in SEEDS.items()}


@pytest.fixture
def labels_of(tmp_path: Path, models: ModelCache) -> Callable[..., np.ndarray]:
    """The labels of a preview with the default settings, through the files a user gets."""

    def run(package: ModelPackage, pixels: np.ndarray, pixel_size_um: float | None = None) -> np.ndarray:
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels[:, :, :3]
        region = Region(0, 0, pixels.shape[1], pixels.shape[0])
        size = PixelSize(pixel_size_um, pixel_size_um) if pixel_size_um else None
        source: dict[str, Any] = {"roi": region.to_json()}
        crop = Crop(pixels, size, pixels.shape[2] == 3, region)
        job = PreviewJob(package, crop, resolve({}, package), source)
        run_preview(job, models, tmp_path, lambda progress: None, lambda line: None, lambda: False)
        return tifffile.imread(tmp_path / "labels.ome.tif")

    return run


def test_both_models_are_there() -> None:
    assert set(SEEDS) >= {"nuclei", "em-mitochondria"}


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_is_small_and_says_what_it_is(name: str, packages: dict[str, ModelPackage]) -> None:
    package = packages[name]
    assert SEEDS[name].stat().st_size <= LARGEST
    assert package.id == name
    assert package.licence
    assert package.cite
    assert package.finds
    assert package.images
    assert package.not_for
    assert package.scores
    assert package.ert["cpu"]["seconds_per_megapixel"] > 0
    for words in ("What it is not for", "Data, licence, citation", "Validation"):
        assert words in package.card
    for cover in (package.cover, package.cover_before):
        assert package.open(cover)


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_reproduces_its_test_tensors(name: str, packages: dict[str, ModelPackage], models: ModelCache) -> None:
    package = packages[name]
    given, expected = (np.load(io.BytesIO(package.open(file))) for file in (package.test_input, package.test_output))
    plane = apply_operators(given[0], package.preprocessing).astype(np.float32)
    maps = models.get(package).predict(plane, lambda done, tiles: None, lambda line: None)
    assert np.abs(maps - expected[0]).max() < 1e-3


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_finds_objects_in_its_samples(
    name: str, packages: dict[str, ModelPackage], labels_of: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    package = packages[name]
    assert package.samples
    for sample in package.samples:
        assert sample["origin"]
        assert sample["licence"]
        path = tmp_path / sample["file"]
        path.write_bytes(package.open(sample["file"]))
        info = inspect(path, path.name, SETTINGS)
        assert (info.width, info.height) == (sample["width"], sample["height"])
        labels = labels_of(package, read_region(path, path.name, SETTINGS, None), sample["pixel_size_um"])
        assert labels.shape == (info.height, info.width)
        assert labels.max() >= 3


@pytest.mark.skipif(not DATA.exists(), reason="the folder shared/data is not here")
def test_nuclei_are_found_as_well_as_the_card_says(
    packages: dict[str, ModelPackage], labels_of: Callable[..., np.ndarray]
) -> None:
    scores: dict[str, list[float]] = {}
    for row in csv.DictReader((DATA / "nuclei" / "index.csv").read_text().splitlines()):
        if row["split"] != "val":
            continue
        image, truth = (
            image_files.imread(DATA / "nuclei" / "val" / part / f"{row['name']}.png") for part in ("images", "labels")
        )
        found = labels_of(packages["nuclei"], image)
        scores.setdefault(row["kind"], []).append(average_precision(truth, found))
    assert np.mean(scores["fluorescence"]) >= 0.83
    assert np.mean(scores["stained-tissue"]) >= 0.57
    assert np.mean(scores["brightfield-grey"]) >= 0.58
    told = next(row["value"] for row in packages["nuclei"].scores if row["dataset"].endswith("all kinds"))
    over_all = np.mean([score for kind in scores.values() for score in kind])
    assert over_all >= 0.77
    assert over_all == pytest.approx(told, abs=0.01)


@pytest.mark.skipif(not DATA.exists(), reason="the folder shared/data is not here")
def test_mitochondria_are_found_as_well_as_the_card_says(
    packages: dict[str, ModelPackage], labels_of: Callable[..., np.ndarray]
) -> None:
    package, scores = packages["em-mitochondria"], []
    for path in sorted((DATA / "em-vnc" / "val" / "raw").iterdir()):
        truth = image_files.imread(path.parents[1] / "mitochondria" / path.name) > 127
        scores.append(dice(truth, labels_of(package, image_files.imread(path), package.pixel_size_um) > 0))
    assert np.mean(scores) >= 0.86
