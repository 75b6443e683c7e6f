"""Resizing to the model's pixels and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.rescale import labels_to_shape, needed_span, resampled, to_shape


@given(height=st.integers(1, 80), width=st.integers(1, 80), y=st.floats(0.1, 5), x=st.floats(0.1, 5))
def test_there_and_back_has_the_shape_and_the_mean(height: int, width: int, y: float, x: float) -> None:
    shape = max(1, round(height * y)), max(1, round(width * x))
    plane = np.full((height, width, 2), 0.7, np.float32)
    there = to_shape(plane, shape)
    assert there.shape == (*shape, 2)
    assert there.dtype == np.float32
    back = to_shape(there, (height, width))
    np.testing.assert_allclose(back, plane, atol=1e-5)


def test_a_ramp_stays_a_ramp_at_the_same_place() -> None:
    ramp = np.arange(40, dtype=np.float32)[None, :, None].repeat(3, 0)
    larger = to_shape(ramp, (3, 100))
    expected = (np.arange(100) + 0.5) * 0.4 - 0.5
    np.testing.assert_allclose(larger[1, 5:-5, 0], expected[5:-5], atol=1e-4)
    smaller = to_shape(ramp, (3, 10))
    np.testing.assert_allclose(smaller[0, 2:-2, 0], ((np.arange(10) + 0.5) * 4 - 0.5)[2:-2], atol=0.05)


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 1], np.float32), 64)[None, :, None].repeat(8, 0)
    assert np.ptp(to_shape(stripes, (8, 30))) < 0.2


@given(st.integers(1, 60), st.integers(1, 60))
def test_labels_keep_their_values(height: int, width: int) -> None:
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    made = labels_to_shape(labels, (height, width))
    assert made.shape == (height, width)
    assert set(made.ravel()) <= set(labels.ravel())


def test_labels_doubled_are_blocks() -> None:
    labels = np.arange(6, dtype=np.int32).reshape(2, 3)
    np.testing.assert_array_equal(labels_to_shape(labels, (4, 6)), np.kron(labels, np.ones((2, 2), np.int32)))


@pytest.mark.parametrize("shape", [(2, 3), (5, 2)])
def test_the_same_shape_changes_nothing(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).random((*shape, 1), np.float32)
    np.testing.assert_array_equal(to_shape(plane, shape), plane)


@given(
    have=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    want=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 1000),
)
def test_a_part_is_that_of_the_whole(have: tuple[int, int], want: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.random((*have, 2), np.float32)
    whole = to_shape(plane, want)
    part, chosen = plane, []
    for axis in (0, 1):
        span = tuple(sorted(rng.integers(0, want[axis] + 1, 2).tolist()))
        span = (span[0], max(span[1], span[0] + 1)) if span[0] < want[axis] else (want[axis] - 1, want[axis])
        start, stop = needed_span(have[axis], want[axis], span)
        part = resampled(part.take(range(start, stop), axis), axis, have[axis], want[axis], span, start)
        chosen.append(slice(*span))
    np.testing.assert_array_equal(part, whole[tuple(chosen)])
