"""Arrays in files: parts of them are what was written, whichever way they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.stream.scratch import DiskFull, Scratch, rectangle


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 30), width=st.integers(1, 50), more=st.sampled_from([(), (1,), (3,)]),
    dtype=st.sampled_from(["int32", "float32", "uint8"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_rectangle(tmp_path: Path, height: int, width: int, more: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scratch = Scratch(tmp_path, 2**20)
    written = rng.integers(0, 200, (height, width, *more)).astype(dtype)
    array = scratch.array("array", written.shape, np.dtype(dtype))
    array[...] = written
    scratch.release()
    y, x = (tuple(sorted(rng.integers(0, side + 1, 2).tolist())) for side in (height, width))
    for given_array in (array, written, array[:, :, None]):
        part = rectangle(given_array, y, x)  # type: ignore[arg-type]
        np.testing.assert_array_equal(part.reshape(written[slice(*y), slice(*x)].shape), written[slice(*y), slice(*x)])


def test_no_room_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="GiB of disk"):
        Scratch(tmp_path, 2**20).array("array", (2**30, 2**20), np.float32)
    assert list(tmp_path.iterdir()) == []
