"""The networks for several planes that a package carries beside its first: files, test tensors and their entries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from worker.training.data import scale_range
from worker.training.pack import save_packed

# The sides of the variants' test tensors: enough to tell networks apart, small in the package.
TEST_SIDE = 64


def write_variants(
    models: Mapping[int, keras.Model],
    stack: np.ndarray,
    percentiles: tuple[float, float],
    first: tuple[Path, Path, Path],
    folder: Path,
) -> tuple[dict[str, Any], list[Path]]:
    """Write the networks of more than one plane.

    Args:
        models: by their count of frames, without that of one plane.
        stack: (plane, y, x) uint8, planes for the test tensors.
        percentiles: of each plane, to 0 and 1.
        first: weights, test input and test output of the network of one plane, written before.
        folder: where the files go.

    Returns:
        `frames` and `variants` of `config.zooscope`, and the files to attach.
    """
    entries: list[dict[str, Any]] = [_entry(1, first)]
    files: list[Path] = []
    for frames, model in sorted(models.items()):
        planes = stack[:frames, :TEST_SIDE, :TEST_SIDE]
        given = np.stack([scale_range(plane, *percentiles) for plane in planes], axis=-1)
        written = tuple(folder / name.format(frames) for name in ("model_{}.keras", "test_input_{}.npy",
                                                                 "test_output_{}.npy"))  # fmt: skip
        save_packed(model, written[0])
        np.save(written[1], np.moveaxis(planes, 0, -1)[None].astype(np.float32))
        np.save(written[2], np.asarray(model(given[None], training=False)).astype(np.float32))
        entries.append(_entry(frames, written))
        files += written
    return {"frames": [1, *sorted(models)], "variants": entries}, files


def _entry(frames: int, files: tuple[Path, ...]) -> dict[str, Any]:
    weights, given, made = files
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return {"frames": frames, "weights": weights.name, "sha256": digest, "test_input": given.name,
            "test_output": made.name}  # fmt: skip
