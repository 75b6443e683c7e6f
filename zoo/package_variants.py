"""Networks of one package that take several planes: `config.zooscope.variants`, checked against the archive.

A variant of n frames is given a plane with its n // 2 neighbours on each side as channels, the lowest plane first; all
else (channels of a plane, maps, stride, normalisation of each plane) is as the description says of the standard's
weights, which are one of the variants.
"""

from __future__ import annotations

import hashlib
import zipfile
from typing import Any

from zoo.package_archive import PackageInvalid

MOST_FRAMES = 15


def read_variants(
    archive: zipfile.ZipFile, config: dict[str, Any], weights_file: str
) -> tuple[dict[int, str], dict[int, list[str]]]:
    """The weights file, and the files of the test input and output where given, of each count of frames.

    `config` is `config.zooscope`: `frames` alone (a number, 1 if missing) tells what the standard's weights take;
    `variants` lists `{"frames", "weights", "sha256", "test_input", "test_output"}`. Raises `PackageInvalid`.
    """
    listed = config.get("variants")
    if listed is None:
        return {_frames(config.get("frames", 1)): weights_file}, {}
    if not isinstance(listed, list) or not listed or not all(isinstance(entry, dict) for entry in listed):
        raise PackageInvalid(
            "The package's `variants` is not a list of networks.", "Write one entry for each count of frames."
        )
    weights: dict[int, str] = {}
    tests: dict[int, list[str]] = {}
    for entry in listed:
        frames = _frames(entry.get("frames"))
        if frames in weights:
            raise PackageInvalid(f"The package has two networks of {frames} frames.")
        weights[frames] = str(entry.get("weights"))
        tests[frames] = [str(entry[key]) for key in ("test_input", "test_output") if key in entry]
        for name in (weights[frames], *tests[frames]):
            if name not in archive.namelist():
                raise PackageInvalid(f"The package lacks {name!r}, which its variant of {frames} frames names.")
        with archive.open(weights[frames]) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        if digest != entry.get("sha256"):
            raise PackageInvalid(f"{weights[frames]!r} is not the file its sha256 names.")
    if weights_file not in weights.values():
        raise PackageInvalid(f"The weights {weights_file!r} are none of the package's variants.")
    told = config.get("frames", sorted(weights))
    told = told if isinstance(told, list) else [told]
    if len(told) != len(weights) or not all(frames in told for frames in weights):
        raise PackageInvalid(f"The package tells of {told} frames and has networks of {sorted(weights)}.")
    return dict(sorted(weights.items())), dict(sorted(tests.items()))


def _frames(value: Any) -> int:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if type(value) is not int or not 1 <= value <= MOST_FRAMES or value % 2 == 0:
        raise PackageInvalid(f"{value!r} is no count of frames.", f"Odd numbers from 1 to {MOST_FRAMES} are.")
    return value
