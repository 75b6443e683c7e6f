"""The memory of a streamed preview is bounded, whatever the image."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.streaming import MODEL_AND_FRAMEWORK, measure, write_image
from benchmarks.tiny_package import tiny_package

MIB = 2**20

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_peak_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    model, memory = tiny_package(tmp_path / "tiny.zip"), 256 * MIB
    peaks = {}
    for side in (4096, 8192):
        image = tmp_path / f"{side}.tif"
        write_image(image, side)
        found = measure(image, model, tmp_path / f"out{side}", memory, 1024)
        assert found["manifest"]["summary"]["streamed"]
        peaks[side] = found["peak"]
    assert peaks[8192] < MODEL_AND_FRAMEWORK + memory
    # The larger one has 48 MiB more of pixels, 384 MiB more of maps and 192 MiB more of labels.
    assert peaks[8192] - peaks[4096] < 64 * MIB
