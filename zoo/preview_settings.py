"""The settings of a preview: one definition for the page, the command line, the API and the worker.

A setting has a name, a kind, limits, a default (which a model's head may override) and one line of help.
`resolve` turns what a user gave into the full, checked set that a job carries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import UserError


class BadPreviewSetting(UserError):
    code = "bad-preview-setting"


@dataclass(frozen=True)
class PreviewSetting:
    """`kind` is choice, number or integer; `heads` names the heads it matters to (empty: all)."""

    name: str
    label: str
    kind: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    heads: tuple[str, ...] = ()
    advanced: bool = False
    optional: bool = False

    def to_json(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.__dict__.items()}


PREVIEW_SETTINGS = (
    PreviewSetting(
        "threshold", "Threshold", "number", 0.5, "Pixels with at least this probability belong to objects.",
        minimum=0.01, maximum=0.99,
    ),
    PreviewSetting(
        "minimum_area_px", "Smallest object", "integer", 0, "Objects of fewer pixels are dropped.",
        minimum=0, maximum=10_000_000, unit="px",
    ),
    PreviewSetting(
        "enhancement", "Enhancement", "choice", "off",
        "Contrast clipping and total-variation denoising before the model, as CDeep3M2 does it.",
        choices=("off", "cdeep3m2"),
    ),
    PreviewSetting(
        "seed_height", "Splitting", "number", 0.1,
        "How deep the notch between two touching objects must be to split them: lower splits more.",
        minimum=0.0, maximum=1.0, heads=("watershed-instances",), advanced=True,
    ),
    PreviewSetting(
        "variations", "Flips and rotations", "choice", 1,
        "Average the model over this many flips and rotations of the image: slower, a little more accurate.",
        choices=(1, 4, 8), advanced=True,
    ),
    PreviewSetting(
        "rescale", "Resize to the model's pixel size", "choice", "auto",
        "auto resizes when both pixel sizes are known; off gives the model the pixels as they are.",
        choices=("auto", "off"), advanced=True,
    ),
    PreviewSetting(
        "tile_px", "Tile size", "integer", None, "Side of the square tiles the image is cut into; empty: automatic.",
        minimum=64, maximum=4096, unit="px", advanced=True, optional=True,
    ),
    PreviewSetting(
        "batch", "Batch", "integer", None, "Tiles the model computes at once; empty: automatic.",
        minimum=1, maximum=64, advanced=True, optional=True,
    ),
)  # fmt: skip

BY_NAME = {setting.name: setting for setting in PREVIEW_SETTINGS}


def settings_for_head(head: Mapping[str, Any]) -> tuple[PreviewSetting, ...]:
    """The settings that matter to a model with this head, with the head's own defaults."""
    chosen = []
    for setting in PREVIEW_SETTINGS:
        if setting.heads and head.get("kind") not in setting.heads:
            continue
        default = head.get(setting.name, setting.default)
        chosen.append(PreviewSetting(**(setting.__dict__ | {"default": default})))
    return tuple(chosen)


def resolve(given: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
    """Check `given` and fill in the defaults for `head`; raises `BadPreviewSetting` naming the first wrong one."""
    known = {setting.name: setting for setting in settings_for_head(head)}
    for name in given:
        if name in BY_NAME and name not in known:
            raise BadPreviewSetting(f"{BY_NAME[name].label} ({name}) does not apply to this model.", "Leave it out.")
        if name not in known:
            raise BadPreviewSetting(f"There is no setting {name!r}.", f"Known settings: {', '.join(sorted(known))}.")
    return {name: _checked(setting, given.get(name, setting.default)) for name, setting in known.items()}


def _checked(setting: PreviewSetting, value: Any) -> Any:
    if setting.optional and value in (None, "", "auto"):
        return None
    if setting.kind == "choice":
        matches = [choice for choice in setting.choices if str(choice) == str(value)]
        if not matches:
            choices = ", ".join(str(choice) for choice in setting.choices)
            raise BadPreviewSetting(f"{setting.label} ({setting.name}) is {value!r}.", f"Choose one of {choices}.")
        return matches[0]
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    low, high = setting.minimum, setting.maximum
    whole = setting.kind != "integer" or number == math.floor(number) if math.isfinite(number) else False
    if not whole or (low is not None and number < low) or (high is not None and number > high):
        what = "a whole number" if setting.kind == "integer" else "a number"
        raise BadPreviewSetting(
            f"{setting.label} ({setting.name}) is {value!r}.", f"Give {what} from {low:g} to {high:g}."
        )
    return int(number) if setting.kind == "integer" else number
