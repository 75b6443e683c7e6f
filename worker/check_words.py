"""The sentences of a check about what a network makes: what is wrong with it, and what its author should look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worker.check import Reproduction
from zoo.head_classes import HeadClass
from zoo.packages import ModelPackage

# Maps of a head that wants probabilities may be out of 0..1 by as much.
SLACK = 0.05
WANT_PROBABILITIES = ("probability-mask", "watershed-instances", "boundary-cells", "star-convex")


def not_reproduced(found: Reproduction, which: str) -> tuple[bool, str, str]:
    """What a step is done with that compares; `which` names the network, if there are several."""
    if not found.numbers:
        bad = "The network's output holds values that are no numbers (NaN or infinity): its weights are damaged"
        return False, f"{bad}, or they do not belong to it.", "Save the trained weights again and upload them."
    return (
        False,
        f"The test output{which} is not reproduced: {found.text}.",
        "Check that weights, preprocessing and test tensors are of the same training; or make new test tensors.",
    )


def not_numbers(maps: np.ndarray) -> tuple[str, str] | None:
    """A sentence and a hint when the network's maps hold values that are no numbers."""
    wrong = float((~np.isfinite(maps)).mean())
    if not wrong:
        return None
    return (
        f"{wrong:.0%} of the values that the network makes are no numbers (NaN or infinity): its weights are damaged.",
        "Save the trained weights again and upload them.",
    )


def counted(summary: Mapping[str, Any], classes: Sequence[HeadClass]) -> str:
    """Such as "3 nuclei", or "12 objects (9 red cells, 3 platelets)"."""
    words = {each.name: each.objects for each in classes}
    told = [
        f"{count or 'no'} {name if count == 1 else words.get(name, name)}"
        for name, count in (summary.get("classes") or {}).items()
        if count or len(words) == 1
    ]
    if len(told) == 1:
        return told[0]
    return f"{summary['objects']} objects ({', '.join(told)})" if told else "no objects"


def shape(array: np.ndarray) -> str:
    return " × ".join(map(str, array.shape))


def doubts(package: ModelPackage, maps: np.ndarray, objects: int) -> str:
    """What the author should look at, though nothing failed."""
    low, high = float(maps.min()), float(maps.max())
    if package.head["kind"] in WANT_PROBABILITIES and (low < -SLACK or high > 1 + SLACK) and maps.ndim == 2:
        return (
            f"The values of its map reach from {low:.3g} to {high:.3g}: if these are no probabilities, "
            "end the network, or the package's postprocessing, with a sigmoid."
        )
    if not objects:
        return "Nothing was found: check the head, its threshold, the channels and the pixel size of the test image."
    return ""
