"""Enhancement by squares is nearly that of the whole plane; what cannot be done by squares is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from worker.enhance import enhance
from worker.stream.enhance import ENHANCEMENTS, enhanced
from worker.stream.planes import Stored
from worker.stream.scratch import Scratch
from worker.stream.statistics import NotStreamable


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_within_a_grey_level_of_the_whole(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(2)
    blobs = ndimage.gaussian_filter(rng.standard_normal((600, 520)), 6)
    plane = (
        (100 + 60 * blobs / blobs.std() + 8 * rng.standard_normal(blobs.shape)).clip(0, 255).astype(dtype)[..., None]
    )
    whole = enhance(plane)
    scratch = Scratch(tmp_path, 2**20)
    part = enhanced(Stored(plane), scratch, "enhanced").read((0, 600), (0, 520))
    assert part.dtype == np.uint8
    apart = np.abs(part.astype(int) - whole)
    assert apart.max() <= 3
    assert (apart > 1).mean() < 0.001


def test_a_constant_plane_is_black(tmp_path: Path) -> None:
    part = enhanced(Stored(np.full((40, 30, 2), 9, np.uint8)), Scratch(tmp_path, 2**20), "enhanced")
    assert not part.read((0, 40), (0, 30)).any()


def test_local_contrast_is_refused_with_what_would_work(tmp_path: Path) -> None:
    with pytest.raises(NotStreamable, match="whole region in memory") as refused:
        ENHANCEMENTS["clahe"][0](Stored(np.zeros((4, 4, 1), np.uint8)), Scratch(tmp_path, 2**20), "enhanced")
    assert "cdeep3m2" in str(refused.value.hint)
