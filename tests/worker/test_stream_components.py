"""Pieces found band by band are those of the whole plane, and windows hold each of them once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from worker.stream.components import find_pieces, fits, pieces_and_owners, pieces_of, windows


def foreground(seed: int, share: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random(tuple(rng.integers(1, 30, 2))) < share
    return coarse.repeat(rng.integers(1, 4), axis=0).repeat(rng.integers(1, 4), axis=1)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1), rows=st.integers(1, 40))
def test_pieces_do_not_depend_on_the_bands(seed: int, share: float, rows: int) -> None:
    inside = foreground(seed, share)
    width = inside.shape[1]
    labels, count = ndimage.label(inside)
    whole = pieces_of(labels, count, 0, 0, width)
    bands = [(top, inside[top : top + rows]) for top in range(0, len(inside), rows)]
    found, owners = pieces_and_owners(bands, width)
    order = np.argsort(whole.first)
    np.testing.assert_array_equal(found.boxes, whole.boxes[order])
    np.testing.assert_array_equal(found.first, whole.first[order])
    np.testing.assert_array_equal(found.area, whole.area[order])
    done, numbers = 0, np.concatenate([[0], 1 + np.argsort(order)])
    for top, band in bands:
        local, count = ndimage.label(band)
        own = np.concatenate([[0], owners[done : done + count] + 1])
        np.testing.assert_array_equal(own[local], numbers[labels[top : top + len(band)]])
        done += count


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 0.7), pixels=st.integers(16, 2000))
def test_windows_hold_every_fitting_piece_once(seed: int, share: float, pixels: int) -> None:
    inside = foreground(seed, share)
    pieces = find_pieces([(0, inside)], inside.shape[1])
    seen: list[int] = []
    for group, (top, left, bottom, right) in windows(pieces, pixels):
        boxes = pieces.boxes[group]
        assert (boxes >= [top, left, 0, 0]).all()
        assert (boxes <= [bottom, right, bottom, right]).all()
        seen += group.tolist()
    assert sorted(seen) == np.flatnonzero(fits(pieces, pixels)).tolist()
