"""Measures against `skimage.measure.regionprops`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from worker.heads.labels import drop_small
from worker.measure import border_pixels, measure_objects


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """Touching objects of all sizes, some at the image's edge, one pixel and one ring among them."""
    rng = np.random.default_rng(3)
    coarse = ndimage.zoom(rng.integers(0, 5, (9, 11)), 8, order=0)
    made = coarse.astype(np.int32)
    made[ndimage.gaussian_filter(rng.standard_normal(made.shape), 1) > 0.25] = 0
    made[30:37, 40:47] = 6
    made[33, 43] = 0
    made[10, 60] = 7
    return drop_small(made, 1)


def test_measures_are_those_of_scikit_image(labels: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 60000, (*labels.shape, 2)).astype(np.uint16)
    probability = rng.random(labels.shape).astype(np.float32)
    table = measure_objects(labels, pixels, ["a", "b"], probability, origin=(100, 20), pixel_area_um2=0.25)
    regions = regionprops(labels, np.dstack([pixels, probability]))
    assert len(regions) == len(table["id"]) == 6
    wanted = {
        "id": [region.label for region in regions],
        "area_px": [region.area for region in regions],
        "area_um2": [region.area * 0.25 for region in regions],
        "x_min": [region.bbox[1] + 100 for region in regions],
        "y_min": [region.bbox[0] + 20 for region in regions],
        "x_max": [region.bbox[3] + 100 for region in regions],
        "y_max": [region.bbox[2] + 20 for region in regions],
        "centroid_x": [region.centroid[1] + 100.5 for region in regions],
        "centroid_y": [region.centroid[0] + 20.5 for region in regions],
        "perimeter_px": [region.perimeter for region in regions],
        "eccentricity": [region.eccentricity for region in regions],
        "mean_intensity_a": [region.intensity_mean[0] for region in regions],
        "mean_intensity_b": [region.intensity_mean[1] for region in regions],
        "score": [region.intensity_mean[2] for region in regions],
    }
    assert table.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_empty_image_has_an_empty_table() -> None:
    table = measure_objects(np.zeros((4, 5), np.int32), np.zeros((4, 5, 1)), ["0"], np.zeros((4, 5), np.float32))
    assert all(len(column) == 0 for column in table.values())


def test_borders_lie_between_touching_objects_and_at_the_image_s_edge() -> None:
    labels = np.zeros((7, 8), np.int32)
    labels[:, :4], labels[2:5, 4:] = 1, 2
    border = border_pixels(labels)
    assert not border[labels == 0].any()
    assert border[0, :4].all()
    assert not border[1, 1:3].any()
    assert border[3, 3]
    assert border[3, 4]
    assert not border[3, 5]
