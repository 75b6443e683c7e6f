"""From the crop's pixels to what the networks are given: channels, enhancement, resizing, preprocessing operators.

Every plane is prepared by itself, as CDeep3M2 does it, so a plane is the same whatever stands beside it. Percentiles,
noise and local contrast are those of the whole region, before it is cut into tiles: a preview and a run of the same
region agree, and a run of a larger one differs as its grey levels do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from worker.enhance import ENHANCEMENTS
from worker.job import PreviewJob
from worker.normalise import preprocess
from worker.rescale import to_shape
from worker.statistics import Measured
from zoo.channel_fit import apply, fit_channels
from zoo.passes import frame_counts
from zoo.pixel_scale import Scale, scale_to_model
from zoo.planes import PlanesMissing


def fitted(job: PreviewJob, log: Callable[[str], None]) -> np.ndarray:
    """The planes that the settings ask for, in the model's channels and every pixel a number.

    Returns (plane, y, x, channel) in the image's dtype; one plane, or an odd number with the preview's in the middle.
    Raises `ChannelsUnfit`, and `PlanesMissing` when the crop was cut with fewer planes.
    """
    package, crop = job.package, job.crop
    height, width = crop.pixels.shape[:2]
    plan = fit_channels(crop.rgb, crop.pixels.shape[2], None, package.channels, package.grey_to_rgb)
    wanted = max(frame_counts(job.settings))
    spare = len(crop.stack) - wanted
    if spare < 0:
        raise PlanesMissing(
            f"The preview has the pixels of {len(crop.stack)} planes and is to use {wanted}.", "Submit it again."
        )
    planes = crop.stack[spare // 2 : spare // 2 + wanted]
    beside = "" if wanted == 1 else f", {wanted} planes"
    log(f"region {width} x {height} pixels{beside}, {crop.pixels.dtype}: {plan.text}")
    return _stacked([apply(plan, finite(plane)) for plane in planes])


def prepared(job: PreviewJob, stack: np.ndarray, log: Callable[[str], None]) -> tuple[np.ndarray, Scale, Measured]:
    """Enhanced, resized and normalised: what the networks are given, (plane, y, x, channel) float32.

    With it the scale from the image's to the model's pixels, and the statistics of the middle plane before it was
    normalised, which operators of the output may refer to.
    """
    package, settings = job.package, job.settings
    scale = scale_to_model(
        job.crop.pixel_size, package.pixel_size_um, nominal=package.pixel_size_nominal, rescale=settings["rescale"]
    )
    shape = scale.shape(*stack.shape[1:3])
    enhance, told = ENHANCEMENTS.get(settings["enhancement"], (None, ""))
    if enhance:
        log(f"enhanced: {told}")
    if scale.changes:
        log(f"resized by {scale.factor:.4g} to {shape[1]} x {shape[0]} pixels of {package.pixel_size_um:g} µm")

    def resized(plane: np.ndarray) -> np.ndarray:
        plane = enhance(plane) if enhance else plane
        return to_shape(plane.astype(np.float32), shape) if scale.changes else plane

    planes = [resized(plane) for plane in stack]
    reference = Measured(planes[len(planes) // 2])
    made = [preprocess(plane, package.preprocessing).astype(np.float32, copy=False) for plane in planes]
    return _stacked(made), scale, reference


def _stacked(planes: list[np.ndarray]) -> np.ndarray:
    return planes[0][None] if len(planes) == 1 else np.stack(planes)


def finite(pixels: np.ndarray) -> np.ndarray:
    """Pixels without a number, as some microscopes mark what they did not see, become the darkest there is."""
    if pixels.dtype.kind != "f":
        return pixels
    good = np.isfinite(pixels)
    if good.all():
        return pixels
    return np.where(good, pixels, pixels[good].min() if good.any() else 0)
