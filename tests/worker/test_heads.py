"""Heads: masks, and watershed instances against h-maxima seeding as scikit-image does it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

from worker.heads.decode import decode
from worker.heads.labels import drop_small
from worker.heads.mask import decode_mask
from worker.heads.watershed import decode_instances
from worker.training.scores import average_precision
from zoo.pixel_scale import Scale


def reference_instances(foreground: np.ndarray, distance: np.ndarray, height: float) -> np.ndarray:
    """h-maxima by grey reconstruction over 4-neighbours as seeds, then scikit-image's flooding."""
    inside = foreground >= 0.5
    # Lower ground than any hill around the objects, so that a low hill is a hill too.
    hills = np.where(inside, ndimage.gaussian_filter(distance, 1.0).astype(np.float64), -1)
    cross = ndimage.generate_binary_structure(2, 1)
    flattened = reconstruction(hills - height, hills, method="dilation", footprint=cross)
    # A marker a trace below a surface does not reach the tops of the surface's own maxima.
    tops = flattened - reconstruction(flattened - 1e-9, flattened, method="dilation", footprint=cross)
    seeds = label((tops > 5e-10) & inside, connectivity=1)
    return drop_small(watershed(-hills, seeds, mask=inside), 0)


def blobs(seed: int, shape: tuple[int, int] = (220, 260)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 5)
    inside = smooth > np.quantile(smooth, 0.55)
    distance = ndimage.distance_transform_edt(inside)
    return inside.astype(np.float32), (distance / distance.max()).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("height", [0.05, 0.15])
def test_random_blobs_come_out_as_with_h_maxima_seeds(seed: int, height: float) -> None:
    foreground, distance = blobs(seed)
    found = decode_instances(foreground, distance, seed_height=height)
    wanted = reference_instances(foreground, distance, height)
    assert found.max() == wanted.max()
    assert average_precision(wanted, found, 0.9) > 0.95
    assert (found > 0).tolist() == (foreground >= 0.5).tolist()


def discs(gap: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:60, :100]
    hills = [np.clip(1 - np.hypot(y - 30, x - centre) / 20, 0, 1) for centre in (50 - gap, 50 + gap)]
    distance = np.maximum(*hills).astype(np.float32)
    return (distance > 0).astype(np.float32), distance


def test_touching_discs_are_split_between_their_centres() -> None:
    found = decode_instances(*discs(17))
    assert found.max() == 2
    assert found[30, 34] != found[30, 66]
    columns = np.flatnonzero(np.diff(found[30, 20:80])) + 20
    assert columns.tolist() == pytest.approx([49.5], abs=1)


def test_a_dimple_shallower_than_the_height_does_not_split() -> None:
    foreground, distance = discs(3)
    assert decode_instances(foreground, distance, seed_height=0.2).max() == 1
    foreground, distance = discs(12)
    assert decode_instances(foreground, distance, seed_height=0.7).max() == 1
    assert decode_instances(foreground, distance, seed_height=0.3).max() == 2


def test_nothing_everything_and_flat_ground() -> None:
    ones = np.ones((30, 40), np.float32)
    assert not decode_instances(ones * 0, ones).any()
    for smoothing in (0.0, 1.0):
        assert (decode_instances(ones, ones, smoothing=smoothing, seed_height=0.0) == 1).all()
    assert decode_instances(ones, ones * 0).max() == 1


def test_a_faint_component_still_is_an_object() -> None:
    foreground, distance = discs(30)
    distance[:, 50:] *= 0.05
    assert decode_instances(foreground, distance, seed_height=0.2).max() == 2


def test_objects_are_four_connected_and_numbered_in_scan_order() -> None:
    foreground, distance = blobs(9)
    found = decode_instances(foreground, distance, minimum_area=30)
    assert label(found, connectivity=1).max() == found.max()
    first = [int(np.flatnonzero(found.ravel() == number)[0]) for number in range(1, found.max() + 1)]
    assert first == sorted(first)
    assert np.bincount(found.ravel())[1:].min() >= 30


def test_a_mask_is_its_pieces_without_the_small_ones() -> None:
    probability = np.zeros((6, 8), np.float32)
    probability[0, 0] = probability[1, 1] = 0.9
    probability[3:5, 2:6] = 0.5
    labels = decode_mask(probability, threshold=0.5)
    assert labels.max() == 3
    assert labels[0, 0] != labels[1, 1]
    assert decode_mask(probability, threshold=0.5, minimum_area=2).max() == 1
    assert decode_mask(probability, threshold=0.6).max() == 2
    assert decode_mask(np.ones((3, 3), np.float32), threshold=0.5).tolist() == np.ones((3, 3)).tolist()


def test_dropping_small_objects_renumbers_in_scan_order() -> None:
    labels = np.array([[0, 7, 7], [5, 0, 2], [5, 0, 2]])
    assert drop_small(labels, 0).tolist() == [[0, 1, 1], [2, 0, 3], [2, 0, 3]]
    assert drop_small(np.array([[4, 4, 0, 9]]), 2).tolist() == [[1, 1, 0, 0]]
    assert drop_small(np.zeros((2, 2), np.int32), 1).tolist() == [[0, 0], [0, 0]]


INSTANCES = {"kind": "watershed-instances", "foreground": 0, "distance": 1, "smoothing": 1.0}
SETTINGS = {"threshold": 0.5, "minimum_area_px": 0, "seed_height": 0.1}


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_objects_and_maps_come_back_on_the_image_s_pixels(factor: float) -> None:
    maps = np.stack(discs(17), axis=-1)
    shape = (round(60 / factor), round(100 / factor))
    found = decode(maps, INSTANCES, SETTINGS, Scale(factor, factor), shape)
    labels, given = found.labels, found.maps
    assert labels.shape == shape
    assert given.shape == (*shape, 2)
    assert labels.max() == 2
    found = (labels > 0).sum() * factor**2
    assert found == pytest.approx((maps[..., 0] >= 0.5).sum(), rel=0.05)


def test_a_mask_is_the_given_map_at_the_threshold() -> None:
    maps = np.random.default_rng(1).random((40, 50, 2), np.float32)
    found = decode(maps, {"kind": "probability-mask", "channel": 1}, SETTINGS, Scale(2, 2), (20, 25))
    np.testing.assert_array_equal(found.labels > 0, found.maps[..., 1] >= 0.5)
    assert found.scores is not None
    np.testing.assert_array_equal(found.scores, found.maps[..., 1])


def test_objects_that_are_doubtful_are_dropped_and_the_others_numbered_anew() -> None:
    foreground, distance = discs(30)
    foreground[:, :50] *= 0.6
    assert decode_instances(foreground, distance, minimum_score=0.55).max() == 2
    sure = decode_instances(foreground, distance, minimum_score=0.7)
    assert sure.max() == 1
    assert (sure[:, 50:] > 0).tolist() == (foreground[:, 50:] > 0).tolist()
    assert not sure[:, :50].any()
