"""The settings of a preview: defaults of the head, limits, and what a user may write."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.preview_settings import PREVIEW_SETTINGS, BadPreviewSetting, resolve, settings_for_head

MASK = {"kind": "probability-mask"}
INSTANCES = {"kind": "watershed-instances"}
NAMES = [setting.name for setting in PREVIEW_SETTINGS]


def test_nothing_given_is_every_default() -> None:
    assert resolve({}, INSTANCES) == {setting.name: setting.default for setting in PREVIEW_SETTINGS}


def test_the_heads_defaults_come_first_and_the_users_choice_before_them() -> None:
    head = INSTANCES | {"threshold": 0.4, "minimum_area_px": 20, "object": "nucleus"}
    assert resolve({}, head)["threshold"] == 0.4
    found = resolve({"threshold": "0.7"}, head)
    assert (found["threshold"], found["minimum_area_px"]) == (0.7, 20)
    assert "object" not in found


def test_only_settings_that_matter_to_the_head() -> None:
    assert "seed_height" not in resolve({}, MASK)
    assert "seed_height" not in {setting.name for setting in settings_for_head(MASK)}
    with pytest.raises(BadPreviewSetting, match=r"Splitting \(seed_height\) does not apply"):
        resolve({"seed_height": 0.1}, MASK)


@pytest.mark.parametrize(
    ("name", "value", "resolved"),
    [
        ("threshold", 0.01, 0.01),
        ("threshold", "0.99", 0.99),
        ("minimum_area_px", "12", 12),
        ("minimum_area_px", 12.0, 12),
        ("variations", "4", 4),
        ("variations", 8, 8),
        ("enhancement", "cdeep3m2", "cdeep3m2"),
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
        ("variations", "many"),
        ("enhancement", "clahe"),
        ("enhancement", None),
        ("tile_px", 63),
        ("tile_px", 4097),
        ("batch", 0),
        ("seed_height", -0.1),
    ],
)
def test_what_is_refused_is_named_with_what_to_do(name: str, value: Any) -> None:
    label = next(setting.label for setting in PREVIEW_SETTINGS if setting.name == name)
    with pytest.raises(BadPreviewSetting) as caught:
        resolve({name: value}, INSTANCES)
    assert name in caught.value.message
    assert label in caught.value.message
    assert caught.value.hint
    assert caught.value.status == 400


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadPreviewSetting) as caught:
        resolve({"treshold": 0.5}, INSTANCES)
    assert "treshold" in caught.value.message
    assert "threshold" in caught.value.hint


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.lists(st.integers())
)


@given(given_settings=st.dictionaries(st.sampled_from(NAMES), anything), head=st.sampled_from([MASK, INSTANCES]))
def test_whatever_is_given_is_resolved_or_refused(given_settings: dict[str, Any], head: dict[str, Any]) -> None:
    try:
        found = resolve(given_settings, head)
    except BadPreviewSetting:
        return
    assert resolve(found, head) == found
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("setting", PREVIEW_SETTINGS, ids=NAMES)
def test_every_setting_can_be_shown(setting: Any) -> None:
    shown = json.loads(json.dumps(setting.to_json()))
    assert shown["label"]
    assert shown["help"].endswith(".")
    assert shown["kind"] in ("choice", "number", "integer")
    assert bool(shown["choices"]) == (shown["kind"] == "choice")
