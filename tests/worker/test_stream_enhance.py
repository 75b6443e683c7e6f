"""Enhancement by squares is nearly that of the whole plane, local contrast exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from worker.enhance import enhance, local_contrast
from worker.stream.enhance import ENHANCEMENTS, enhanced
from worker.stream.planes import Stored
from worker.stream.scratch import Scratch


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


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1), height=st.integers(1, 1100), width=st.integers(1, 700),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]), darker=st.integers(0, 150),
)  # fmt: skip
def test_local_contrast_is_that_of_the_whole(
    tmp_path: Path, seed: int, height: int, width: int, dtype: str, darker: int
) -> None:
    rng = np.random.default_rng(seed)
    coarse = ndimage.zoom(rng.uniform(0, 200, (height // 40 + 2, width // 40 + 2, 2)), (40, 40, 1), order=1)
    pixels = coarse[:height, :width] + rng.normal(0, 8, (height, width, 2)) - darker
    pixels = (pixels.clip(0, 255) if dtype[0] == "u" else pixels).astype(dtype)
    pixels[..., 1] = pixels[..., 1] if seed % 5 else 3
    part = ENHANCEMENTS["clahe"][0](Stored(pixels), Scratch(tmp_path, 2**20), "enhanced")
    found = np.concatenate([part.read((0, height // 2), (0, width)), part.read((height // 2, height), (0, width))])
    np.testing.assert_array_equal(found, local_contrast(pixels))
    assert found.dtype == np.float32
