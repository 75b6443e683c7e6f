"""A crop's file filled piece by piece is the one that is encoded at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zoo.crop_file import blank_crop
from zoo.images import Crop, PixelSize, encode_crop
from zoo.roi import Region


@pytest.mark.parametrize(("planes", "channels"), [(1, 1), (1, 3), (3, 1), (3, 2)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_same_bytes(tmp_path: Path, planes: int, channels: int, dtype: str) -> None:
    stack = np.random.default_rng(1).integers(0, 200, (planes, 33, 47, channels)).astype(dtype)
    region, size = Region(5, 6, 47, 33), PixelSize(0.5, 0.25)
    crop = Crop(stack[planes // 2], size, channels == 3, region, stack if planes > 1 else None)
    path = tmp_path / "crop.tif"
    mapped = blank_crop(path, stack.shape, stack.dtype, pixel_size=size, rgb=crop.rgb, origin=region, around=planes > 1)  # type: ignore[arg-type]
    for top in range(0, 33, 10):
        mapped[:, top : top + 10] = stack[:, top : top + 10]
    mapped.base.flush() if isinstance(mapped.base, np.memmap) else None
    assert path.read_bytes() == encode_crop(crop)
