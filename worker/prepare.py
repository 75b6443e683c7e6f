"""From the crop's pixels to what the network is given: channels, enhancement, resizing, preprocessing operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from worker.enhance import enhance
from worker.job import PreviewJob
from worker.normalise import apply_operators
from worker.rescale import to_shape
from zoo.channel_fit import apply, fit_channels
from zoo.pixel_scale import Scale, scale_to_model


def fitted(job: PreviewJob, log: Callable[[str], None]) -> np.ndarray:
    """The crop in the model's channels, (y, x, channel) in the image's dtype, every pixel a number."""
    package, crop = job.package, job.crop
    height, width = crop.pixels.shape[:2]
    plan = fit_channels(crop.rgb, crop.pixels.shape[2], None, package.channels, package.grey_to_rgb)
    log(f"region {width} x {height} pixels, {crop.pixels.dtype}: {plan.text}")
    return apply(plan, finite(crop.pixels))


def prepared(job: PreviewJob, plane: np.ndarray, log: Callable[[str], None]) -> tuple[np.ndarray, Scale]:
    """Enhanced, resized and normalised: what the network is given, (y, x, channel) float32."""
    package, settings = job.package, job.settings
    if settings["enhancement"] == "cdeep3m2":
        plane = enhance(plane)
        log("enhanced: clip, total variation, clip")
    scale = scale_to_model(
        job.crop.pixel_size, package.pixel_size_um, nominal=package.pixel_size_nominal, rescale=settings["rescale"]
    )
    if scale.changes:
        shape = scale.shape(*plane.shape[:2])
        plane = to_shape(plane.astype(np.float32), shape)
        log(f"resized by {scale.factor:.4g} to {shape[1]} x {shape[0]} pixels of {package.pixel_size_um:g} µm")
    return apply_operators(plane, package.preprocessing).astype(np.float32, copy=False), scale


def finite(pixels: np.ndarray) -> np.ndarray:
    """Pixels without a number, as some microscopes mark what they did not see, become the darkest there is."""
    if pixels.dtype.kind != "f":
        return pixels
    good = np.isfinite(pixels)
    if good.all():
        return pixels
    return np.where(good, pixels, pixels[good].min() if good.any() else 0)
