from __future__ import annotations

from web.legend import _classes, main_map
from web.model_settings import roles, settings_data

CELLS = {"object": "cell", "objects": "cells", "colour": "#D55E00"}


def test_classes_come_in_the_heads_order_with_their_own_colours() -> None:
    head = {"classes": [CELLS, {"object": "platelet"}]}
    found = _classes(head, {"platelet": 3}, None)
    assert [one["name"] for one in found] == ["cell", "platelet"]
    assert [one["objects"] for one in found] == ["cells", "platelets"]
    assert found[0]["colour"] == "#d55e00" != found[1]["colour"]


def test_cells_lie_beneath_the_spots_in_another_colour() -> None:
    found = _classes({"object": "spot", "objects": "spots"}, {"cell": 2, "spot": 9}, "#56B4E9")
    assert [one["name"] for one in found] == ["cell", "spot"]
    assert found[1]["colour"] == "#56b4e9" != found[0]["colour"]


def test_the_head_names_its_main_map() -> None:
    assert main_map({"kind": "watershed-instances", "foreground": 1, "distance": 0}) == 1
    assert main_map({"kind": "grid-detector", "scores": [2, 3]}) == 2
    assert main_map({"kind": "probability-mask", "classes": [{"channel": 4}]}) == 4
    assert main_map({}) == 0


def test_a_models_settings_tell_what_differs_from_the_definition() -> None:
    spots = {"id": "a", "head": {"kind": "spots", "threshold": 0.3}, "frames": [1]}
    planes = {"id": "b", "head": {"kind": "probability-mask"}, "frames": [1, 3, 5]}
    data = settings_data([spots, planes])
    names = [one["name"] for one in data["definitions"]]
    spots_first = [name for name in names if name in data["models"]["a"]][:3]
    assert spots_first == ["threshold", "spot_sigma_min_px", "spot_sigma_max_px"]
    assert data["models"]["a"]["threshold"] == {"default": 0.3}
    assert "frames" not in data["models"]["a"], "one choice is none"
    assert "frames" in data["models"]["b"]
    assert "spot_method" not in data["models"]["b"]


def test_channels_have_roles_unless_they_are_colours() -> None:
    assert roles({"channel_names": ["spots", "cells"]}) == ["spots", "cells"]
    assert roles({"channel_names": ["red", "green", "blue"]}) == roles({"channel_names": ["grey"]}) == []
