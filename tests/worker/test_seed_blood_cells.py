"""The seed model `blood-cells`: what a user's objects.csv says is as good as its card does."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from skimage import io

from worker.heads.boxes import Boxes, overlap_share
from worker.preview import ModelCache, PreviewJob, run_preview
from worker.training.blood_data import CLASSES, read_blood
from worker.training.box_scores import scores_of_classes
from zoo.catalogue import SEED_FOLDER
from zoo.images import Crop
from zoo.packages import ModelPackage, read_package
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings

pytestmark = pytest.mark.slow

SETTINGS = Settings(worker_models=1)
DATA = Path(__file__).parents[3] / "shared" / "data"
NAMES = ("red blood cell", "white blood cell", "platelet")


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return read_package(Path(SEED_FOLDER) / "blood-cells.zip", SETTINGS)


@pytest.fixture(scope="module")
def models() -> ModelCache:
    return ModelCache(SETTINGS, "cpu")


def found_by_a_preview(
    pixels: np.ndarray, package: ModelPackage, models: ModelCache, out: Path, **settings: int | str
) -> Boxes:
    """The boxes that objects.csv names, of a preview with the default settings but `settings`."""
    region = Region(0, 0, pixels.shape[1], pixels.shape[0])
    job = PreviewJob(package, Crop(pixels, None, True, region), resolve(settings, package), {"roi": region.to_json()})
    out.mkdir(exist_ok=True)
    run_preview(job, models, out, lambda progress: None, lambda line: None, lambda: False)
    with (out / "objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    corners = [[float(row[side]) for side in ("x_min", "y_min", "x_max", "y_max")] for row in rows]
    return Boxes(
        np.array(corners, np.float32).reshape(-1, 4),
        np.array([float(row["score"]) for row in rows], np.float32),
        np.array([NAMES.index(row["class"]) for row in rows], np.int32),
    )


@pytest.mark.skipif(not DATA.exists(), reason="the folder shared/data is not here")
def test_blood_cells_are_found_as_well_as_the_card_says(
    package: ModelPackage, models: ModelCache, tmp_path: Path
) -> None:
    # Every third image, so that it does not take long.
    smears = read_blood(DATA, "val", (1.0, 99.0))[::3]
    found = [found_by_a_preview(smear.pixels, package, models, tmp_path) for smear in smears]
    scores = scores_of_classes([smear.boxes for smear in smears], found, len(CLASSES))
    assert np.mean(scores) >= 0.88
    told = {row["dataset"].rpartition(", ")[2]: row["value"] for row in package.scores}
    assert [told[name] for name in ("red blood cells", "white blood cells", "platelets")] == pytest.approx(
        scores, abs=0.03
    )


def test_the_boxes_of_its_sample_are_the_same_whatever_the_tiles(
    package: ModelPackage, models: ModelCache, tmp_path: Path
) -> None:
    (tmp_path / "sample.jpg").write_bytes(package.open(package.samples[0]["file"]))
    pixels = io.imread(tmp_path / "sample.jpg")
    # Three by three copies: wide enough for tiles whose halos do not cover everything.
    pixels = np.tile(pixels, (3, 3, 1))[:1200, :1500]
    whole = found_by_a_preview(pixels, package, models, tmp_path / "whole", tile_px=2048)
    tiled = found_by_a_preview(pixels, package, models, tmp_path / "tiled", tile_px=256)
    assert len(whole) > 100
    assert whole.kind.tolist() == tiled.kind.tolist()
    # The table has a few decimals, and convolutions of other shapes round elsewhere.
    assert np.abs(whole.xyxy - tiled.xyxy).max() < 0.01


def test_flips_and_rotations_leave_boxes_where_they_are(
    package: ModelPackage, models: ModelCache, tmp_path: Path
) -> None:
    (tmp_path / "sample.jpg").write_bytes(package.open(package.samples[0]["file"]))
    # Sides that are no multiples of the grid's cells.
    pixels = io.imread(tmp_path / "sample.jpg")[:461, :605]
    plain = found_by_a_preview(pixels, package, models, tmp_path / "plain")
    turned = found_by_a_preview(pixels, package, models, tmp_path / "turned", variations="8-flips")
    sure = plain[plain.score > 0.5]
    assert len(sure) >= 8
    for box, kind in zip(sure.xyxy, sure.kind, strict=True):
        assert overlap_share(turned.xyxy[turned.kind == kind], box).max() > 0.8
