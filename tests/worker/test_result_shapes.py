"""Every shape of result: its labels, its table, its GeoJSON, its overlay and its summary, from maps made by hand."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from worker.heads.decode import decode
from worker.heads.decoded import Decoded
from worker.job import PreviewJob
from worker.render import OUTLINE, draw_found
from worker.result import summary_of, write_objects
from worker.table import head_classes, table_of
from zoo.images import Crop, PixelSize
from zoo.packages import ModelPackage, read_package
from zoo.pixel_scale import Scale
from zoo.preview_settings import resolve
from zoo.roi import Region
from zoo.settings import Settings

RED, GREEN = "#d55e00", "#009e73"
TWO = [{"object": "red cell", "objects": "red cells", "colour": RED}, {"object": "platelet", "colour": GREEN}]
FIRST = ["id", "class", "score", "x_min", "y_min", "x_max", "y_max"]


@pytest.fixture(scope="module")
def plain(package: Path) -> ModelPackage:
    return read_package(package, Settings())


class Result:
    """What a preview makes of maps: the head decoded and its files written, without a network."""

    def __init__(
        self,
        package: ModelPackage,
        out: Path,
        maps: np.ndarray,
        head: dict[str, Any],
        pixels: np.ndarray,
        *,
        scale: Scale | None = None,
        pixel_size: PixelSize | None = None,
        **given: Any,
    ) -> None:
        package = dataclasses.replace(package, head=head, output_channels=["map"] * maps.shape[-1])
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        height, width = pixels.shape[:2]
        crop = Crop(pixels, pixel_size, False, Region(100, 50, width, height))
        scale = scale or Scale()
        self.job = PreviewJob(package, crop, resolve(given, package), {})
        self.found: Decoded = decode(maps, head, self.job.settings, scale, (height, width))
        table = table_of(self.job, self.found)
        written: list[str] = []
        write_objects(self.job, out, self.found, table, written.append)
        assert written == ["objects.csv", "objects.geojson"]
        self.rows = list(csv.DictReader((out / "objects.csv").read_text().splitlines()))
        self.columns = list(table)
        self.features = json.loads((out / "objects.geojson").read_text())["features"]
        self.picture = draw_found(pixels[..., 0].astype(np.uint8), self.found, head_classes(self.job))
        self.summary = summary_of(self.job, self.found, scale)
        assert len(self.rows) == len(self.features) == self.summary["objects"] == self.found.count
        names = [each["properties"]["classification"]["name"] for each in self.features]
        assert [row["class"] for row in self.rows] == names
        assert self.columns[: len(FIRST)] == FIRST


def rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))


def mask_maps() -> np.ndarray:
    """Two classes and a background: a red square, beside it a green one that reaches a little into it."""
    maps = np.zeros((20, 30, 3), np.float32)
    maps[..., 2] = 0.6
    maps[2:10, 2:10, 0] = 0.8
    maps[2:10, 8:16, 1] = 0.9
    maps[14:18, 20:24, 0] = 0.55
    return maps


def test_classes_that_exclude_one_another_share_out_the_pixels(plain: ModelPackage, tmp_path: Path) -> None:
    head = {"kind": "probability-mask", "classes": [TWO[0] | {"channel": 0}, TWO[1] | {"channel": 1}], "threshold": 0.5}
    made = Result(plain, tmp_path, mask_maps(), head, np.full((20, 30), 100, np.uint8))
    # The background's map is larger than the third square's.
    assert [row["class"] for row in made.rows] == ["red cell", "platelet"]
    assert [row["area_px"] for row in made.rows] == ["48", "64"]
    assert [row["score"] for row in made.rows] == ["0.8", "0.9"]
    assert made.summary["classes"] == {"red cell": 1, "platelet": 1}
    assert made.summary["shape"] == "regions"
    assert [each["properties"]["classification"]["color"] for each in made.features] == [rgb(RED), rgb(GREEN)]
    assert made.picture[2, 2].tolist() == rgb(RED)
    assert made.picture[2, 15].tolist() == rgb(GREEN)


def test_other_classes_are_thresholded_each_by_itself(plain: ModelPackage, tmp_path: Path) -> None:
    classes = [TWO[0] | {"channel": 0}, TWO[1] | {"channel": 1, "threshold": 0.95}]
    head = {"kind": "probability-mask", "classes": classes, "exclusive": False, "threshold": 0.5}
    made = Result(plain, tmp_path, mask_maps(), head, np.full((20, 30), 100, np.uint8))
    # The second class's own threshold holds until the user gives one.
    assert [(row["class"], row["area_px"]) for row in made.rows] == [("red cell", "64"), ("red cell", "16")]
    made = Result(plain, tmp_path, mask_maps(), head, np.full((20, 30), 100, np.uint8), threshold=0.6)
    assert [(row["class"], row["area_px"]) for row in made.rows] == [("red cell", "48"), ("platelet", "64")]


def test_an_object_cut_in_two_by_another_class_is_one_object(plain: ModelPackage, tmp_path: Path) -> None:
    maps = np.zeros((10, 30, 2), np.float32)
    maps[4:6, :, 0], maps[:, 10:14, 1] = 0.7, 0.9
    head = {
        "kind": "probability-mask",
        "classes": [TWO[0] | {"channel": 0}, TWO[1] | {"channel": 1}],
        "exclusive": False,
    }
    made = Result(plain, tmp_path, maps, head, np.zeros((10, 30), np.uint8))
    assert [(row["class"], row["area_px"]) for row in made.rows] == [("platelet", "40"), ("red cell", "52")]
    assert [each["geometry"]["type"] for each in made.features] == ["Polygon", "MultiPolygon"]


def test_cells_between_membranes_have_a_score_that_says_no_membrane(plain: ModelPackage, tmp_path: Path) -> None:
    maps = np.full((40, 60, 1), 0.1, np.float32)
    maps[:, 29:31] = 0.9
    head = {"kind": "boundary-cells", "channel": 0, "object": "cell", "objects": "cells"}
    made = Result(plain, tmp_path, maps, head, np.zeros((40, 60), np.uint8), pixel_size=PixelSize(0.5, 0.5))
    assert made.summary["shape"] == "cells"
    assert made.summary["classes"] == {"cell": 2}
    assert [row["score"] for row in made.rows] == ["0.9", "0.9"]
    assert [row["area_um2"] for row in made.rows] == ["290.0", "290.0"]


GRID = {"kind": "grid-detector", "stride": 4, "classes": TWO, "scores": [0, 1], "offset": [2, 3], "size": [4, 5],
        "threshold": 0.5, "overlap": 0.4}  # fmt: skip


def grid_maps() -> np.ndarray:
    """On a grid of 10 x 15 cells a red cell of 12 x 8 px about (22, 13), a platelet of 8 x 8 px over it, a weak one."""
    maps = np.zeros((10, 15, 6), np.float32)
    maps[3, 5] = [0.8, 0, 0, -0.5, np.log(3), np.log(2)]
    maps[3, 7] = [0, 0.9, -1, 0, np.log(2), np.log(2)]
    maps[8, 12] = [0.3, 0, 0, 0, 0, 0]
    return maps


def test_boxes_have_sides_classes_and_the_best_on_top(plain: ModelPackage, tmp_path: Path) -> None:
    pixels = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
    made = Result(plain, tmp_path, grid_maps(), GRID, pixels, pixel_size=PixelSize(0.5, 0.25))
    first, second = made.rows
    assert made.columns == [*FIRST, "width_px", "height_px", "area_px", "width_um", "height_um", "area_um2", "centre_x",
                            "centre_y", "mean_intensity_0"]  # fmt: skip
    assert (first["class"], first["score"], second["class"], second["score"]) == ("platelet", "0.9", "red cell", "0.8")
    corners = [float(second[name]) for name in FIRST[3:]]
    assert corners == [116, 59, 128, 67]
    assert (second["width_px"], second["height_px"], second["area_um2"]) == ("12.0", "8.0", "12.0")
    assert (second["centre_x"], second["centre_y"]) == ("122.0", "63.0")
    assert float(second["mean_intensity_0"]) == pixels[9:17, 16:28].mean()
    assert made.found.labels[10, 17] == 2
    assert made.found.labels[12, 26] == 1
    assert made.features[1]["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[116.0, 59.0], [128.0, 59.0], [128.0, 67.0], [116.0, 67.0], [116.0, 59.0]]],
    }
    assert made.features[1]["properties"]["classification"] == {"name": "red cell", "color": rgb(RED)}
    assert made.summary["shape"] == "boxes"
    assert made.summary["classes"] == {"red cell": 1, "platelet": 1}
    # Maps come on the image's pixels, a cell of the grid as 4 x 4 of them.
    assert made.found.maps.shape == (40, 60, 6)
    assert (made.found.maps[12:16, 20:24, 0] == np.float32(0.8)).all()


def test_boxes_are_outlined_in_their_class_s_colour_and_filled_lightly(plain: ModelPackage, tmp_path: Path) -> None:
    made = Result(plain, tmp_path, grid_maps(), GRID, np.full((40, 60), 100, np.uint8))
    assert made.picture[9 : 9 + OUTLINE, 16].tolist() == [rgb(RED)] * OUTLINE
    assert made.picture[13, 18].tolist() == [int(88 + 0.12 * channel) for channel in rgb(RED)]
    assert made.picture[12, 31].tolist() == rgb(GREEN)
    assert made.picture[0, 0].tolist() == [100] * 3


def test_boxes_are_thresholded_dropped_by_size_and_come_back_from_another_scale(
    plain: ModelPackage, tmp_path: Path
) -> None:
    picture = np.zeros((40, 60), np.uint8)
    assert Result(plain, tmp_path, grid_maps(), GRID, picture, threshold=0.2).summary["objects"] == 3
    assert Result(plain, tmp_path, grid_maps(), GRID, picture, threshold=0.85).summary["objects"] == 1
    made = Result(plain, tmp_path, grid_maps(), GRID, np.zeros((20, 30), np.uint8), scale=Scale(2, 2))
    assert [float(made.rows[1][name]) for name in FIRST[3:]] == [108, 54.5, 114, 58.5]
    assert made.found.maps.shape == (20, 30, 6)


def test_a_network_s_own_list_of_boxes_is_thinned_and_drawn(plain: ModelPackage, tmp_path: Path) -> None:
    head = {"kind": "boxes", "columns": ["x_min", "y_min", "x_max", "y_max", "score", "class"], "classes": TWO,
            "threshold": 0.3, "overlap": 0.5}  # fmt: skip
    rows = [[1, 2, 11, 12, 0.9, 0], [2, 2, 12, 12, 0.8, 0], [2, 2, 12, 12, 0.7, 1], [50, 30, 80, 60, 0.6, 1],
            [1, 1, 5, 5, 0.1, 0], [0, 0, 0, 0, -1, 0]]  # fmt: skip
    made = Result(plain, tmp_path, np.array(rows, np.float32), head, np.zeros((40, 60), np.uint8))
    assert [(row["class"], row["score"], row["x_max"]) for row in made.rows] == [
        ("red cell", "0.9", "111.0"), ("platelet", "0.7", "112.0"), ("platelet", "0.6", "160.0"),
    ]  # fmt: skip
    assert made.found.maps.shape == (40, 60, 1)
    assert made.found.maps[35, 55, 0] == np.float32(0.6)


def spots_and_cells() -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Two discs of radius 20 on a dark ground, three spots in the first, one in the second, two outside."""
    y, x = np.mgrid[:100, :160] + 0.5
    plane = np.random.default_rng(2).normal(100, 2, (100, 160))
    for middle in (45, 110):
        plane += 60 * ndimage.gaussian_filter((np.hypot(x - middle, y - 50) < 20).astype(float), 1)
    places = [(40.0, 45.0), (50.5, 42.0), (45.0, 60.0), (112.0, 52.0), (20.0, 15.0), (140.0, 85.0)]
    for place in places:
        plane += 80 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * 1.8**2))
    return plane.astype(np.float32), places


