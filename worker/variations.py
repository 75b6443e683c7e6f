"""Test-time variations: flips and rotations of the square, with the planes reversed or not, and the way back.

They are numbered as in `zoo.passes`, which has the sets that CDeep3M2 averages over. CDeep3M2 flips before it turns;
a turn by 90° is one of `numpy.rot90`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.passes import variation_set

# (axis of the plane that is flipped first, quarter turns) of 1 to 8; y is axis 0 and x is axis 1 of a map.
SQUARE: tuple[tuple[int | None, int], ...] = (
    (None, 0), (0, 0), (1, 0), (None, 1), (None, -1), (0, 1), (1, 1), (None, 2),
)  # fmt: skip


@dataclass(frozen=True)
class Variation:
    """One of the sixteen: `flipped` is the axis flipped first, `turns` counts quarter turns, `reversed` the planes."""

    number: int
    flipped: int | None
    turns: int
    reversed: bool

    def apply(self, stack: np.ndarray) -> np.ndarray:
        """The variation of (plane, y, x, channel)."""
        if self.reversed:
            stack = stack[::-1]
        if self.flipped is not None:
            stack = np.flip(stack, 1 + self.flipped)
        return np.rot90(stack, self.turns, axes=(1, 2))

    def undo(self, maps: np.ndarray) -> np.ndarray:
        """Maps (y, x, map) of the varied middle plane, back on the plane as it was."""
        maps = np.rot90(maps, -self.turns, axes=(0, 1))
        return maps if self.flipped is None else np.flip(maps, self.flipped)


def variations(name: str, frames: int = 1) -> tuple[Variation, ...]:
    """Those of the set `name` for a network of `frames` planes, in the order of their numbers."""
    return tuple(_numbered(number) for number in variation_set(name, frames))


def _numbered(number: int) -> Variation:
    flipped, turns = SQUARE[(number - 1) % len(SQUARE)]
    return Variation(number, flipped, turns, number > len(SQUARE))
