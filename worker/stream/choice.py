"""Whether a preview is streamed: when its region is more than fits into memory."""

from __future__ import annotations

from zoo.packages import ModelPackage
from zoo.pixel_scale import Scale
from zoo.roi import Region
from zoo.settings import Settings

# A preview in memory holds the image, what the network is given and its maps, some of them several times, and for each
# pixel what finding, drawing and measuring objects takes.
COPIES, BYTES_BESIDE = 3, 100
UNLIMITED = 2**62


def unlimited(settings: Settings) -> Settings:
    """The settings with which one's own large images are looked at; how much of them is read is another matter."""
    return settings.replace(plane_pixels=UNLIMITED, image_pixels=UNLIMITED, image_side=2**31)


def too_large(package: ModelPackage, region: Region, scale: Scale, frames: int, budget: int, memory: int) -> bool:
    """Whether the region has more pixels than the `budget`, or a preview of it takes more than `memory` bytes."""
    pixels = region.width * region.height * max(1.0, scale.y * scale.x)
    values = package.channels * frames + len(package.output_channels)
    return pixels > budget or pixels * (4 * COPIES * values + BYTES_BESIDE) > memory
