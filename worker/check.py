"""Whether a package does here what its author saw: its test tensor through our engine, within its own tolerances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.check_tensors import raw_maps
from worker.inference import ModelCache, WarmModel
from worker.test_tensors import read_test_tensors
from zoo.errors import UserError
from zoo.packages import ModelPackage

# What the standard allows where a package says nothing.
TOLERANCE = {"relative_tolerance": 1e-3, "absolute_tolerance": 1e-3, "mismatched_elements_per_million": 100}


class TestTensorsMissing(UserError):
    __test__ = False
    code = "test-tensors-missing"
    status = 422


@dataclass(frozen=True)
class Reproduction:
    """`difference` is the largest one, `mismatched_ppm` how many values in a million are further off than allowed;
    `numbers` whether all that was made are numbers.
    """

    agrees: bool
    difference: float
    mismatched_ppm: float
    text: str
    numbers: bool = True


def reproduces(package: ModelPackage, models: ModelCache | WarmModel, frames: int | None = None) -> Reproduction:
    """Compute the package's test input as a preview does and compare it with its test output.

    `models` has its model, or is it. `frames` chooses the network for so many planes. Raises `TestTensorsMissing`,
    `ModelUnrunnable`, `OutOfMemory`.
    """
    tensors = read_test_tensors(package, frames)
    if tensors is None:
        raise TestTensorsMissing(
            f"{package.id} {package.version} has no test tensors to be checked with.", "Add a test input and output."
        )
    model = models if isinstance(models, WarmModel) else models.get(package)
    more = {} if frames is None else {"frames": frames}
    given = tensors.prepared(package)
    if package.head["kind"] == "boxes":
        # As the network lists them: a preview puts lists in order and joins what several tiles saw.
        maps = list(raw_maps(model, given, frames or 1))
    else:
        maps = [model.predict(image, lambda done, tiles: None, lambda line: None, **more) for image in given]
    return compare([tensors.finished(package, index, each) for index, each in enumerate(maps)], tensors.made, package)


def compare(made: Sequence[np.ndarray] | np.ndarray, expected: np.ndarray, package: ModelPackage) -> Reproduction:
    """Whether what was made of each image is what was expected, within the package's own tolerances."""
    if len(made) != len(expected) or any(one.shape != other.shape for one, other in zip(made, expected, strict=True)):
        text = f"the output has the shape {made[0].shape}, the test output {expected[0].shape}"
        return Reproduction(False, float("inf"), 1e6, text)
    return _compared(np.stack(list(made)).astype(np.float32), expected.astype(np.float32), _tolerance(package))


def _tolerance(package: ModelPackage) -> dict[str, float]:
    for entry in package.tolerances:
        formats = entry.get("weights_formats")
        if not formats or package.weights_format in formats:
            return TOLERANCE | {name: float(entry[name]) for name in TOLERANCE if name in entry}
    return TOLERANCE


def _compared(made: np.ndarray, expected: np.ndarray, allowed: Mapping[str, Any]) -> Reproduction:
    apart = np.abs(made - expected)
    bounds = allowed["absolute_tolerance"] + allowed["relative_tolerance"] * np.abs(expected)
    # A value that is no number agrees with nothing.
    mismatched = float((~(apart <= bounds)).mean() * 1e6)
    agrees = mismatched <= allowed["mismatched_elements_per_million"]
    text = f"largest difference {apart.max():.2g}; {mismatched:.0f} of a million values are further off than allowed"
    return Reproduction(agrees, float(apart.max()), mismatched, text, bool(np.isfinite(made).all()))
