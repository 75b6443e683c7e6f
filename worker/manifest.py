"""The manifest of a result: everything needed to get the same result again, and how long each stage took."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from typing import TYPE_CHECKING, Any

from zoo.images import encode_crop
from zoo.pixel_scale import Scale

if TYPE_CHECKING:
    from worker.job import PreviewJob

FRAMEWORKS = ("tensorflow", "keras", "numpy", "scipy", "scikit-image")
SOURCE_KEYS = ("image_name", "image_sha256", "roi", "plane", "channels", "rgb", "pixel_size_um")


def software(*more: str) -> dict[str, str]:
    """The versions of what computes here; `more` names further libraries."""
    return {
        "zooscope": importlib.metadata.version("zooscope"),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in (*FRAMEWORKS, *more)},
    }


def manifest(
    job: PreviewJob,
    scale: Scale,
    summary: dict[str, Any],
    device: str,
    timings: dict[str, float],
    input_sha256: str | None = None,
) -> dict[str, Any]:
    """What is written to manifest.json; only `timings` differs between two runs of the same on the same machine.

    `input_sha256` is that of the crop's file, where it is one.
    """
    package = job.package
    return {
        "model": {"id": package.id, "version": package.version, "name": package.name, "package_sha256": package.sha256},
        "settings": dict(job.settings),
        "source": {key: job.source.get(key) for key in SOURCE_KEYS},
        "input_sha256": input_sha256 or hashlib.sha256(encode_crop(job.crop)).hexdigest(),
        "head": dict(package.head),
        "scale": {"x": scale.x, "y": scale.y},
        "software": software(),
        "device": device,
        "summary": summary,
        "timings": timings,
    }
