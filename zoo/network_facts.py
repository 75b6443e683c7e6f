"""What a bare network file tells of itself without being run: axes, channels, how coarse its maps are, how far it sees.

A walk through the layers follows one tensor after another: how many channels it has, how many pixels of the input one
of its cells is long, and how far from a cell the pixels lie that it depends on (the radius of the receptive field, as
the usual recurrence has it: every kernel adds (size - 1) / 2 x dilation x the cell it works on).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Trace:
    """A tensor on its way: `channels` None when unknown; `cell` and `reach` in pixels of the input."""

    channels: int | None = None
    cell: Fraction = Fraction(1)
    reach: Fraction = Fraction(0)
    activation: str = "linear"

    def convolved(self, kernel: int, dilation: int, stride: int, channels: int | None) -> Trace:
        reach = self.reach + Fraction(kernel - 1, 2) * dilation * self.cell
        return Trace(channels, self.cell * stride, reach)

    def finer(self, factor: Fraction, channels: int | None, kernel: int = 1) -> Trace:
        cell = self.cell / factor
        return Trace(channels, cell, self.reach + Fraction(kernel - 1, 2) * cell)

    def activated(self, name: str) -> Trace:
        return replace(self, activation=name)


@dataclass(frozen=True)
class NetworkFacts:
    """`axes` and `output_axes` as letters (b, c, y, x, i), empty when the file does not tell; `input_size` is (y, x)
    when the network takes only that, `batch` how many images at once when it takes only so many. `cell` is how many
    pixels of the input a cell of the maps is long, `stride` what sides must be multiples of, `reach` how far a cell
    sees, px; `padded` is False when maps are smaller than the input. `activation` of the maps is linear, sigmoid,
    softmax, mixed or another word. None is unknown.
    """

    framework: str
    version: str = ""
    backend_version: str = ""
    axes: str = ""
    output_axes: str = ""
    channels: int | None = None
    input_size: list[int] = field(default_factory=list)
    batch: int | None = None
    dtype: str = "float32"
    maps: int | None = None
    cell: int | None = None
    stride: int | None = None
    reach: int | None = None
    activation: str = ""
    padded: bool = True
    layers: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def joined(traces: Iterable[Trace], channels: int | None) -> Trace:
    """What comes of several tensors together: it sees what any of them sees."""
    several = list(traces)
    return Trace(
        channels,
        max((trace.cell for trace in several), default=Fraction(1)),
        max((trace.reach for trace in several), default=Fraction(0)),
    )


def beside(traces: Iterable[Trace]) -> Trace:
    """Of tensors whose channels are put beside one another; their values are mixed when they are of several kinds."""
    several = list(traces)
    channels = [trace.channels for trace in several]
    kinds = {trace.activation for trace in several}
    made = joined(several, None if None in channels else sum(channels))  # type: ignore[arg-type]
    return made.activated(kinds.pop() if len(kinds) == 1 else "mixed")


def stride_of(cells: Iterable[Fraction]) -> int:
    """What the sides of the input must be multiples of, so that every tensor has whole cells."""
    return math.lcm(*(cell.numerator for cell in cells), 1)


def as_numbers(trace: Trace, cells: Iterable[Fraction]) -> dict[str, Any]:
    """`maps`, `cell`, `stride`, `reach` and `activation` of the last tensor."""
    whole = trace.cell.denominator == 1
    return {
        "maps": trace.channels,
        "cell": int(trace.cell) if whole else None,
        "stride": stride_of(cells),
        "reach": math.ceil(trace.reach),
        "activation": trace.activation,
    }
