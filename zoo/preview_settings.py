"""The settings of a preview: one definition for the page, the command line, the API, the documentation and the worker.

A setting has a name, a kind, limits, a default (which a model's head may override) and one line of help.
`settings_for_model` is what one model can do; `resolve` turns what a user gave into the full, checked set that a job
carries. INPUT_SETTINGS are what is chosen of an image before any model is.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zoo.passes import FORMERLY, VARIATION_LABELS, VARIATIONS, frame_choices, frame_label
from zoo.setting_values import NO_FIELD, BadPreviewSetting, PreviewSetting, checked, head_name

__all__ = [
    "BY_NAME", "INPUT_BY_NAME", "INPUT_SETTINGS", "PREVIEW_SETTINGS", "BadPreviewSetting", "PreviewSetting", "resolve",
    "settings_for_model",
]  # fmt: skip

MASK, CELLS, STAR, SPOTS = "probability-mask", "boundary-cells", "star-convex", "spots"
INSTANCES, DEEP = "watershed-instances", "watershed-instances/deep-watershed"
BOXED = ("grid-detector", "boxes")
# Heads whose maps can be turned back; the rays of star-convex polygons and the corners of listed boxes are not.
TURNED = (MASK, INSTANCES, DEEP, CELLS, "grid-detector")
# The choice of `class` that stands beside the names of a model's classes.
ALL_CLASSES = "all"
# Frame counts that a package may have, for who asks without naming a model.
ANY_FRAMES = frame_choices((1, 3, 5))

INPUT_SETTINGS: tuple[PreviewSetting, ...] = (
    PreviewSetting(
        "roi", "Region", "region", None, "Upper left corner, width and height of the region; empty: the whole image.",
        unit="px", optional=True,
    ),
    PreviewSetting(
        "plane", "Plane", "integer", 0, "Plane of a stack, counted from 0 in the file's order of z and time.",
        minimum=0,
    ),
    PreviewSetting(
        "channels", "Channels", "channels", None,
        "Channels for the model in its order, counted from 0; empty: all of them.", optional=True,
    ),
    PreviewSetting(
        "pixel_size_um", "Pixel size", "number", None,
        "Side of a pixel in the image; empty: what the file says.",
        minimum=1e-6, maximum=1e4, unit="µm", optional=True,
    ),
)  # fmt: skip

PREVIEW_SETTINGS: tuple[PreviewSetting, ...] = (
    PreviewSetting(
        "threshold", "Threshold", "number", 0.5,
        "What has at least this probability, or score, counts: lower finds more.",
        minimum=0.01, maximum=0.99, heads=(MASK, INSTANCES, CELLS, STAR, SPOTS, *BOXED),
    ),
    PreviewSetting(
        "minimum_area_px", "Smallest object", "integer", 0, "Objects of fewer pixels are dropped.",
        minimum=0, maximum=10_000_000, unit="px", heads=(MASK, INSTANCES, DEEP, CELLS, STAR, SPOTS),
    ),
    PreviewSetting(
        "overlap", "Overlap", "number", 0.5,
        "Of two objects that share more than this part of their union, only the surer one stays.",
        minimum=0.0, maximum=1.0, heads=(*BOXED, STAR),
    ),
    PreviewSetting(
        "enhancement", "Enhancement", "choice", "off",
        "Before the model: clipping and denoising as CDeep3M2 does it, or local contrast (CLAHE).",
        choices=("off", "cdeep3m2", "clahe"),
        labels=("off", "CDeep3M2: clip and denoise", "CLAHE: local contrast"),
    ),
    PreviewSetting(
        "class", "Class", "choice", ALL_CLASSES,
        "Of a model of several classes, only objects of the one named here are sought; all: of every class.",
        choices=(ALL_CLASSES,), heads=(MASK, *BOXED), head_field=NO_FIELD, by_model=True,
    ),
    PreviewSetting(
        "spot_method", "Spots by", "choice", "log",
        "Laplacian of Gaussian finds round spots best; difference of Gaussians is faster.",
        choices=("log", "dog"), labels=("Laplacian of Gaussian", "difference of Gaussians"), heads=(SPOTS,),
        head_field="method",
    ),
    PreviewSetting(
        "spot_sigma_min_px", "Smallest spot", "number", 1.0,
        "Sigma of the smallest spots looked for; a spot's radius is about 1.4 times its sigma.",
        minimum=0.5, maximum=50.0, unit="px", heads=(SPOTS,), head_field="sigma_min_px",
    ),
    PreviewSetting(
        "spot_sigma_max_px", "Largest spot", "number", 3.0, "Sigma of the largest spots looked for.",
        minimum=0.5, maximum=50.0, unit="px", heads=(SPOTS,), head_field="sigma_max_px",
    ),
    PreviewSetting(
        "cells", "Count spots in", "choice", "by-intensity",
        "by-intensity finds cells as what is brighter than the background; none counts spots of the whole region.",
        choices=("by-intensity", "none"), labels=("cells found by intensity", "the whole region"), heads=(SPOTS,),
        head_field=NO_FIELD,
    ),
    PreviewSetting(
        "preset", "Watershed of", "choice", "mesmer-nuclear",
        "Smoothing, seeds and small objects as DeepCell's applications set them.",
        choices=("mesmer-nuclear", "mesmer-whole-cell", "nuclear-cytoplasm"),
        labels=("Mesmer, nuclei", "Mesmer, whole cells", "DeepCell nuclear and cytoplasm"), heads=(DEEP,),
    ),
    PreviewSetting(
        "seed_height", "Splitting", "number", 0.1,
        "How deep the notch between two touching objects must be to split them: lower splits more.",
        minimum=0.0, maximum=1.0, heads=(INSTANCES, CELLS, SPOTS), advanced=True,
    ),
    PreviewSetting(
        "cell_level", "Edge of the cells", "number", 0.5,
        "How bright the edge of a cell is, from 0, the background, to 1, the cells: lower makes cells larger.",
        minimum=0.05, maximum=0.95, heads=(SPOTS,), advanced=True,
    ),
    PreviewSetting(
        "frames", "Planes at once", "choice", "1",
        "Networks that see a plane with its neighbours, where the model has them; several are averaged.",
        choices=ANY_FRAMES, labels=tuple(map(frame_label, ANY_FRAMES)), head_field=NO_FIELD, by_model=True,
        advanced=True,
    ),
    PreviewSetting(
        "variations", "Flips and rotations", "choice", "none",
        "Average the model over flips and rotations of the image: slower, a little more accurate.",
        choices=VARIATIONS, labels=VARIATION_LABELS, heads=TURNED, advanced=True,
    ),
    PreviewSetting(
        "rescale", "Resize to the model's pixel size", "choice", "auto",
        "auto resizes when both pixel sizes are known; off gives the model the pixels as they are.",
        choices=("auto", "off"), advanced=True,
    ),
    PreviewSetting(
        "tile_px", "Tile size", "integer", None, "Side of the square tiles the image is cut into; empty: automatic.",
        minimum=64, maximum=4096, unit="px", advanced=True, optional=True,
    ),
    PreviewSetting(
        "batch", "Batch", "integer", None, "Tiles the model computes at once; empty: automatic.",
        minimum=1, maximum=64, advanced=True, optional=True,
    ),
)  # fmt: skip

BY_NAME = {setting.name: setting for setting in PREVIEW_SETTINGS}
INPUT_BY_NAME = {setting.name: setting for setting in INPUT_SETTINGS}


def settings_for_model(model: Any) -> tuple[PreviewSetting, ...]:
    """The settings that matter to a model, with its own defaults and only the choices it can do.

    `model` has `head` and `frames`, as a package's attributes or a document's keys; without frames it takes one plane.
    """
    head = _of(model, "head")
    kind = head_name(head)
    found = [setting.with_default(head) for setting in PREVIEW_SETTINGS if not setting.heads or kind in setting.heads]
    names = [str(each.get("object")) for each in head.get("classes") or ()]
    own = {
        "frames": _frames_of(BY_NAME["frames"], sorted(_of(model, "frames") or (1,))),
        "class": replace(BY_NAME["class"], choices=(ALL_CLASSES, *names)),
    }
    return tuple(own.get(each.name, each) for each in found if each.name != "class" or len(names) > 1)


def resolve(given: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Check `given` and fill in the defaults of `model`; raises `BadPreviewSetting` naming the first wrong one."""
    known = {setting.name: setting for setting in settings_for_model(model)}
    for name in given:
        if name in known:
            continue
        if name in BY_NAME:
            raise BadPreviewSetting(
                f"{BY_NAME[name].label} ({name}) does not apply to this model.",
                f"Leave it out. This model has {', '.join(known)}.",
            )
        like = difflib.get_close_matches(str(name), known, 1)
        hint = f"Did you mean {like[0]}? " if like else ""
        raise BadPreviewSetting(f"There is no setting {str(name)[:60]!r}.", f"{hint}This model has {', '.join(known)}.")
    return {name: checked(setting, _current(name, given.get(name, setting.default))) for name, setting in known.items()}


def _frames_of(setting: PreviewSetting, counts: list[int]) -> PreviewSetting:
    choices = frame_choices(counts)
    return replace(setting, choices=choices, labels=tuple(map(frame_label, choices)), default=str(counts[0]))


def _current(name: str, value: Any) -> Any:
    """Variations by their number, as jobs of earlier versions have them, by today's name."""
    old = name == "variations" and isinstance(value, int | str) and not isinstance(value, bool)
    return FORMERLY.get(value, value) if old else value


def _of(model: Any, name: str) -> Any:
    return model.get(name) if isinstance(model, Mapping) else getattr(model, name, None)
