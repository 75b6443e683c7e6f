"""What the scheduler's HTTP APIs share: who may speak, how a message is read, how an error is answered."""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from zoo.blobs import BlobTooLarge
from zoo.errors import UserError, ZooscopeError

BODY_BYTES = 2**20

T = TypeVar("T")


class BadToken(UserError):
    code = "bad-token"
    status = 401


class BadMessage(UserError):
    code = "bad-message"


def guard(blueprint: Blueprint, token: str, name: str, admit: Callable[[str], None] | None = None) -> None:
    """Let in only who shows `token`, which is kept as secrets/`name`; answer errors in the one JSON shape.

    `admit` is asked about any other token that is shown, and raises unless that is good as well.
    """
    expected = f"Bearer {token}".encode()

    @blueprint.before_request
    def check_token() -> None:
        header = request.headers.get("Authorization", "")
        if not hmac.compare_digest(header.encode("utf-8", "replace"), expected):
            if admit is not None and header.startswith("Bearer "):
                admit(header.removeprefix("Bearer "))
                return
            whose = name.removesuffix("-token")
            raise BadToken(f"The {whose}'s token is not right.", f"Use the token in secrets/{name} of the data folder.")

    blueprint.register_error_handler(ZooscopeError, _answer_error)
    blueprint.register_error_handler(HTTPException, _answer_http_error)


def rule(template: str) -> str:
    """A path of the contract as a Flask rule."""
    return template.format(uuid="<uuid>", name="<name>")


def read_body() -> dict[str, Any]:
    """The request's JSON object; raises BadMessage for anything else, NaN and infinity included."""
    request.max_content_length = BODY_BYTES
    if (request.content_length or 0) > BODY_BYTES:
        raise BlobTooLarge(f"A message may have {BODY_BYTES:,} bytes.", "Send less at once.")
    try:
        body = json.loads(request.get_data(cache=False).decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadMessage("The message is not valid JSON.", "Send one JSON object, as UTF-8.") from None
    if not isinstance(body, dict):
        raise BadMessage("The message is not a JSON object.", "Send one JSON object.")
    return body


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def read_field(body: dict[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    value = body.get(name, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadMessage(f"The field {name!r} is missing or of the wrong kind.", "See scheduler/contract.py.")
    return value


def read_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadMessage("A number is missing or not finite.", "See scheduler/contract.py.")
    return float(value)


def read_strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadMessage("A list of strings is missing.", "See scheduler/contract.py.")
    return tuple(value)


def _answer_error(error: ZooscopeError) -> Response:
    response = jsonify(error.to_json())
    response.status_code = error.status
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _answer_http_error(error: HTTPException) -> Response:
    response = jsonify({"error": {"code": "http", "message": error.description or error.name, "hint": ""}})
    response.status_code = error.code or 500
    return response
