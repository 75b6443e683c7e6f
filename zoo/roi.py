"""The region of interest: a rectangle of whole pixels in an image, x to the right and y down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import UserError

HOW = "Give x, y, width and height in whole pixels, such as 100,100,512,512."
LARGEST_COORDINATE = 2**31


class BadRegion(UserError):
    code = "bad-region"


@dataclass(frozen=True)
class Region:
    """`x` and `y` are the upper left pixel; `width` and `height` count pixels, so the last column is x + width - 1."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read "x,y,width,height"; raises `BadRegion`."""
        parts = text.replace(" ", ",").split(",")
        try:
            return cls.from_json([int(part) for part in parts if part])
        except ValueError as error:
            raise BadRegion(f"The region is {text[:60]!r}.", HOW) from error

    @classmethod
    def from_json(cls, values: Any) -> Region:
        """Read [x, y, width, height] of whole numbers; raises `BadRegion`."""
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 4:
            raise BadRegion(f"The region is {str(values)[:60]!r}.", HOW)
        for value in values:
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            if isinstance(value, bool) or not whole or abs(value) > LARGEST_COORDINATE:
                raise BadRegion(f"The region has {str(value)[:40]!r} where a whole number belongs.", HOW)
        x, y, width, height = (int(value) for value in values)
        if width < 1 or height < 1:
            raise BadRegion(f"The region is {width} x {height} pixels.", "Draw one of at least 1 x 1 pixels.")
        if x < 0 or y < 0:
            raise BadRegion(f"The region starts at {x}, {y}.", "It must start inside the image, at 0, 0 or beyond.")
        return cls(x, y, width, height)

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def inside(self, width: int, height: int) -> Region:
        """This region, if an image of `width` x `height` pixels holds all of it; raises `BadRegion` otherwise."""
        if self.x + self.width > width or self.y + self.height > height:
            raise BadRegion(
                f"The region reaches to {self.x + self.width}, {self.y + self.height}, "
                f"but the image has {width} x {height} pixels.",
                "Move or shrink the region so that it lies inside the image.",
            )
        return self

    def to_json(self) -> list[int]:
        return [self.x, self.y, self.width, self.height]
