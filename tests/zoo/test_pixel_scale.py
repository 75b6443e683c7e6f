"""When an image is resized to a model's pixels, and which regions are then too large."""

from __future__ import annotations

import pytest

from zoo.images import PixelSize
from zoo.pixel_scale import RegionTooLarge, Scale, check_budget, scale_to_model

HALF = PixelSize(0.5, 0.5)


def test_known_sizes_give_their_ratio_on_each_axis() -> None:
    scale = scale_to_model(PixelSize(0.5, 1.0), 0.25, nominal=False)
    assert (scale.x, scale.y) == (2, 4)
    assert scale.factor == pytest.approx(8**0.5)
    assert scale.shape(10, 20) == (40, 40)


@pytest.mark.parametrize(
    ("pixel_size", "model_um", "options"),
    [
        (None, 0.25, {"nominal": False}),
        (HALF, None, {"nominal": False}),
        (HALF, 0.25, {"nominal": True}),
        (HALF, 0.25, {"nominal": False, "rescale": "off"}),
        (HALF, 0.51, {"nominal": False}),
    ],
)
def test_otherwise_pixels_stay_as_they_are(pixel_size: PixelSize | None, model_um: float | None, options: dict) -> None:
    scale = scale_to_model(pixel_size, model_um, **options)
    assert scale == Scale()
    assert not scale.changes


@pytest.mark.parametrize(
    ("side", "scale", "words"),
    [(101, 1.0, "has 10,201 pixels"), (60, 2.0, "Resized ×2"), (1, 0.25, "nothing is left")],
)
def test_a_region_beyond_the_budget_is_refused_with_what_would_work(side: int, scale: float, words: str) -> None:
    with pytest.raises(RegionTooLarge, match=words) as refused:
        check_budget(side, side, Scale(scale, scale), 10_000)
    assert refused.value.hint


def test_a_region_within_the_budget_passes() -> None:
    check_budget(100, 100, Scale(), 10_000)
    check_budget(50, 50, Scale(2, 2), 10_000)
