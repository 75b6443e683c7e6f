"""How often a preview runs a network over its region: counts of frames, and sets of test-time variations.

A frame count is the number of planes a network is given at once, the plane with its neighbours. The variations are
numbered as CDeep3M2 numbers them, from 1 (its `augspeed` files):

    1 as it is       2 y flipped    3 x flipped               4 turned by 90°
    5 turned by -90° 6 y flipped, turned by 90°   7 x flipped, turned by 90°   8 turned by 180°

and 9 to 16 are 1 to 8 with the planes in the reverse order, which to a network of one plane is the same.
`worker.variations` does them; here it is only counted, so that the page can say how long it will take.

Source of the sets: CDeep3M2 2.1.5, whose augspeed 10 is the fastest and 1 the slowest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

FLIPS = tuple(range(1, 9))
ALL = tuple(range(1, 17))
AUGSPEEDS: dict[int, dict[int, tuple[int, ...]]] = {
    10: {1: (1,), 3: (1,), 5: (1,)},
    4: {1: (2, 3, 6, 7), 3: (7, 8, 10, 12), 5: (1, 6, 11, 15)},
    2: {1: (1, 6, 11, 15), 3: (1, 2, 3, 4, 13, 14, 15, 16), 5: (5, 6, 7, 8, 9, 10, 11, 12)},
    1: {1: FLIPS, 3: ALL, 5: ALL},
}
VARIATIONS = ("none", "8-flips", *(f"cdeep3m2-{speed}" for speed in AUGSPEEDS))
VARIATION_LABELS = (
    "none",
    "8 flips and rotations",
    "CDeep3M2, augspeed 10 (as it is)",
    "CDeep3M2, augspeed 4 (4 variations)",
    "CDeep3M2, augspeed 2 (4, 8 for 3 and 5 planes)",
    "CDeep3M2, augspeed 1 (8, 16 for 3 and 5 planes)",
)
# What jobs of earlier versions say.
FORMERLY: dict[Any, str] = {1: "none", "1": "none", 8: "8-flips", "8": "8-flips"}


def variation_set(name: str, frames: int) -> tuple[int, ...]:
    """The numbers of the variations that `name`, one of VARIATIONS, has for a network of `frames` planes.

    CDeep3M2 has networks of 1, 3 and 5 planes; larger ones get the set of 5.
    """
    name = FORMERLY.get(name, name)
    if name == "none":
        return (1,)
    if name == "8-flips":
        return FLIPS
    return AUGSPEEDS[int(name.rpartition("-")[2])][min(frames, 5)]


def frame_choices(available: Iterable[int]) -> tuple[str, ...]:
    """What `frames` may be for a package with networks of `available` planes: each alone, then all ensembles."""
    counts = sorted(set(available))
    chosen = [group for size in range(1, len(counts) + 1) for group in combinations(counts, size)]
    return tuple("+".join(map(str, group)) for group in chosen)


def frame_label(choice: str) -> str:
    """ "3" to "3 planes", "1+3" to "1 and 3 planes, averaged"."""
    counts = choice.split("+")
    if len(counts) == 1:
        return "1 plane" if choice == "1" else f"{choice} planes"
    return f"{', '.join(counts[:-1])} and {counts[-1]} planes, averaged"


def frame_counts(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """The frame counts that resolved settings ask for, such as (1, 3); (1,) for jobs of earlier versions."""
    return tuple(int(count) for count in str(settings.get("frames", "1")).split("+"))


def passes(settings: Mapping[str, Any]) -> int:
    """How many times the networks run over the region with these resolved settings."""
    name = settings.get("variations", "none")
    return sum(len(variation_set(name, frames)) for frames in frame_counts(settings))
