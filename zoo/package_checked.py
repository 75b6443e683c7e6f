"""What a check found, written into the package: its runtimes always, the rest where the package has none of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.package_amend import amend
from zoo.package_safety import check_contents
from zoo.packages import ModelPackage, read_package
from zoo.settings import Settings


def write_findings(
    package: ModelPackage, ert: Mapping[str, Any], files: Mapping[str, Path], out: Path, settings: Settings
) -> ModelPackage:
    """Write the package to `out` with the runtimes `ert` and those of a check's `files` that it has none of.

    Its own covers and test tensors stay. Raises `PackageInvalid` and `ArchiveRefused` when what comes of it is none.
    """
    own_cover, own_tensors = bool(package.cover), bool(package.test_input and package.test_output)
    amend(
        package.path,
        out,
        ert=package.ert | dict(ert),
        cover=None if own_cover else files.get("cover.png"),
        cover_before=None if own_cover else files.get("cover-before.png"),
        test_input=None if own_tensors else files.get("test_input.npy"),
        test_output=None if own_tensors else files.get("test_output.npy"),
    )
    amended = read_package(out, settings)
    check_contents(amended)
    return amended
