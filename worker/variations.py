"""Test-time variations: the eight flips and rotations of the square, and the way back.

Averaging a network over them is what CDeep3M2 does with its variations 1-8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Variation:
    """`turns` quarter turns, then a flip of x; of arrays (y, x, channel)."""

    turns: int
    flipped: bool

    def apply(self, plane: np.ndarray) -> np.ndarray:
        turned = np.rot90(plane, self.turns)
        return turned[:, ::-1] if self.flipped else turned

    def undo(self, plane: np.ndarray) -> np.ndarray:
        turned = plane[:, ::-1] if self.flipped else plane
        return np.rot90(turned, -self.turns)


def variations(count: int) -> tuple[Variation, ...]:
    """1: as it is; 4: the quarter turns; 8: these and their mirror images."""
    turns = 1 if count == 1 else 4
    return tuple(Variation(turn, flipped) for flipped in (False, True)[: 1 + (count == 8)] for turn in range(turns))
