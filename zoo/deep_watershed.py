"""DeepCell's deep watershed: its parameters, and the presets of DeepCell's applications (deepcell-toolbox 0.12.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import UserError

ALGORITHMS = ("h_maxima", "peak_local_max")


class DeepWatershedWrong(UserError):
    code = "deep-watershed-wrong"
    status = 422


@dataclass(frozen=True)
class DeepWatershed:
    """How maps of maxima and interior become objects; lengths and areas in pixels of the maps.

    Attributes:
        radius: radius of the disk in which a maximum is sought, or the least distance of two peaks.
        maxima_threshold: height of a maximum above what surrounds it, or the least value of a peak.
        interior_threshold: pixels with more than this interior belong to objects.
        maxima_smooth: sigma of the Gaussian laid over the maxima.
        interior_smooth: sigma of the Gaussian laid over the interior.
        small_objects_threshold: objects of fewer pixels are dropped.
        fill_holes_threshold: holes of fewer pixels inside an object are filled.
        label_erosion: how many times the outermost pixels of every object are taken away.
        pixel_expansion: by how many pixels the interior is widened before flooding.
        maxima_algorithm: h_maxima or peak_local_max.
    """

    radius: int = 10
    maxima_threshold: float = 0.1
    interior_threshold: float = 0.01
    maxima_smooth: float = 0.0
    interior_smooth: float = 1.0
    small_objects_threshold: int = 0
    fill_holes_threshold: int = 0
    label_erosion: int = 0
    pixel_expansion: int = 0
    maxima_algorithm: str = "h_maxima"

    def __post_init__(self) -> None:
        """Raise `DeepWatershedWrong` for a value that nothing can be computed with."""
        for field in dataclasses.fields(self):
            value, default = getattr(self, field.name), field.default
            if isinstance(default, str):
                if value not in ALGORITHMS:
                    raise DeepWatershedWrong(
                        f"The deep watershed's {field.name} is {value!r}.", f"Choose one of {', '.join(ALGORITHMS)}."
                    )
                continue
            whole = isinstance(default, int)
            kinds = (int,) if whole else (int, float)
            least = 1 if field.name == "radius" else 0
            if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value < 1e6:
                number = "whole number" if whole else "number"
                raise DeepWatershedWrong(
                    f"The deep watershed's {field.name} is {value!r}.", f"Write a {number} of at least {least}."
                )
        if self.maxima_threshold == 0 and self.maxima_algorithm == "h_maxima":
            raise DeepWatershedWrong(
                "The deep watershed's maxima_threshold is 0, which h_maxima cannot use.",
                "Write a small number such as 0.01, or choose peak_local_max.",
            )


FIELDS = tuple(field.name for field in dataclasses.fields(DeepWatershed))
_MESMER = DeepWatershed(
    radius=2, maxima_threshold=0.1, interior_threshold=0.2, maxima_smooth=0, interior_smooth=2,
    small_objects_threshold=15, fill_holes_threshold=15,
)  # fmt: skip
PRESETS: Mapping[str, DeepWatershed] = {
    "mesmer-nuclear": _MESMER,
    "mesmer-whole-cell": dataclasses.replace(_MESMER, maxima_threshold=0.075),
    "nuclear-cytoplasm": DeepWatershed(),
}
USUAL_PRESET = "mesmer-nuclear"


def deep_watershed_of(head: Mapping[str, Any], preset: str | None = None) -> DeepWatershed:
    """The parameters that a head names: its preset (`mesmer-nuclear` unless told), changed by its own fields.

    With a `preset` that is not the head's, that preset as it is. Raises `DeepWatershedWrong`.
    """
    own = head.get("preset", USUAL_PRESET)
    name = own if preset is None else preset
    if name not in PRESETS:
        raise DeepWatershedWrong(
            f"The deep watershed's preset {name!r} is not known.", f"Choose one of {', '.join(PRESETS)}."
        )
    changes = {field: head[field] for field in FIELDS if field in head} if name == own else {}
    return dataclasses.replace(PRESETS[name], **changes)
