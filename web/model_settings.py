"""The settings of every model for the page that tries them: the one definition, and what each model has of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.preview_settings import PREVIEW_SETTINGS, settings_for_model

SHOWN = ("name", "label", "kind", "help", "unit", "advanced", "optional")
OWN = ("default", "choices", "labels", "minimum", "maximum")
COLOURS = {"red", "green", "blue", "r", "g", "b"}


def settings_data(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{definitions: in the order to show them; models: {id: {name: what differs from the definition}}}."""
    definitions = {setting.name: setting.to_json() for setting in sorted(PREVIEW_SETTINGS, key=_rank)}
    own = {}
    for model in models:
        found = {setting.name: setting.to_json() for setting in settings_for_model(model)}
        own[model["id"]] = {
            name: {key: body[key] for key in OWN if body[key] != definitions[name][key]}
            for name, body in found.items()
            if len(body["choices"]) != 1
        }
    shown = [{key: body[key] for key in (*SHOWN, *OWN)} for body in definitions.values()]
    return {"definitions": shown, "models": own}


def _rank(setting: Any) -> tuple[bool, int, bool]:
    """What matters most comes first: the threshold, then what few heads have, numbers before choices."""
    if setting.advanced:
        return True, 0, False
    few = 0 if setting.name == "threshold" else 1 if 0 < len(setting.heads) <= 3 else 2
    return False, few, setting.kind == "choice"


def roles(model: Mapping[str, Any]) -> list[str]:
    """What the model's channels are for, such as spots and cells; empty for one channel and for colour."""
    names = [str(name) for name in model.get("channel_names") or []]
    return names if len(names) > 1 and not COLOURS & {name.lower() for name in names} else []
