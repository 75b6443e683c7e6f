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
    name of the samples as they will be read. `rgb` says that the channels are red, green and blue. `depth` counts the
    planes of one z-stack (pages without axes are taken for one), whose next plane is `z_step` planes further on.
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
    depth: int = 0
    z_step: int = 1

    def __post_init__(self) -> None:
        if not self.depth:
            object.__setattr__(self, "depth", self.planes)

    def to_json(self) -> dict[str, Any]:
        body = dict(self.__dict__)
        body["channel_names"] = list(self.channel_names)
        body["pixel_size"] = self.pixel_size.to_json() if self.pixel_size else None
        return body

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> ImageInfo:
        """Read `to_json`; images kept by earlier versions tell no `depth`."""
        values = {name: body[name] for name in cls.__dataclass_fields__ if name not in ("depth", "z_step")}
        values |= {name: body[name] for name in ("depth", "z_step") if name in body}
        values["channel_names"] = tuple(values["channel_names"])
        values["pixel_size"] = PixelSize.from_json(values["pixel_size"])
        return cls(**values)


@dataclass(frozen=True)
class Crop:
    """The pixels of a region, (y, x, channel) in the image's own dtype, and where they are from.

    `around`, where a network wants it, are the plane and its neighbours along z, (plane, y, x, channel): an odd number,
    of which the middle one is `pixels`, and beyond the stack's ends its edge planes again.
    """

    pixels: np.ndarray
    pixel_size: PixelSize | None
    rgb: bool
    origin: Region
    around: np.ndarray | None = None

    @property
    def stack(self) -> np.ndarray:
        """(plane, y, x, channel): `around`, or the one plane there is."""
        return self.pixels[None] if self.around is None else self.around


def named_channels(count: int, rgb: bool) -> tuple[str, ...]:
    if rgb and count == 3:
        return ("red", "green", "blue")
    return ("grey",) if count == 1 else tuple(f"channel {index + 1}" for index in range(count))
