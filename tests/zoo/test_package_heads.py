"""What a head of a package must say, and the sentence that names what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.package_heads import HEADS, check_head
from zoo.packages import PackageInvalid

CELLS = [{"object": "red cell", "objects": "red cells", "colour": "#d55e00"}, {"object": "platelet"}]
GRID = {"kind": "grid-detector", "stride": 4, "classes": CELLS, "scores": [0, 1], "offset": [2, 3], "size": [4, 5]}
BOXES = {"kind": "boxes", "columns": ["x_min", "y_min", "x_max", "y_max", "score", "class"], "classes": CELLS}
STAR = {"kind": "star-convex", "probability": 0, "rays": [1, 2, 3, 4], "threshold": 0.5, "overlap": 0.4}
GOOD: list[dict[str, Any]] = [
    {"kind": "probability-mask", "channel": 1, "threshold": 0.4, "minimum_area_px": 12},
    {"kind": "probability-mask", "classes": [CELLS[0] | {"channel": 0}, CELLS[1] | {"channel": 3}], "exclusive": False},
    {"kind": "watershed-instances", "foreground": 0, "distance": 1, "seed_height": 0.1, "smoothing": 1.0},
    {"kind": "watershed-instances", "algorithm": "deep-watershed", "preset": "mesmer-nuclear"},
    {"kind": "boundary-cells", "channel": 0, "seeds": 1, "variations": "8-flips"},
    GRID,
    BOXES,
    {"kind": "spots", "channel": 0, "cells": None, "method": "dog", "sigma_min_px": 1, "sigma_max_px": 3},
    STAR,
]
CHANNELS = [f"map{index}" for index in range(6)]


@pytest.mark.parametrize("head", GOOD, ids=lambda head: head["kind"])
def test_a_whole_head_is_taken_as_it_is(head: dict[str, Any]) -> None:
    assert check_head({"head": head}, CHANNELS) == head


def test_every_known_head_has_an_example_here() -> None:
    assert {head["kind"] for head in GOOD} == set(HEADS)


def test_a_package_without_a_head_is_a_mask_of_its_first_map() -> None:
    assert check_head({}, ["object"]) == {"kind": "probability-mask", "channel": 0}


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ({"kind": "oracle"}, "head 'oracle' is not known"),
        ("mask", "head 'mask' is not known"),
        ({"kind": "probability-mask", "channel": 6}, "channel is 6; the model has 6 output channels"),
        ({"kind": "probability-mask", "channel": True}, "channel is True"),
        ({"kind": "probability-mask", "threshold": 1.5}, "threshold is 1.5"),
        ({"kind": "probability-mask", "classes": []}, "names no classes"),
        ({"kind": "probability-mask", "classes": [{"object": "cell"}]}, "channel is None"),
        ({"kind": "probability-mask", "classes": [{"channel": 0}]}, "has no name"),
        (GOOD[1] | {"exclusive": "yes"}, "exclusive is 'yes'"),
        ({"kind": "watershed-instances", "distance": -1}, "distance is -1"),
        ({"kind": "watershed-instances", "algorithm": "magic"}, "algorithm is 'magic'"),
        ({"kind": "boundary-cells", "seeds": "two"}, "seeds is 'two'"),
        ({"kind": "boundary-cells", "variations": "all"}, "variations are not known"),
        (GRID | {"stride": 0}, "stride is 0"),
        (GRID | {"scores": [0]}, "scores is [0]"),
        (GRID | {"offset": [2, 2]}, "offset is [2, 2]"),
        (GRID | {"classes": [CELLS[0], CELLS[0]]}, "same name"),
        (GRID | {"classes": [{"object": "cell", "colour": "red"}, CELLS[1]]}, "colour of 'cell' is 'red'"),
        (BOXES | {"columns": ["x_min", "y_min"]}, "columns are"),
        ({"kind": "spots", "method": "doh"}, "method is 'doh'"),
        ({"kind": "spots", "sigma_min_px": 4, "sigma_max_px": 2}, "larger than"),
        (STAR | {"rays": [1, 2]}, "rays are [1, 2]"),
    ],
)
def test_a_wrong_head_is_refused_in_a_sentence(head: Any, sentence: str) -> None:
    with pytest.raises(PackageInvalid) as refusal:
        check_head({"head": head}, CHANNELS)
    assert sentence in str(refusal.value)
    assert refusal.value.hint


def test_boxes_of_several_classes_need_a_column_for_them() -> None:
    columns = BOXES["columns"][:5]
    with pytest.raises(PackageInvalid, match="no column says which"):
        check_head({"head": BOXES | {"columns": columns}}, columns)
    assert check_head({"head": BOXES | {"columns": columns, "classes": CELLS[:1]}}, columns)
