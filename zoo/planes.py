"""A plane with its neighbours, for networks of several frames: which planes they are, and whether there are any.

Neighbours are those along z in the same z-stack, never the next time point. Beyond the ends of the stack its edge
planes stand in, as in CDeep3M2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.image_types import Crop, ImageInfo, PixelSize
from zoo.images import read_region
from zoo.passes import frame_choices, frame_counts
from zoo.roi import Region
from zoo.settings import Settings


class PlanesMissing(UserError):
    """A network of several planes and an image that has not as many."""

    code = "planes-missing"


def neighbours(info: ImageInfo, plane: int, frames: int) -> tuple[int, ...]:
    """The plane numbers that a network of `frames` planes is given about `plane`, the lowest first."""
    depth = plane // info.z_step % info.depth
    around = range(depth - frames // 2, depth + frames // 2 + 1)
    return tuple(plane + (min(max(z, 0), info.depth - 1) - depth) * info.z_step for z in around)


def check_planes(info: ImageInfo, settings: Mapping[str, Any], available: Sequence[int]) -> int:
    """The most planes that resolved settings ask for at once, if the image has a stack of as many.

    `available` are the model's frame counts. Raises `PlanesMissing` with what would work.
    """
    wanted = max(frame_counts(settings))
    if wanted <= info.depth:
        return wanted
    has = "a single plane" if info.depth == 1 else f"a stack of {info.depth} planes"
    if info.planes > info.depth:
        has += f" at each of its {info.planes // info.depth} time points"
    fitting = frame_choices(count for count in available if count <= info.depth)
    hint = f"Choose frames {_either(fitting)}, or give" if fitting else "Give"
    hint += f" a stack of at least {wanted} planes."
    if info.planes >= wanted:
        hint += " If the file's time points are slices, swap them in ImageJ's Properties and save it again."
    raise PlanesMissing(f"Frames {settings['frames']} take {wanted} planes at once; the image has {has}.", hint)


def cut_crop(
    path: Path,
    name: str,
    settings: Settings,
    info: ImageInfo,
    region: Region,
    plane: int,
    channels: tuple[int, ...] | None,
    pixel_size: PixelSize | None,
    frames: int = 1,
) -> Crop:
    """The pixels that a job carries: the region of the plane, with its neighbours when `frames` is more than 1.

    `info` is of the image at `path`. Raises what `read_region` raises.
    """
    rgb = info.rgb and channels in (None, (0, 1, 2))
    if frames == 1:
        return Crop(read_region(path, name, settings, region, plane, channels), pixel_size, rgb, region)
    numbers = neighbours(info, plane, frames)
    read = {number: read_region(path, name, settings, region, number, channels) for number in dict.fromkeys(numbers)}
    around = np.stack([read[number] for number in numbers])
    return Crop(read[plane], pixel_size, rgb, region, around)


def _either(choices: Sequence[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
