"""What stands in `config.zooscope`, held to its types and sizes: a string where a number belongs is told by its name.

Heads, variants and requirements have modules of their own; here are the rest of the numbers, texts and lists, of which
pages and estimates are made. Unknown keys are let be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from zoo.package_archive import PackageInvalid

MOST_STRIDE, MOST_HALO = 4096, 16_384
MOST_SECONDS, MOST_PIXELS, MOST_UM = 1e6, 2**40, 1e6
LONGEST_TEXT = 2000
MOST_SAMPLES, MOST_SCORES, MOST_DEVICES = 50, 200, 20
# What a page can show as a cover; packages may have others, which are left out.
PICTURES = (".png", ".jpg", ".jpeg")

Check = Callable[[Any], bool]


def _number(least: float, most: float, above: bool = False) -> Check:
    def check(value: Any) -> bool:
        plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return plain and (least < value if above else least <= value) and value <= most

    return check


def _whole(least: int, most: int) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


_SECONDS = _number(0, MOST_SECONDS)
_UM = _optional(_number(0, MOST_UM, above=True))
# A field's check and what it should be, in words.
FIELDS: dict[str, tuple[Check, str]] = {
    "stride": (_whole(1, MOST_STRIDE), f"a whole number from 1 to {MOST_STRIDE}"),
    "halo": (_whole(0, MOST_HALO), f"a whole number from 0 to {MOST_HALO}"),
    "network": (_truth, "true or false"),
    "finds": (_text, "a text"),
    "images": (_text, "a text"),
    "not_for": (_text, "a text"),
}
INPUT = {"grey_to_rgb": (_truth, "true or false")}
PIXEL_SIZE = {
    "value_um": (_UM, "a number of micrometres above 0"),
    "nominal": (_truth, "true or false"),
}
PREVIEW = {"maximum_pixels": (_whole(1, MOST_PIXELS), "a whole number above 0")}
ERT = {
    "load_s": (_SECONDS, "a number of seconds"),
    "seconds_per_megapixel": (_SECONDS, "a number of seconds"),
}
SCORE = {
    "value": (_number(-1e12, 1e12), "a number"),
    "images": (_optional(_whole(0, 10**9)), "a whole number"),
    **dict.fromkeys(("dataset", "split", "metric", "date"), (_text, "a text")),
}
SAMPLE = {
    "file": (_text, "the name of a file"),
    "width": (_optional(_whole(1, 2**31)), "a whole number"),
    "height": (_optional(_whole(1, 2**31)), "a whole number"),
    "pixel_size_um": (_UM, "a number of micrometres above 0"),
    **dict.fromkeys(("title", "origin", "licence"), (_text, "a text")),
}


def zooscope_config(raw: Mapping[str, Any], present: Collection[str]) -> dict[str, Any]:
    """`config.zooscope` of a description; `present` are the files of the package. Raises `PackageInvalid`."""
    config = _mapping(_mapping(raw, "config", "config"), "zooscope", "config.zooscope")
    _check(config, FIELDS, "config.zooscope")
    for name, fields in (("input", INPUT), ("pixel_size", PIXEL_SIZE), ("preview", PREVIEW)):
        _check(_mapping(config, name, f"config.zooscope.{name}"), fields, f"config.zooscope.{name}")
    devices = _mapping(config, "ert", "config.zooscope.ert")
    if len(devices) > MOST_DEVICES:
        raise _wrong("config.zooscope.ert", len(devices), f"of at most {MOST_DEVICES} devices")
    for device in devices:
        place = f"config.zooscope.ert.{str(device)[:40]}"
        _check(_mapping(devices, device, place), ERT, place)
    for number, score in enumerate(_list(config, "scores", MOST_SCORES)):
        _check(score, SCORE, f"config.zooscope.scores[{number}]", ("value", "metric"))
    for number, sample in enumerate(_list(config, "samples", MOST_SAMPLES)):
        place = f"config.zooscope.samples[{number}]"
        _check(sample, SAMPLE, place, ("file",))
        if sample["file"] not in present:
            raise PackageInvalid(
                f"The package lacks {sample['file'][:80]!r}, which {place} names.", "Put the file into the zip."
            )
    return dict(config)


def covers_of(raw: Mapping[str, Any], source_of: Callable[[Any], str]) -> list[str]:
    """The first two covers that a page can show; empty where there are fewer."""
    names = [source_of(cover) for cover in raw.get("covers") or []]
    return ([name for name in names if PurePosixPath(name).suffix.lower() in PICTURES] + ["", ""])[:2]


def _mapping(node: Mapping[str, Any], name: str, place: str) -> Mapping[str, Any]:
    found = node.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise _wrong(place, found, "a mapping of names to values")
    return found


def _list(config: Mapping[str, Any], name: str, most: int) -> list[Any]:
    found = config.get(name) or []
    place = f"config.zooscope.{name}"
    if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
        raise _wrong(place, found, "a list of entries with names")
    if len(found) > most:
        raise _wrong(place, len(found), f"of at most {most} entries")
    return found


def _check(
    node: Mapping[str, Any], fields: Mapping[str, tuple[Check, str]], place: str, required: Collection[str] = ()
) -> None:
    for name, (check, told) in fields.items():
        if name not in node:
            if name in required:
                raise PackageInvalid(f"{place} has no {name}.", f"It should be {told}.")
        elif not check(node[name]):
            raise _wrong(f"{place}.{name}", node[name], told)


def _wrong(place: str, value: Any, told: str) -> PackageInvalid:
    return PackageInvalid(f"{place} is {str(value)[:60]!r}, not {told}.", "Put it right in rdf.yaml and package again.")
