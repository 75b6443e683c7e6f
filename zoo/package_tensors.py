"""What a model description says of its one input and one output tensor, as far as the engine needs it.

Axes are told as letters: b(atch), c(hannel), y, x, i(ndex). A network may have them in any order, and lack b or c.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.package_archive import PackageInvalid

MAPS, LIST = "bcyx", "bci"
# Side of the tiles, about, of a network whose sides are no multiples of anything.
ODD_SIDE = 256
# Tiles of a network of one size begin at multiples of this, as pooling inside it may need.
ORIGINS = 32
UNITS_UM = {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "angstrom": 1e-4}
NOT_HERE = {
    "cellpose_flow_dynamics": "Publish the flows and the probability as they are, with a head that Zooscope has.",
    "custom": "Publish the network's maps as they are, with a head that Zooscope has: code of packages is never run.",
    "stardist_postprocessing": "Only that of planes with a square grid is: give the package the head star-convex.",
}


@dataclass(frozen=True)
class Tensors:
    """`input_size` is (y, x) of the only input the network takes, empty if there are many; then its sides are at least
    `minimum_size` and multiples of `step`, which is also where tiles begin. `scales` tells how many pixels of the input
    one of the output is long, in y and x; `halo` is in pixels of the output. `head` is the one that the postprocessing
    asks for, if any.
    """

    axes: str
    output_axes: str
    channel_names: list[str]
    output_channels: list[str]
    preprocessing: list[dict[str, Any]]
    postprocessing: list[dict[str, Any]]
    input_size: list[int]
    minimum_size: int
    step: int
    scales: list[float]
    halo: int
    pixel_size_um: float | None
    head: dict[str, Any] | None


def read_tensors(described: Any) -> Tensors:
    """Of a `bioimageio.spec` model description; raises `PackageInvalid` for tensors that cannot be computed with."""
    if len(described.inputs) != 1 or len(described.outputs) != 1:
        raise PackageInvalid("Zooscope runs models with one input and one output tensor.")
    given, made = described.inputs[0], described.outputs[0]
    axes, output_axes = ("".join(_letter(axis) for axis in tensor.axes) for tensor in (given, made))
    known = _fits(axes, MAPS, "yx") and (_fits(output_axes, MAPS, "yx") or _fits(output_axes, LIST, "ic"))
    if not known or ("b" in output_axes and "b" not in axes):
        raise PackageInvalid(
            f"The input's axes are {axes!r}, the output's {output_axes!r}; Zooscope runs models of y and x, with or "
            "without batch and channel, whose output has the same axes or is a list of boxes (index and channel)."
        )
    postprocessing, head = _without_head(_operators(made.postprocessing))
    outputs = _channels(made, "object")
    if head is not None:
        outputs = ["probability", *(f"ray {index}" for index in range(len(head["rays"])))]
    size, minimum, step = _sizes(given)
    return Tensors(
        axes=axes,
        output_axes=output_axes,
        channel_names=_channels(given, "image"),
        output_channels=outputs,
        preprocessing=_operators(given.preprocessing),
        postprocessing=postprocessing,
        input_size=size,
        minimum_size=minimum,
        step=step,
        # A head that the postprocessing names stands between the network's grid and the labels that are described.
        scales=_coarser(given, made) if head is None else [],
        halo=max((int(getattr(axis, "halo", 0)) for axis in made.axes), default=0),
        pixel_size_um=_micrometres(next(axis for axis in given.axes if str(axis.id) == "x")),
        head=head,
    )


def _letter(axis: Any) -> str:
    return {"batch": "b", "channel": "c", "index": "i", "time": "t"}.get(axis.type, str(axis.id))


def _fits(axes: str, allowed: str, needed: str) -> bool:
    return set(needed) <= set(axes) <= set(allowed) and len(set(axes)) == len(axes)


def _channels(tensor: Any, default: str) -> list[str]:
    names = [axis.channel_names for axis in tensor.axes if axis.type == "channel"]
    return [str(name) for name in names[0]] if names else [default]


def _operators(entries: Any) -> list[dict[str, Any]]:
    return [entry.model_dump(mode="json", exclude_none=True) for entry in entries]


def _without_head(operators: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The operators and no head, or the operators before one that is a head by itself, and that head."""
    kept, head = operators, None
    for index, operator in enumerate(operators):
        # What the standard writes after the labels, conversions, the maps do not need.
        if (head := _star_convex(operator)) is not None and index >= len(operators) - 2:
            kept = operators[:index]
            break
    for operator in kept:
        if operator["id"] in NOT_HERE:
            raise PackageInvalid(
                f"The model's postprocessing {operator['id']!r} is not available here.", NOT_HERE[operator["id"]]
            )
    return kept, head


def _star_convex(operator: Mapping[str, Any]) -> dict[str, Any] | None:
    """StarDist's postprocessing of planes: map 0 is the probability, the others are the rays."""
    kwargs = operator.get("kwargs") or {}
    grid = kwargs.get("grid", [])
    if operator["id"] != "stardist_postprocessing" or len(grid) != 2 or grid[0] != grid[1]:
        return None
    return {
        "kind": "star-convex",
        "probability": 0,
        "rays": list(range(1, int(kwargs["n_rays"]) + 1)),
        "stride": int(grid[0]),
        "threshold": float(kwargs["prob_threshold"]),
        "overlap": float(kwargs["nms_threshold"]),
    }


def _sizes(given: Any) -> tuple[list[int], int, int]:
    """(y, x) if the network takes only that, the least side, and what sides are multiples of."""
    sizes = {str(axis.id): axis.size for axis in given.axes if str(axis.id) in ("y", "x")}
    # A side may be told as that of the other axis.
    sizes = {name: sizes.get(str(getattr(size, "axis_id", name)), size) for name, size in sizes.items()}
    sides = [sizes["y"], sizes["x"]]
    odd = any(not isinstance(size, int) and size.min % size.step for size in sides)
    if odd or any(isinstance(size, int) for size in sides):
        return [_one_side(size) for size in sides], 1, ORIGINS
    return [], max(size.min for size in sides), math.lcm(*(size.step for size in sides))


def _one_side(size: Any) -> int:
    if isinstance(size, int):
        return size
    return int(size.min + max(0, -(-(ODD_SIDE - size.min) // size.step)) * size.step)


def _coarser(given: Any, made: Any) -> list[float]:
    """How many pixels of the input a pixel of the output is long, in y and x."""
    for axis in made.axes:
        if axis.type == "space" and getattr(axis.size, "offset", 0):
            raise PackageInvalid(
                f"The output is {axis.size.offset} pixels longer than the input in {axis.id}.",
                "Let the network pad its borders ('same'), and declare a halo instead.",
            )
    scales = [{str(axis.id): axis.scale for axis in tensor.axes if axis.type == "space"} for tensor in (given, made)]
    return [scales[1][name] / scales[0][name] for name in "yx" if name in scales[0] and name in scales[1]]


def _micrometres(axis: Any) -> float | None:
    unit = UNITS_UM.get(str(axis.unit))
    return float(axis.scale) * unit if unit else None
