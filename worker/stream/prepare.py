"""What the networks are given of a region that is read while it is used: `worker.prepare` for large images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from worker.job import PreviewJob
from worker.rescale import needed_span, resampled
from worker.stream.enhance import ENHANCEMENTS
from worker.stream.planes import Plane, Stored, stored
from worker.stream.reading import Reader
from worker.stream.scratch import Scratch
from worker.stream.statistics import Measured, preprocessed
from zoo.channel_fit import ChannelPlan, apply, fit_channels
from zoo.passes import frame_counts
from zoo.pixel_scale import Scale, scale_to_model

Span = tuple[int, int]


@dataclass(frozen=True)
class Fitted:
    """A plane of the region in the model's channels, every pixel a number; reading it waits for the pixels."""

    reader: Reader
    index: int
    plan: ChannelPlan

    @property
    def shape(self) -> tuple[int, int, int]:
        return *self.reader.stack.shape[1:3], self.plan.model_channels

    def read(self, y: Span, x: Span) -> np.ndarray:
        return apply(self.plan, self.pixels(y, x))

    def pixels(self, y: Span, x: Span) -> np.ndarray:
        """The image's own channels, those without a number as dark as the darkest."""
        floating = self.reader.stack.dtype.kind == "f"
        # Which number is the lowest is known when all of them are.
        self.reader.wait(self.shape[0] if floating else y[1])
        pixels = self.reader.stack[self.index, slice(*y), slice(*x)]
        if not floating or self.reader.complete:
            return pixels
        lowest = self.reader.lowest[self.index]
        return np.where(np.isfinite(pixels), pixels, pixels.dtype.type(lowest if np.isfinite(lowest) else 0))


@dataclass(frozen=True)
class Resized:
    """A plane resampled to `side` (y, x), rectangle by rectangle as `worker.rescale.to_shape` does it to the whole."""

    plane: Plane
    side: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        return *self.side, self.plane.shape[2]

    def read(self, y: Span, x: Span) -> np.ndarray:
        have = self.plane.shape[:2]
        needed = [needed_span(*sides) for sides in zip(have, self.side, (y, x), strict=True)]
        pixels = self.plane.read(needed[0], needed[1]).astype(np.float32, copy=False)
        for axis, span in enumerate((y, x)):
            pixels = resampled(pixels, axis, have[axis], self.side[axis], span, needed[axis][0])
        return pixels


@dataclass(frozen=True)
class Prepared:
    """`planes` are what the networks are given; `reference` measures the middle one before normalisation."""

    planes: list[Plane]
    fitted: list[Fitted]
    scale: Scale
    reference: Measured


def fitted(job: PreviewJob, reader: Reader, log: Callable[[str], None]) -> list[Fitted]:
    """The planes that the settings ask for."""
    package, crop = job.package, job.crop
    height, width, channels = crop.pixels.shape
    plan = fit_channels(crop.rgb, channels, None, package.channels, package.grey_to_rgb)
    wanted = max(frame_counts(job.settings))
    spare = len(crop.stack) - wanted
    beside = "" if wanted == 1 else f", {wanted} planes"
    log(f"region {width} x {height} pixels{beside}, {crop.pixels.dtype}: {plan.text}")
    return [Fitted(reader, index, plan) for index in range(spare // 2, spare // 2 + wanted)]


def prepared(job: PreviewJob, planes: list[Fitted], scratch: Scratch, log: Callable[[str], None]) -> Prepared:
    """Enhanced, resized and normalised; the first two into files."""
    package, settings = job.package, job.settings
    scale = scale_to_model(
        job.crop.pixel_size, package.pixel_size_um, nominal=package.pixel_size_nominal, rescale=settings["rescale"]
    )
    shape = scale.shape(*planes[0].shape[:2])
    enhance, told = ENHANCEMENTS.get(settings["enhancement"], (None, ""))
    if enhance:
        log(f"enhanced: {told}")
    if scale.changes:
        log(f"resized by {scale.factor:.4g} to {shape[1]} x {shape[0]} pixels of {package.pixel_size_um:g} µm")
    measured = []
    given: list[Plane] = []
    for index, plane in enumerate(planes):
        now: Plane = plane
        if enhance:
            now = enhance(now, scratch, f"enhanced{index}")
        if scale.changes:
            now = Stored(stored(Resized(now, shape), scratch, f"resized{index}"))
        own = Measured(now, scratch)
        measured.append(own)
        given.append(preprocessed(now, package.preprocessing, own))
    return Prepared(given, planes, scale, measured[len(measured) // 2])
