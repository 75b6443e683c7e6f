"""JSON bodies, read strictly: what one parser would read differently from another is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any

from flask import Request
from werkzeug.exceptions import UnsupportedMediaType

from zoo.errors import UserError


class BadJson(UserError):
    code = "bad-json"


class BadField(UserError):
    code = "bad-field"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("The JSON names the same key twice.", "Name each key once.")
    return found


def _constant(name: str) -> float:
    raise BadJson(f"The JSON holds {name}, which is not a JSON number.", "Leave the value out or send null.")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadJson("The JSON holds a number too large to keep.", "Send a smaller number.")
    return number


def parse(data: bytes) -> dict[str, Any]:
    """An object from UTF-8 JSON; raises BadJson for anything else, for duplicate keys, NaN and lone surrogates."""
    try:
        found = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
        )
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise BadJson("The request is not valid JSON.", "Send one JSON object, as UTF-8.") from None
    if not isinstance(found, dict):
        raise BadJson("The request is not a JSON object.", "Send one JSON object: {…}.")
    return found


def read(request: Request, fields: Collection[str], required: Collection[str] = ()) -> dict[str, Any]:
    """The body of `request`, which may hold only `fields` and must hold `required`; an empty body is {}."""
    data = request.get_data(cache=False)
    if data and request.mimetype != "application/json":
        raise UnsupportedMediaType
    body = parse(data) if data else {}
    for name in body:
        if name not in fields:
            raise BadField(f"There is no field {name[:80]!r} here.", f"Known fields: {', '.join(sorted(fields))}.")
    for name in required:
        if body.get(name) is None:
            raise BadField(f"The field {name!r} is missing.", "See /api/v1/docs for what the request needs.")
    return body