SPOTS = {"kind": "spots", "channel": 0, "cells": 0, "minimum_area_px": 200, "object": "spot", "objects": "spots",
         "sigma_min_px": 1.2, "sigma_max_px": 3.0}  # fmt: skip


@pytest.mark.parametrize("method", ["log", "dog"])
def test_spots_are_counted_in_their_cells(plain: ModelPackage, tmp_path: Path, method: str) -> None:
    plane, places = spots_and_cells()
    size = PixelSize(0.2, 0.2)
    made = Result(plain, tmp_path, plane[..., None], SPOTS, plane, pixel_size=size, spot_method=method)
    cells, spots = made.rows[:2], made.rows[2:]
    assert made.summary["shape"] == "points"
    assert made.summary["classes"] == {"spot": 6, "cell": 2}
    assert [row["class"] for row in made.rows] == ["cell"] * 2 + ["spot"] * 6
    assert [row["spots"] for row in cells] == ["3", "1"]
    assert made.summary["spots_per_cell"] == {"median": 2.0, "mean": 2.0}
    assert (made.summary["spots"], made.summary["cells"], made.summary["spots_outside_cells"]) == (6, 2, 2)
    assert float(cells[0]["spots_per_um2"]) == pytest.approx(3 / float(cells[0]["area_um2"]), abs=1e-6)
    assert float(cells[0]["area_px"]) == pytest.approx(np.pi * 20**2, rel=0.05)
    found = {(float(row["x"]) - 100, float(row["y"]) - 50): row for row in spots}
    for place, row in zip(sorted(places), [found[key] for key in sorted(found)], strict=True):
        assert (float(row["x"]) - 100, float(row["y"]) - 50) == pytest.approx(place, abs=0.3)
        assert float(row["radius_px"]) == pytest.approx(1.8 * 2**0.5, rel=0.15)
        assert float(row["x_max"]) - float(row["x_min"]) == pytest.approx(2 * float(row["radius_px"]), abs=0.01)
        assert float(row["contrast"]) > 30
        assert 0.5 <= float(row["score"]) < 1
        assert row["area_px"] == row["spots"] == ""
    assert sorted(row["cell"] for row in spots) == ["", "", "1", "1", "1", "2"]
    assert [row["cell"] for row in cells] == ["", ""]
    assert [each["geometry"]["type"] for each in made.features] == ["Polygon"] * 2 + ["Point"] * 6
    assert "spots" not in made.features[-1]["properties"]["measurements"]
    x, y = (int(float(spots[0][name])) - offset for name, offset in (("x", 100), ("y", 50)))
    ring = made.picture[y - 6 : y + 7, x - 6 : x + 7].reshape(-1, 3).tolist()
    assert rgb("#0072b2") in ring


