"""What a setting is, and the check of one value against it: a wrong one is answered with what would work."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from zoo.errors import UserError

NO_FIELD = "-"


class BadPreviewSetting(UserError):
    code = "bad-preview-setting"


@dataclass(frozen=True)
class PreviewSetting:
    """One setting, or one input, of a preview.

    `kind` is choice, number or integer; inputs also have region and channels. `heads` names the heads it matters to,
    as `head_name` writes them (empty: all). `labels` say the choices to people, in the same order (empty: the choices
    themselves). `head_field` is the field of a head that holds a model's own default: empty, that of the same name;
    NO_FIELD, none. An `optional` setting may be left empty, which is None. `by_model`: every model has choices of its
    own.
    """

    name: str
    label: str
    kind: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    labels: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    heads: tuple[str, ...] = ()
    head_field: str = ""
    advanced: bool = False
    optional: bool = False
    by_model: bool = False

    def to_json(self) -> dict[str, Any]:
        body = {name: list(value) if isinstance(value, tuple) else value for name, value in self.__dict__.items()}
        return body | {"labels": list(self.labels or map(str, self.choices))}

    @property
    def allowed(self) -> str:
        """What may be given, in words: "off, cdeep3m2 or clahe", "a whole number from 1 to 64"."""
        if self.choices:
            return spoken_choices(self.choices)
        if self.kind == "region":
            return "x,y,width,height in whole pixels"
        if self.kind == "channels":
            return "whole numbers with commas between them"
        what = "a whole number" if self.kind == "integer" else "a number"
        low = "" if self.minimum is None else f" from {self.minimum:g}"
        return what + low + ("" if self.maximum is None else f" to {plain(self.maximum)}")

    def with_default(self, head: Mapping[str, Any]) -> PreviewSetting:
        """This setting with a model's own default, which its limits never exclude."""
        value = head.get(self.head_field or self.name)
        if value is None:
            return self
        if self.kind == "choice":
            return replace(self, default=value) if value in self.choices else self
        low = self.minimum if self.minimum is None else min(self.minimum, value)
        high = self.maximum if self.maximum is None else max(self.maximum, value)
        return replace(self, default=value, minimum=low, maximum=high)


def plain(number: float) -> str:
    """10000000 rather than 1e+07."""
    return f"{number:.0f}" if number == math.floor(number) else f"{number:g}"


def spoken_choices(choices: tuple[Any, ...]) -> str:
    words = [str(choice) for choice in choices]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def head_name(head: Mapping[str, Any]) -> str:
    """The kind of a head, with the algorithm where the package names one: "watershed-instances/deep-watershed"."""
    algorithm = head.get("algorithm")
    return f"{head.get('kind')}/{algorithm}" if algorithm else str(head.get("kind"))


def checked(setting: PreviewSetting, value: Any) -> Any:
    """`value` as the worker gets it; raises `BadPreviewSetting` with what would work."""
    if setting.optional and value in (None, "", "auto"):
        return None
    if setting.kind == "choice":
        matches = [choice for choice in setting.choices if str(choice) == str(value)]
        if not matches:
            hint = (
                f"Choose {setting.allowed}."
                if len(setting.choices) > 1
                else f"Only {setting.allowed} works with this model."
            )
            raise BadPreviewSetting(f"{setting.label} ({setting.name}) is {str(value)[:60]!r}.", hint)
        return matches[0]
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    low, high = setting.minimum, setting.maximum
    whole = setting.kind != "integer" or number == math.floor(number) if math.isfinite(number) else False
    if not whole or (low is not None and number < low) or (high is not None and number > high):
        raise BadPreviewSetting(f"{setting.label} ({setting.name}) is {str(value)[:60]!r}.", f"Give {setting.allowed}.")
    return int(number) if setting.kind == "integer" else number
