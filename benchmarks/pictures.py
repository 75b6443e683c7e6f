"""Test pictures of any size, tiled from a seed model's own sample, so that every measurement sees real content."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.packages import ModelPackage, read_package
from zoo.settings import Settings

SEEDS = Path(__file__).parent.parent / "zoo" / "seed"
MODEL = "nuclei"


def seed_package() -> ModelPackage:
    return read_package(SEEDS / f"{MODEL}.zip", Settings())


def picture(package: ModelPackage, side: int) -> np.ndarray:
    """uint8 (side, side) or (side, side, 3): the package's first sample, mirrored at its borders until it fills."""
    with Image.open(io.BytesIO(package.open(package.samples[0]["file"]))) as sample:
        pixels = np.asarray(sample)
    beyond = [(0, max(0, side - length)) for length in pixels.shape[:2]] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, beyond, mode="symmetric")[:side, :side]


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def network_input(package: ModelPackage, pixels: np.ndarray) -> np.ndarray:
    """float32 (y, x, channel) as the package's preprocessing makes it of `pixels`."""
    from worker.normalise import apply_operators
    from zoo.channel_fit import apply, fit_channels

    plane = pixels if pixels.ndim == 3 else pixels[..., None]
    plan = fit_channels(pixels.ndim == 3, plane.shape[2], None, package.channels, package.grey_to_rgb)
    return apply_operators(apply(plan, plane), package.preprocessing).astype(np.float32, copy=False)
