"""Files of a submission: looked at as a stranger's before they are kept, and what they tell entered into the form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from web.service import service
from zoo.errors import UserError
from zoo.identifiers import safe_file_name
from zoo.images import inspect
from zoo.package_fields import text
from zoo.package_inspect import PACKAGE, Found, inspect_file, slug
from zoo.settings import MIB
from zoo.submissions import OPEN_STATES, Body, check_role, must_be

COVER_BYTES = MIB // 2
COVER_FORMATS = ("png", "jpeg")
MARKS = ("prefilled", "guessed")
# A first version, and one plane, are what most networks have; none tells it.
GUESSED = {"version", "dimensionality", "minimum_size"}
NETWORK_ROLES = ("package", "weights")


class WrongRole(UserError):
    code = "wrong-role"
    status = 422


class CoverRefused(UserError):
    code = "cover-refused"
    status = 422


def limit_of(role: str) -> int:
    """Most bytes of a file of this role."""
    settings = service().settings
    if check_role(role) in NETWORK_ROLES:
        return int(settings.package_bytes)
    return COVER_BYTES if role == "cover" else int(settings.upload_bytes)


def check_open(body: Body) -> None:
    must_be(body, OPEN_STATES, "changed")


def keep(body: Body, role: str, path: Path, name: str) -> tuple[Body, dict[str, Any]]:
    """Look at the file, keep it as the submission's `role`, and enter what it tells; returns both.

    What the author typed is never replaced. Raises what the checks refuse; then nothing is changed.
    """
    name = safe_file_name(name)
    if path.stat().st_size == 0:
        raise WrongRole("The file is empty.", "Choose a file with something in it.")
    found = _look(role, path, name)
    parts = service()
    with parts.scheduler.blob_lock:
        blob = parts.blobs.put_file(path)
        body = parts.submissions.set_file(body["id"], role, name, blob.sha256, blob.size)
    for other in NETWORK_ROLES:
        if role in NETWORK_ROLES and other != role and other in body["files"]:
            body = parts.submissions.remove_file(body["id"], other)
    return parts.submissions.set_fields(body["id"], entered(body["fields"], found)), found.to_json()


def _look(role: str, path: Path, name: str) -> Found:
    settings = service().settings
    if role in NETWORK_ROLES:
        found = inspect_file(path, name, settings)
        if (found.kind == PACKAGE) != (role == "package"):
            kind = "a package" if found.kind == PACKAGE else "a network without a package"
            raise WrongRole(f"This file is {kind}.", "Send packages as 'package', networks as 'weights'.")
        return found
    info = inspect(path, name, settings)
    if role == "cover":
        if info.format not in COVER_FORMATS or info.width not in (info.height, 2 * info.height):
            raise CoverRefused(
                f"The cover is a {info.format} of {info.width} x {info.height} pixels.",
                "Give a PNG or JPEG that is square, or twice as wide as high; the check makes one if you give none.",
            )
        return Found("cover")
    size = info.to_json()
    facts = {name: size[name] for name in ("width", "height", "planes", "channels", "rgb", "dtype")}
    told: dict[str, Any] = {"test_image": facts}
    if info.pixel_size is not None:
        told["pixel_size_um"] = round(info.pixel_size.x_um, 6)
    return Found("image", told)


def entered(fields: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """What to change of the form: fields that are empty, or that an earlier file filled in, are filled in.

    `prefilled` names those, until the author changes them; `guessed` what no file told, which one that does replaces.
    """
    if found.kind == "cover":
        return {}
    if found.kind == "image":
        told = {name: value for name, value in found.fields.items() if name == "test_image" or not fields.get(name)}
        before = set(fields.get("prefilled") or ())
        return told | {"prefilled": sorted(before | (told.keys() - {"test_image"}))}
    before, guesses = ({name for name in fields.get(key) or () if isinstance(name, str)} for key in MARKS)
    guessed = set() if found.kind == PACKAGE else GUESSED
    theirs = before | (guesses - guessed)
    told = {name: value for name, value in found.fields.items() if name in theirs or not fields.get(name)}
    # What another file told, and this one does not.
    stale = {name: None for name in before - found.fields.keys() if name != "pixel_size_um"}
    name = text({**fields, **told}, "name")
    if name and "id" not in told and not fields.get("id") and slug(name):
        told["id"] = slug(name)
    facts = found.facts | ({"wrong": found.wrong} if found.wrong else {})
    marks = {"prefilled": sorted(told.keys() - guessed), "guessed": sorted(told.keys() & guessed) or None}
    return {**stale, **told, **marks, "facts": facts or None}
