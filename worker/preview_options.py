"""The options of `zooscope preview`, made from the one definition of inputs and settings, and their values read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from zoo.errors import UserError
from zoo.images import ImageInfo, PixelSize
from zoo.preview_settings import (
    INPUT_BY_NAME,
    INPUT_SETTINGS,
    PREVIEW_SETTINGS,
    PreviewSetting,
    settings_for_model,
)
from zoo.roi import Region

# Spellings of earlier versions.
ALIASES = {"pixel_size_um": ("--pixel-size",)}


class BadArgument(UserError):
    code = "bad-argument"


def add_options(parser: argparse.ArgumentParser, find: Callable[[str], Any]) -> None:
    """An option for each input and each setting; `find` gives the package of what --list-settings names."""
    group = parser.add_argument_group("what of the image")
    for setting in INPUT_SETTINGS:
        group.add_argument(
            flag(setting),
            *ALIASES.get(setting.name, ()),
            dest=f"input_{setting.name}",
            metavar=_metavar(setting),
            help=_help(setting),
        )
    group = parser.add_argument_group("settings of the preview")
    for setting in PREVIEW_SETTINGS:
        group.add_argument(
            flag(setting), dest=f"setting_{setting.name}", metavar=_metavar(setting), help=_help(setting)
        )
    parser.add_argument(
        "--list-settings", action=_list_action(find), metavar="MODEL", help="show what a model can do, and end"
    )


def given_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """The settings that were given, by name, as they were written."""
    values = {setting.name: getattr(arguments, f"setting_{setting.name}") for setting in PREVIEW_SETTINGS}
    return {name: value for name, value in values.items() if value is not None}


def given_inputs(
    arguments: argparse.Namespace, info: ImageInfo
) -> tuple[Region, int, tuple[int, ...] | None, PixelSize | None]:
    """Region, plane, channels (None: all) and pixel size of an image; raises UserErrors with what would work."""
    text = {setting.name: getattr(arguments, f"input_{setting.name}") for setting in INPUT_SETTINGS}
    region = Region(0, 0, info.width, info.height) if text["roi"] is None else Region.parse(text["roi"])
    region.inside(info.width, info.height)
    channels = None if text["channels"] is None else tuple(_whole_numbers(text["channels"], "--channels"))
    plane = _whole_numbers(text["plane"] or str(INPUT_BY_NAME["plane"].default), "--plane")
    if len(plane) != 1 or not 0 <= plane[0] < info.planes:
        raise BadArgument(
            f"The image has no plane {text['plane']}.",
            f"Planes are counted from 0: choose from 0 to {info.planes - 1}.",
        )
    size = info.pixel_size if text["pixel_size_um"] is None else _pixel_size(text["pixel_size_um"])
    return region, plane[0], channels, size


def flag(setting: PreviewSetting) -> str:
    return "--" + setting.name.replace("_", "-")


def _metavar(setting: PreviewSetting) -> str:
    if setting.kind in ("region", "channels"):
        return {"region": "X,Y,WIDTH,HEIGHT", "channels": "N,N"}[setting.kind]
    return "|".join(str(choice) for choice in setting.choices) if setting.choices else setting.unit or "N"


def _help(setting: PreviewSetting) -> str:
    own = "" if setting in INPUT_SETTINGS else ", unless the model has its own"
    default = "" if setting.default is None else f" Default: {setting.default}{own}."
    return (setting.help + default).replace("%", "%%")


def _list_action(find: Callable[[str], Any]) -> type[argparse.Action]:
    class ListSettings(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None) -> None:
            try:
                lines = list(_listed(settings_for_model(find(values))))
            except UserError as error:
                parser.exit(2, f"{error.message} {error.hint}\n")
            print("\n".join(lines))
            parser.exit(0)

    return ListSettings


def _listed(settings: Sequence[PreviewSetting]) -> list[str]:
    """A line for each setting: flag, default, what may be given, help."""
    rows = [
        (flag(one), "automatic" if one.default is None else str(one.default), one.allowed, one.help) for one in settings
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[3]} ({row[2]})" for row in rows]


def _whole_numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise BadArgument(
            f"{option} is {text!r}.", "Give whole numbers with commas between them, such as 0,2."
        ) from error


def _pixel_size(text: str) -> PixelSize:
    setting = INPUT_BY_NAME["pixel_size_um"]
    try:
        side = float(text)
    except ValueError:
        side = 0.0
    if not (setting.minimum or 0) <= side <= (setting.maximum or 0):
        raise BadArgument(
            f"{flag(setting)} is {text!r}.", f"Give the side of a pixel in micrometres, {setting.allowed}."
        )
    return PixelSize(side, side)
