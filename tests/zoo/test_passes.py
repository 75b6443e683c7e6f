"""The sets of variations and the counts of passes, against what CDeep3M2 documents."""

from __future__ import annotations

import pytest

from zoo.passes import VARIATION_LABELS, VARIATIONS, frame_label, passes, variation_set


@pytest.mark.parametrize(("speed", "total"), [(1, 40), (2, 20), (4, 12), (10, 3)])
def test_an_ensemble_of_all_networks_takes_the_passes_of_cdeep3m2(speed: int, total: int) -> None:
    assert passes({"frames": "1+3+5", "variations": f"cdeep3m2-{speed}"}) == total


def test_passes_of_what_a_job_may_say() -> None:
    assert passes({}) == passes({"variations": 1}) == passes({"variations": "none", "frames": "1"}) == 1
    assert passes({"variations": 8}) == passes({"variations": "8-flips", "frames": "3"}) == 8
    assert passes({"variations": "8-flips", "frames": "1+3"}) == 16


@pytest.mark.parametrize("name", VARIATIONS)
def test_every_set_has_numbers_of_variations_each_once(name: str) -> None:
    for frames in (1, 3, 5, 7):
        chosen = variation_set(name, frames)
        assert len(set(chosen)) == len(chosen) > 0
        assert set(chosen) <= set(range(1, 17))
    assert len(VARIATIONS) == len(VARIATION_LABELS)


def test_frames_are_said_plainly() -> None:
    assert [frame_label(choice) for choice in ("1", "3", "1+3", "1+3+5")] == [
        "1 plane", "3 planes", "1 and 3 planes, averaged", "1, 3 and 5 planes, averaged",
    ]  # fmt: skip
