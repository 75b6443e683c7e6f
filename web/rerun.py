"""What an earlier job asked for, as a request that can be checked anew with other settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from web import uploads
from web.errors import Forbidden, NotFound
from web.previews import Request
from web.service import service
from zoo.crops import describe_crop
from zoo.images import ImageInfo
from zoo.planes import PlanesMissing


def of_job(job: dict[str, Any], settings: dict[str, Any]) -> Request:
    """The request that the job's crop is the image of: its region, its channels, and as deep as it was cut.

    `settings` take the place of the job's. Raises `BadImage` for a crop that is damaged.
    """
    crop = describe_crop(service().blobs.path(job["input"]["sha256"]))
    region, source = crop.origin, job["source"]
    info = ImageInfo(
        "tiff", region.x + region.width, region.y + region.height, crop.planes, crop.channels, (), "", crop.rgb,
        crop.pixel_size,
    )  # fmt: skip
    image = {"id": source.get("image_id"), "name": source["image_name"], "sha256": source.get("image_sha256")}
    return Request(
        image=image,
        info=info,
        region=region,
        plane=0,
        channels=None,
        pixel_size=crop.pixel_size,
        models=((job["model"]["id"], job["model"]["version"]),),
        settings=job["settings"] | settings,
    )


def with_image(request: Request, job: dict[str, Any], frames: int) -> Request:
    """The request on the image that the job's crop was cut from, for settings that take `frames` planes.

    Raises `PlanesMissing` when the image is not there any more.
    """
    source = job["source"]
    try:
        image = uploads.readable_image(str(source.get("image_id")))
    except (NotFound, Forbidden) as error:
        raise PlanesMissing(
            f"{frames} planes at once are asked for, and of the image only the preview's own plane is left.",
            "Upload the image again and run a new preview on it.",
        ) from error
    channels = None if source["channels"] is None else tuple(source["channels"])
    info = ImageInfo.from_json(image["info"])
    return replace(request, image=image, info=info, plane=source["plane"], channels=channels)
