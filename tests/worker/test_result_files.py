"""The files of a result: readable by others' readers, the same bytes each time, polygons that hold every pixel."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from worker import files
from worker.geojson import write_geojson
from worker.heads.decoded import Decoded
from worker.polygons import trace_polygons
from worker.render import PALETTE, draw_overlay, object_colours
from zoo.head_classes import HeadClass
from zoo.images import PixelSize

NAMESPACE = {"ome": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}


def signed_area(ring: np.ndarray) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


@given(st.integers(1, 14), st.integers(1, 14), st.integers(1, 4), st.integers(0, 10_000))
def test_polygons_are_simple_rings_with_the_objects_areas(height: int, width: int, kinds: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, kinds + 1, (height, width)).astype(np.int32)
    for number, polygons in enumerate(trace_polygons(labels), start=1):
        rings = [ring for polygon in polygons for ring in polygon]
        assert sum(signed_area(ring) for ring in rings) == (labels == number).sum()
        for polygon in polygons:
            assert signed_area(polygon[0]) > 0
            assert all(signed_area(hole) < 0 for hole in polygon[1:])
        for ring in rings:
            assert ring[0].tolist() == ring[-1].tolist()
            assert len({tuple(corner) for corner in ring[:-1].tolist()}) == len(ring) - 1


def test_a_ring_has_a_hole_and_only_its_corners() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[1:5, 1:5] = 1
    labels[2, 2] = labels[3, 3] = 0
    ((polygon,),) = trace_polygons(labels)
    assert sorted(polygon[0][:-1].tolist()) == [[1, 1], [1, 5], [5, 1], [5, 5]]
    assert sorted(hole[:-1].min(0).tolist() for hole in polygon[1:]) == [[2, 2], [3, 3]]


@pytest.mark.parametrize("pixel_size", [PixelSize(0.25, 0.5), None])
def test_ome_tiff_has_pixels_names_and_size(tmp_path: Path, pixel_size: PixelSize | None) -> None:
    planes = np.random.default_rng(0).random((2, 300, 41)).astype(np.float32)
    paths = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    for path in paths:
        files.write_ome_tiff(path, planes, ["fore<ground", "distance"], pixel_size)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with tifffile.TiffFile(paths[0]) as tiff:
        assert tiff.is_ome
        assert tiff.series[0].axes == "CYX"
        np.testing.assert_array_equal(tiff.series[0].asarray(), planes)
        xml = tiff.ome_metadata
    assert xml is not None
    (pixels,) = ElementTree.fromstring(xml).iterfind(".//ome:Pixels", NAMESPACE)
    assert [channel.get("Name") for channel in pixels.iterfind("ome:Channel", NAMESPACE)] == ["fore<ground", "distance"]
    sizes = (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeXUnit"))
    assert sizes == (("0.25", "0.5", "µm") if pixel_size else (None, None, None))


def test_labels_take_the_smallest_integers_that_hold_them() -> None:
    assert files.label_image(np.array([[0, 65535]])).dtype == np.uint16
    assert files.label_image(np.array([[0, 65536]])).dtype == np.uint32


def test_geojson_is_what_qupath_reads(tmp_path: Path) -> None:
    labels = np.zeros((8, 9), np.int32)
    labels[1:4, 2:5], labels[5, 0], labels[7, 8] = 1, 2, 2
    table = {"id": [1, 2], "class": ["nucleus"] * 2, "score": [0.9, 0.8], "area_px": [9, 2]}
    path = tmp_path / "objects.geojson"
    found = Decoded(np.zeros((8, 9, 1), np.float32), labels, np.zeros(2, np.int32))
    write_geojson(path, found, table, [HeadClass("nucleus", "nuclei", "#0072B2")], (100, 50))
    body = json.loads(path.read_text())
    assert body["type"] == "FeatureCollection"
    one, two = body["features"]
    assert one["geometry"]["type"] == "Polygon"
    assert sorted(one["geometry"]["coordinates"][0][:-1]) == [[102, 51], [102, 54], [105, 51], [105, 54]]
    assert two["geometry"]["type"] == "MultiPolygon"
    assert one["properties"] == {
        "id": 1, "objectType": "detection", "classification": {"name": "nucleus", "color": [0, 114, 178]},
        "measurements": {"score": 0.9, "area_px": 9},
    }  # fmt: skip


def test_csv_has_a_line_per_object_and_rounded_numbers(tmp_path: Path) -> None:
    table = files.rounded({"id": np.array([1, 2]), "score": np.array([0.123456, 1.0]), "x": np.array([1.23456, 2.0])})
    files.write_csv(tmp_path / "t.csv", table)
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert rows == [{"id": "1", "score": "0.1235", "x": "1.235"}, {"id": "2", "score": "1.0", "x": "2.0"}]


def test_the_overlay_fills_and_outlines_objects_alone(tmp_path: Path) -> None:
    display = np.full((12, 12), 100, np.uint8)
    labels = np.zeros((12, 12), np.int32)
    labels[2:8, 2:8] = 1
    picture = draw_overlay(display, labels)
    colour = PALETTE[object_colours(labels)[1]]
    assert (picture[labels == 0] == 100).all()
    np.testing.assert_array_equal(picture[2, 2], colour)
    np.testing.assert_allclose(picture[5, 5], 0.65 * 100 + 0.35 * colour.astype(float), atol=1)
    files.write_png(tmp_path / "o.png", picture)
    with Image.open(tmp_path / "o.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_neighbours_have_different_colours() -> None:
    rng = np.random.default_rng(1)
    seeds = rng.random((40, 2)) * 90
    y, x = np.mgrid[:90, :90]
    nearest = np.argmin(np.hypot(y[..., None] - seeds[:, 0], x[..., None] - seeds[:, 1]), axis=-1) + 1
    labels = nearest.astype(np.int32)
    colours = object_colours(labels)[labels]
    for axis in (0, 1):
        apart = np.diff(labels, axis=axis) != 0
        assert (np.diff(colours, axis=axis) != 0)[apart].all()
