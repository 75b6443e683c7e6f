"""The settings of a preview: defaults of the model, limits, what a user may write, and what answers a wrong one."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.package_heads import HEADS
from zoo.preview_settings import INPUT_SETTINGS, PREVIEW_SETTINGS, BadPreviewSetting, resolve, settings_for_model

MASK = {"head": {"kind": "probability-mask"}}
INSTANCES = {"head": {"kind": "watershed-instances"}, "frames": [1, 3, 5]}
DEEP = {"head": {"kind": "watershed-instances", "algorithm": "deep-watershed"}}
SPOTS = {"head": {"kind": "spots", "cells": 1, "method": "dog", "sigma_min_px": 2}}
BOXES = {"head": {"kind": "boxes"}}
MODELS = [MASK, INSTANCES, DEEP, SPOTS, BOXES]
NAMES = [setting.name for setting in PREVIEW_SETTINGS]


def names(model: Any) -> set[str]:
    return {setting.name for setting in settings_for_model(model)}


def test_nothing_given_is_every_default() -> None:
    assert resolve({}, INSTANCES) == {setting.name: setting.default for setting in settings_for_model(INSTANCES)}
    for model in MODELS:
        for setting in settings_for_model(model):
            assert resolve({setting.name: setting.default}, model) == resolve({}, model)


def test_the_heads_defaults_come_first_and_the_users_choice_before_them() -> None:
    model = {"head": INSTANCES["head"] | {"threshold": 0.4, "minimum_area_px": 20, "object": "nucleus"}}
    assert resolve({}, model)["threshold"] == 0.4
    found = resolve({"threshold": "0.7"}, model)
    assert (found["threshold"], found["minimum_area_px"]) == (0.7, 20)
    assert "object" not in found


def test_a_heads_default_under_another_name_and_one_beyond_the_limits() -> None:
    found = resolve({}, SPOTS)
    assert (found["spot_method"], found["spot_sigma_min_px"], found["cells"]) == ("dog", 2, "by-intensity")
    low = {"head": {"kind": "boxes", "threshold": 0.004}}
    assert resolve({}, low)["threshold"] == 0.004
    assert resolve({"threshold": 0.005}, low)["threshold"] == 0.005


def test_a_package_and_its_document_are_asked_alike() -> None:
    assert resolve({}, SimpleNamespace(**INSTANCES)) == resolve({}, INSTANCES)


def test_only_settings_that_matter_to_the_head() -> None:
    assert "seed_height" not in resolve({}, MASK)
    assert "seed_height" not in names(MASK)
    with pytest.raises(BadPreviewSetting, match=r"Splitting \(seed_height\) does not apply") as caught:
        resolve({"seed_height": 0.1}, MASK)
    assert "threshold" in caught.value.hint
    assert names(DEEP) - names(INSTANCES) == {"preset"}
    assert names(INSTANCES) - names(DEEP) == {"seed_height", "threshold"}
    assert {"overlap"} <= names(BOXES)
    assert not {"variations", "minimum_area_px", "cells"} & names(BOXES)
    assert {"spot_method", "spot_sigma_min_px", "spot_sigma_max_px", "cells"} <= names(SPOTS) - names(MASK)


def test_every_head_there_is_has_the_settings_of_all_and_no_setting_names_another() -> None:
    everywhere = {setting.name for setting in PREVIEW_SETTINGS if not setting.heads}
    for kind in HEADS:
        assert everywhere <= names({"head": {"kind": kind}})
    for setting in PREVIEW_SETTINGS:
        assert {head.partition("/")[0] for head in setting.heads} <= set(HEADS)


def test_a_class_that_the_model_lacks_is_answered_with_those_it_has() -> None:
    classes = [{"object": "red cell", "channel": 0}, {"object": "platelet", "channel": 1}]
    several = {"head": {"kind": "probability-mask", "classes": classes}}
    assert resolve({}, several)["class"] == "all"
    assert resolve({"class": "platelet"}, several)["class"] == "platelet"
    with pytest.raises(BadPreviewSetting, match="neutrophil") as caught:
        resolve({"class": "neutrophil"}, several)
    assert caught.value.hint == "Choose all, red cell or platelet."
    for model in (MASK, INSTANCES, SPOTS, {"head": several["head"] | {"classes": classes[:1]}}):
        assert "class" not in names(model)
    with pytest.raises(BadPreviewSetting, match=r"Class \(class\) does not apply"):
        resolve({"class": "platelet"}, MASK)


def test_frames_are_those_of_the_package() -> None:
    def choices(frames: list[int] | None) -> list[str]:
        model = MASK | {"frames": frames}
        return next(list(setting.choices) for setting in settings_for_model(model) if setting.name == "frames")

    assert choices(None) == choices([1]) == ["1"]
    assert choices([5, 1]) == ["1", "5", "1+5"]
    assert choices([1, 3, 5]) == ["1", "3", "5", "1+3", "1+5", "3+5", "1+3+5"]
    assert resolve({}, MASK | {"frames": (3, 5)})["frames"] == "3"
    assert resolve({"frames": 3}, INSTANCES)["frames"] == "3"
    with pytest.raises(BadPreviewSetting, match=r"\(frames\) is '5'") as caught:
        resolve({"frames": "5"}, MASK)
    assert caught.value.hint == "Only 1 works with this model."
    with pytest.raises(BadPreviewSetting) as caught:
        resolve({"frames": "5"}, MASK | {"frames": [1, 3]})
    assert caught.value.hint == "Choose 1, 3 or 1+3."


@pytest.mark.parametrize(
    ("name", "value", "resolved"),
    [
        ("threshold", 0.01, 0.01),
        ("threshold", "0.99", 0.99),
        ("minimum_area_px", "12", 12),
        ("minimum_area_px", 12.0, 12),
        ("variations", "cdeep3m2-4", "cdeep3m2-4"),
        ("variations", "8-flips", "8-flips"),
        ("variations", 8, "8-flips"),
        ("variations", "1", "none"),
        ("enhancement", "cdeep3m2", "cdeep3m2"),
        ("enhancement", "clahe", "clahe"),
        ("frames", "1+3+5", "1+3+5"),
        ("rescale", "off", "off"),
        ("tile_px", "", None),
        ("tile_px", "auto", None),
        ("tile_px", None, None),
        ("tile_px", 64, 64),
    ],
)
def test_what_is_accepted(name: str, value: Any, resolved: Any) -> None:
    found = resolve({name: value}, INSTANCES)[name]
    assert found == resolved
    assert type(found) is type(resolved)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0),
        ("threshold", 1),
        ("threshold", "high"),
        ("threshold", None),
        ("threshold", True),
        ("threshold", math.nan),
        ("threshold", "nan"),
        ("threshold", math.inf),
        ("threshold", [0.5]),
        ("threshold", {}),
        ("minimum_area_px", -1),
        ("minimum_area_px", 1.5),
        ("minimum_area_px", 10**9),
        ("minimum_area_px", 10**400),
        ("minimum_area_px", "1e400"),
        ("variations", 2),
        ("variations", True),
        ("variations", "many"),
        ("frames", "3+1"),
        ("frames", "7"),
        ("enhancement", "sharper"),
        ("enhancement", None),
        ("tile_px", 63),
        ("tile_px", 4097),
        ("batch", 0),
        ("seed_height", -0.1),
    ],
)
def test_what_is_refused_is_named_with_what_to_do(name: str, value: Any) -> None:
    setting = next(setting for setting in PREVIEW_SETTINGS if setting.name == name)
    with pytest.raises(BadPreviewSetting) as caught:
        resolve({name: value}, INSTANCES)
    assert name in caught.value.message
    assert setting.label in caught.value.message
    assert setting.allowed in caught.value.hint
    assert caught.value.status == 400


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadPreviewSetting) as caught:
        resolve({"treshold": 0.5}, INSTANCES)
    assert "treshold" in caught.value.message
    assert caught.value.hint.startswith("Did you mean threshold? This model has threshold, ")


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.lists(st.integers())
)


@given(given_settings=st.dictionaries(st.sampled_from(NAMES), anything), model=st.sampled_from(MODELS))
def test_whatever_is_given_is_resolved_or_refused(given_settings: dict[str, Any], model: dict[str, Any]) -> None:
    try:
        found = resolve(given_settings, model)
    except BadPreviewSetting:
        return
    assert resolve(found, model) == found
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("setting", PREVIEW_SETTINGS + INPUT_SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_can_be_shown(setting: Any) -> None:
    shown = json.loads(json.dumps(setting.to_json()))
    assert shown["label"]
    assert shown["help"].endswith(".")
    assert shown["kind"] in ("choice", "number", "integer", "region", "channels")
    assert bool(shown["choices"]) == (shown["kind"] == "choice")
    assert len(shown["labels"]) == len(shown["choices"])
    assert setting.allowed
