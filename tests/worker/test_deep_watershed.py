"""The deep watershed agrees with its steps written out, and its presets are DeepCell's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label, regionprops
from skimage.morphology import disk, h_maxima, remove_small_holes
from skimage.segmentation import find_boundaries, relabel_sequential, watershed

from worker.heads.deep_watershed import PRESETS, DeepWatershed, decode_deep_watershed, deep_watershed_of
from zoo.deep_watershed import DeepWatershedWrong

parameter_sets = st.builds(
    DeepWatershed,
    radius=st.integers(1, 6),
    maxima_threshold=st.floats(0.02, 0.3),
    interior_threshold=st.floats(0.01, 0.6),
    maxima_smooth=st.sampled_from([0.0, 1.0]),
    interior_smooth=st.sampled_from([0.0, 1.0, 2.0]),
    small_objects_threshold=st.integers(0, 30),
    fill_holes_threshold=st.integers(0, 20),
    label_erosion=st.integers(0, 2),
    pixel_expansion=st.integers(0, 2),
    maxima_algorithm=st.sampled_from(["h_maxima", "peak_local_max"]),
)


def maps_of(seed: int, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random hills in 0..1: maxima, and an interior that goes with them."""
    rng = np.random.default_rng(seed)
    hills = ndimage.gaussian_filter(rng.random((side, side + 7)), 2.5)
    hills = (hills - hills.min()) / np.ptp(hills)
    interior = np.clip(hills * 1.6 - 0.3 + rng.normal(0, 0.03, hills.shape), 0, 1)
    return hills.astype(np.float32), interior.astype(np.float32)


def written_out(maxima: np.ndarray, interior: np.ndarray, given: DeepWatershed) -> np.ndarray:
    """Each step as its own call of scikit-image on the whole plane."""
    if given.maxima_smooth:
        maxima = ndimage.gaussian_filter(maxima, given.maxima_smooth)
    if given.interior_smooth:
        interior = ndimage.gaussian_filter(interior, given.interior_smooth)
    if given.pixel_expansion:
        interior = ndimage.maximum_filter(interior, 2 * given.pixel_expansion + 1)
    if given.maxima_algorithm == "h_maxima":
        markers = h_maxima(maxima, h=given.maxima_threshold, footprint=disk(given.radius))
    else:
        markers = np.zeros(maxima.shape, int)
        for y, x in peak_local_max(
            maxima, min_distance=given.radius, threshold_abs=given.maxima_threshold, exclude_border=False
        ):
            markers[y, x] = 1
    labels = watershed(-interior, label(markers), mask=interior > given.interior_threshold)
    for _ in range(given.label_erosion):
        labels = np.where(find_boundaries(labels, mode="inner"), 0, labels)
    for region in regionprops(labels):
        if region.area < given.small_objects_threshold:
            labels = np.where(labels == region.label, 0, labels)
    if given.fill_holes_threshold:
        for region in regionprops(labels):
            framed = np.pad(labels == region.label, 1)
            whole = remove_small_holes(framed, max_size=given.fill_holes_threshold - 1)[1:-1, 1:-1]
            labels = np.where(whole & (labels == 0), region.label, labels)
    return relabel_sequential(labels)[0]


def same_objects(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two label images differ only by the numbers."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs) and bool((pairs[0] > 0).sum() == one.max())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), parameter_sets)
def test_the_result_is_that_of_the_steps_written_out(seed: int, parameters: DeepWatershed) -> None:
    maxima, interior = maps_of(seed)
    labels = decode_deep_watershed(maxima, interior, parameters)
    assert labels.dtype == np.int32
    assert same_objects(labels, written_out(maxima, interior, parameters))
    firsts = [int(np.flatnonzero(labels.ravel() == number)[0]) for number in range(1, labels.max() + 1)]
    assert firsts == sorted(firsts)


def test_presets_tell_touching_discs_apart() -> None:
    y, x = np.mgrid[:60, :90]
    discs = [np.hypot(y - 30, x - centre) for centre in (30, 52)]
    nearest = np.minimum(*discs)
    interior = (nearest < 12).astype(np.float32)
    maxima = np.clip(1 - nearest / 12, 0, 1).astype(np.float32)
    for name in PRESETS:
        labels = decode_deep_watershed(maxima, interior, PRESETS[name])
        assert labels.max() == 2, name
        assert labels[30, 30] == 1
        assert labels[30, 52] == 2


def test_holes_are_filled_and_islands_in_them_kept() -> None:
    y, x = np.mgrid[:40, :40]
    interior = (np.hypot(y - 20, x - 20) < 15).astype(np.float32)
    interior[18:21, 24:27] = 0
    maxima = np.clip(1 - np.hypot(y - 20, x - 12) / 12, 0, 1)
    plain = DeepWatershed(radius=2, interior_smooth=0)
    assert decode_deep_watershed(maxima, interior, plain)[19, 25] == 0
    assert decode_deep_watershed(maxima, interior, dataclasses.replace(plain, fill_holes_threshold=9))[19, 25] == 0
    assert decode_deep_watershed(maxima, interior, dataclasses.replace(plain, fill_holes_threshold=10))[19, 25] == 1


def test_nothing_is_found_in_flat_maps() -> None:
    empty = np.zeros((20, 30), np.float32)
    for preset in PRESETS.values():
        assert decode_deep_watershed(empty, empty, preset).max() == 0


def test_the_presets_are_those_of_the_applications() -> None:
    whole_cell, nuclear = PRESETS["mesmer-whole-cell"], PRESETS["mesmer-nuclear"]
    assert (whole_cell.maxima_threshold, nuclear.maxima_threshold) == (0.075, 0.1)
    assert dataclasses.replace(whole_cell, maxima_threshold=0.1) == nuclear
    assert (nuclear.interior_threshold, nuclear.interior_smooth, nuclear.radius) == (0.2, 2, 2)
    assert PRESETS["nuclear-cytoplasm"] == DeepWatershed()


def test_a_head_names_a_preset_and_changes_it() -> None:
    head = {"preset": "mesmer-whole-cell", "radius": 5}
    assert deep_watershed_of(head) == dataclasses.replace(PRESETS["mesmer-whole-cell"], radius=5)
    assert deep_watershed_of(head, "mesmer-whole-cell").radius == 5
    assert deep_watershed_of(head, "mesmer-nuclear") == PRESETS["mesmer-nuclear"]
    assert deep_watershed_of({}) == PRESETS["mesmer-nuclear"]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"preset": "mesmer"}, "mesmer-nuclear, mesmer-whole-cell, nuclear-cytoplasm"),
        ({"radius": 0}, "at least 1"),
        ({"radius": 2.5}, "whole number"),
        ({"interior_smooth": "much"}, "number of at least 0"),
        ({"maxima_algorithm": "argmax"}, "h_maxima, peak_local_max"),
        ({"maxima_threshold": 0}, "peak_local_max"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_would_do(head: dict[str, object], words: str) -> None:
    with pytest.raises(DeepWatershedWrong) as refused:
        deep_watershed_of(head)
    assert words in str(refused.value.hint)
