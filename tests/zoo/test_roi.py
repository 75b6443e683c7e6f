"""Regions (security.md 32)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.roi import BadRegion, Region

WHOLE = st.integers(0, 10_000)
SIDE = st.integers(1, 10_000)


@given(WHOLE, WHOLE, SIDE, SIDE)
def test_a_region_survives_json_and_text(x: int, y: int, width: int, height: int) -> None:
    region = Region(x, y, width, height)
    assert Region.from_json(region.to_json()) == region
    assert Region.parse(f"{x},{y},{width},{height}") == region
    assert region.inside(x + width, y + height) is region


@pytest.mark.parametrize(
    "values",
    [
        [-1, 0, 5, 5], [0, -1, 5, 5], [0, 0, 0, 5], [0, 0, 5, 0], [0, 0, -5, 5], [0.5, 0, 5, 5],
        [0, 0, float("nan"), 5], [0, 0, float("inf"), 5], [0, 0, 10**12, 5], [1, 2, 3], [1, 2, 3, 4, 5], "1,2,3,4",
        None, {}, [True, 0, 5, 5], ["1", 2, 3, 4],
    ],
)  # fmt: skip
def test_32_bad_regions_say_what_to_give(values: Any) -> None:
    with pytest.raises(BadRegion) as caught:
        Region.from_json(values)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "1.5,2,3,4", "1,2,3,4,5", "1;2;3;4"])
def test_32_bad_texts(text: str) -> None:
    with pytest.raises(BadRegion):
        Region.parse(text)


@pytest.mark.parametrize(
    "region", [Region(0, 0, 11, 10), Region(0, 0, 10, 11), Region(10, 0, 1, 1), Region(0, 10, 1, 1)]
)
def test_32_regions_outside_the_image(region: Region) -> None:
    with pytest.raises(BadRegion, match="10 x 10"):
        region.inside(10, 10)
