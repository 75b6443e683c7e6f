"""What a request for previews asks for, checked: image, region, plane, channels, pixel size, models, settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from web import uploads
from web.json_body import BadField
from web.service import service
from zoo.channel_fit import ChannelPlan, fit_channels
from zoo.errors import UserError
from zoo.images import ImageInfo, PixelSize
from zoo.package_requires import needs_of
from zoo.pixel_scale import Scale, check_budget, scale_to_model
from zoo.planes import check_planes
from zoo.preview_settings import INPUT_BY_NAME, INPUT_SETTINGS, resolve
from zoo.roi import Region

FIELDS = ("image", "models", *(setting.name for setting in INPUT_SETTINGS), "settings", "rerun_of")
MODELS_AT_ONCE = 32


class PlaneMissing(UserError):
    code = "plane-missing"


@dataclass(frozen=True)
class Request:
    """One image and region, and the models to try on it. `settings` are as given, not yet resolved."""

    image: dict[str, Any]
    info: ImageInfo
    region: Region
    plane: int
    channels: tuple[int, ...] | None
    pixel_size: PixelSize | None
    models: tuple[tuple[str, str | None], ...]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """One model that can run on the request: its document, resolved settings, channels, resizing, planes at once."""

    model: dict[str, Any]
    settings: dict[str, Any]
    channels: ChannelPlan
    scale: Scale
    frames: int


def read_request(body: Mapping[str, Any]) -> Request:
    """Check everything that does not depend on the model; raises UserErrors."""
    stored = uploads.readable_image(_text(body, "image"))
    info = ImageInfo.from_json(stored["info"])
    given = body.get("roi")
    region = Region(0, 0, info.width, info.height) if given is None else Region.from_json(given)
    region.inside(info.width, info.height)
    settings = body.get("settings") or {}
    if not isinstance(settings, dict):
        raise BadField("The field 'settings' is not an object.", "Send {name: value, …}.")
    return Request(
        image=stored,
        info=info,
        region=region,
        plane=read_plane(body.get("plane"), info),
        channels=_channels(body.get("channels")),
        pixel_size=read_pixel_size(body.get("pixel_size_um")) or info.pixel_size,
        models=_models(body.get("models")),
        settings=settings,
    )


def check_model(request: Request, model: str, version: str | None) -> Checked:
    """Whether `model` can run on the request; raises a UserError that says what would make it fit."""
    return check_document(request, service().catalogue.get(model, version))


def check_document(request: Request, document: dict[str, Any]) -> Checked:
    """As `check_model`, of a model's document."""
    settings = resolve(request.settings, document)
    plan = fit_channels(
        request.info.rgb,
        request.info.channels,
        request.channels,
        document["channels"],
        bool(document.get("grey_to_rgb")),
    )
    scale = scale_to_model(
        request.pixel_size,
        document.get("pixel_size_um"),
        nominal=bool(document.get("pixel_size_nominal")),
        rescale=settings["rescale"],
    )
    check_budget(request.region.height, request.region.width, scale, pixel_budget(document))
    frames = check_planes(request.info, settings, document.get("frames") or (1,))
    service().scheduler.check_served("preview", needs_of(document))
    return Checked(document, settings, plan, scale, frames)


def pixel_budget(model: Mapping[str, Any]) -> int:
    """The most pixels a region may have for this model."""
    own = (model.get("preview") or {}).get("maximum_pixels")
    return min(service().settings.roi_pixels, own) if own else int(service().settings.roi_pixels)


def read_pixel_size(given: Any) -> PixelSize | None:
    """A pixel's side in micrometres, or both sides as {x_um, y_um}; None stays None. Raises BadField."""
    if given is None:
        return None
    x, y = (given.get("x_um"), given.get("y_um")) if isinstance(given, dict) else (given, given)
    return PixelSize(_side(x), _side(y))


def _side(given: Any) -> float:
    setting = INPUT_BY_NAME["pixel_size_um"]
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not number or not (setting.minimum or 0) <= given <= (setting.maximum or 0):
        raise BadField(f"The pixel size is {str(given)[:40]}.", f"Give micrometres, {setting.allowed}, or nothing.")
    return float(given)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadField(f"The field {name!r} is not a text.", "See /api/v1/docs for what the request needs.")
    return value


def read_plane(given: Any, info: ImageInfo) -> int:
    """The plane's number, 0 for None; raises PlaneMissing."""
    plane = 0 if given is None else given
    if isinstance(plane, bool) or not isinstance(plane, int) or not 0 <= plane < info.planes:
        raise PlaneMissing(
            f"The image has no plane {str(plane)[:40]}.",
            f"Planes are counted from 0: choose from 0 to {info.planes - 1}.",
        )
    return plane


def _channels(given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list):
        raise BadField("The field 'channels' is not a list.", "Send a list of channel numbers, counted from 0.")
    return tuple(given)


def _models(given: Any) -> tuple[tuple[str, str | None], ...]:
    """Each model as an id or as {id, version}."""
    if not isinstance(given, list) or not 1 <= len(given) <= MODELS_AT_ONCE:
        raise BadField("The field 'models' names no models.", f"Send a list of 1 to {MODELS_AT_ONCE} models.")
    found = []
    for entry in given:
        body = {"id": entry} if isinstance(entry, str) else entry
        if not isinstance(body, dict) or body.keys() - {"id", "version"}:
            raise BadField("A model in 'models' is not understood.", 'Send {"id": "…"}, with a "version" if you like.')
        version = body.get("version")
        if version is not None and not isinstance(version, str):
            raise BadField("A model's version is not a text.", 'Send it as in the model\'s document, such as "1.0.0".')
        found.append((_text(body, "id"), version))
    if len(set(found)) != len(found):
        raise BadField("The field 'models' names a model twice.", "Name each model once.")
    return tuple(found)
