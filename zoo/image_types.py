"""What is known of an image: size, planes, channels, sample type, pixel size; and the crop that a job carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.roi import Region


@dataclass(frozen=True)
class PixelSize:
    """The sides of a pixel in micrometres."""

    x_um: float
    y_um: float

    def to_json(self) -> dict[str, float]:
        return {"x_um": self.x_um, "y_um": self.y_um}

    @classmethod
    def from_json(cls, body: dict[str, Any] | None) -> PixelSize | None:
        return None if body is None else cls(float(body["x_um"]), float(body["y_um"]))


@dataclass(frozen=True)
class ImageInfo:
    """An image as its file describes it.

    `planes` counts everything that is not y, x or channel (z, time, pages), in the file's order. `dtype` is NumPy's
    name of the samples as they will be read. `rgb` says that the channels are red, green and blue.
    """

    format: str
    width: int
    height: int
    planes: int
    channels: int
    channel_names: tuple[str, ...]
    dtype: str
    rgb: bool
    pixel_size: PixelSize | None

    def to_json(self) -> dict[str, Any]:
        body = dict(self.__dict__)
        body["channel_names"] = list(self.channel_names)
        body["pixel_size"] = self.pixel_size.to_json() if self.pixel_size else None
        return body

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> ImageInfo:
        values = {name: body[name] for name in cls.__dataclass_fields__}
        values["channel_names"] = tuple(values["channel_names"])
        values["pixel_size"] = PixelSize.from_json(values["pixel_size"])
        return cls(**values)


@dataclass(frozen=True)
class Crop:
    """The pixels of a region, (y, x, channel) in the image's own dtype, and where they are from."""

    pixels: np.ndarray
    pixel_size: PixelSize | None
    rgb: bool
    origin: Region


def named_channels(count: int, rgb: bool) -> tuple[str, ...]:
    if rgb and count == 3:
        return ("red", "green", "blue")
    return ("grey",) if count == 1 else tuple(f"channel {index + 1}" for index in range(count))