def test_spots_of_the_whole_region_belong_to_no_cell(plain: ModelPackage, tmp_path: Path) -> None:
    plane, _ = spots_and_cells()
    made = Result(plain, tmp_path, plane[..., None], SPOTS, plane, cells="none")
    assert made.summary["classes"] == {"spot": 6, "cell": 0}
    assert made.summary["spots_per_cell"] is None
    assert not made.found.labels.any()
    assert made.columns == [*FIRST, "x", "y", "radius_px", "contrast", "snr", "mean_intensity_0"]


def test_a_plane_without_anything_has_a_table_of_names_alone(plain: ModelPackage, tmp_path: Path) -> None:
    flat = np.full((50, 60), 7, np.float32)
    made = Result(plain, tmp_path, flat[..., None], SPOTS, flat)
    assert made.rows == []
    assert made.summary["classes"] == {"spot": 0, "cell": 0}
    made = Result(plain, tmp_path, np.zeros((10, 15, 6), np.float32), GRID, np.zeros((40, 60), np.uint8))
    assert made.rows == []
    assert made.summary["area_px"] is None


def test_the_deep_watershed_and_star_convex_polygons_become_regions(plain: ModelPackage, tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :100]
    near = np.stack([np.hypot(y - 30, x - middle) for middle in (30, 66)]).min(axis=0)
    hills = np.clip(1 - near / 16, 0, 1).astype(np.float32)
    maps = np.stack([hills, (hills > 0).astype(np.float32)], axis=-1)
    head = {"kind": "watershed-instances", "algorithm": "deep-watershed", "preset": "mesmer-nuclear"}
    assert Result(plain, tmp_path, maps, head, np.zeros((60, 100), np.uint8)).summary["objects"] == 2
    rays = np.full((60, 100, 8), 12, np.float32)
    star = {"kind": "star-convex", "probability": 0, "rays": list(range(1, 9)), "threshold": 0.5, "overlap": 0.4}
    probability = np.where(near < 2, 1 - near / 10, 0).astype(np.float32)
    made = Result(
        plain, tmp_path, np.concatenate([probability[..., None], rays], axis=-1), star, np.zeros((60, 100), np.uint8)
    )
    assert [row["score"] for row in made.rows] == ["1.0", "1.0"]
    assert made.found.labels[30, 30] == 1
