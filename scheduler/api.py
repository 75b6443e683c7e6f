"""The workers' HTTP API: `scheduler.contract` over Flask. All but the JSON and the token is left to Scheduler."""

from __future__ import annotations

import hmac
import json
import math
import select
import socket
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Blueprint, Response, jsonify, request, send_file
from werkzeug.exceptions import HTTPException

from scheduler import contract
from scheduler.contract import ReserveRequest
from scheduler.service import Scheduler
from zoo.blobs import BlobMissing, BlobTooLarge
from zoo.errors import Unavailable, UserError, ZooscopeError
from zoo.identifiers import is_sha256
from zoo.secrets import worker_token

BODY_BYTES = 2**20
MAXIMUM_NAME = 100

T = TypeVar("T")


class NotAWorker(UserError):
    code = "bad-token"
    status = 401


class BadMessage(UserError):
    code = "bad-message"


def create_blueprint(scheduler: Scheduler) -> Blueprint:
    """The API under contract.PREFIX."""
    blueprint = Blueprint("scheduler", __name__, url_prefix=contract.PREFIX)
    expected = f"Bearer {worker_token(scheduler.settings)}".encode()

    @blueprint.before_request
    def check_token() -> None:
        shown = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(shown, expected):
            raise NotAWorker(
                "The worker's token is not right.", "Use the token in secrets/worker-token of the data folder."
            )

    blueprint.register_error_handler(ZooscopeError, _answer_error)
    blueprint.register_error_handler(HTTPException, _answer_http_error)
    _add_reserve(blueprint, scheduler)
    _add_attempt(blueprint, scheduler)
    _add_ends(blueprint, scheduler)
    _add_files(blueprint, scheduler)
    return blueprint


def _add_reserve(blueprint: Blueprint, scheduler: Scheduler) -> None:
    @blueprint.post(contract.RESERVE)
    def reserve() -> Any:
        body = _body()
        asked = ReserveRequest(
            worker=_field(body, "worker", str)[:MAXIMUM_NAME] or "worker",
            capabilities=_strings(body.get("capabilities", ["preview"])),
            timeout_seconds=_number(body.get("timeout_seconds", 20.0)),
            warm_models=_strings(body.get("warm_models", [])),
            device=_field(body, "device", str, "")[:MAXIMUM_NAME],
        )
        claim = scheduler.reserve(asked, _hung_up(request.environ))
        return ("", 204) if claim is None else jsonify(claim.to_json())


def _add_attempt(blueprint: Blueprint, scheduler: Scheduler) -> None:
    attempts = scheduler.attempts

    @blueprint.post(_rule(contract.START))
    def start(uuid: str) -> Any:
        return jsonify(attempts.start(uuid, _field(_body(), "lease", str)))

    @blueprint.post(_rule(contract.EXTEND))
    def extend(uuid: str) -> Any:
        return jsonify(attempts.extend(uuid, _field(_body(), "lease", str)))

    @blueprint.post(_rule(contract.PROGRESS))
    def progress(uuid: str) -> Any:
        body = _body()
        said = _field(body, "progress", dict)
        fraction = _number(said.get("fraction", 0.0))
        message = _field(said, "message", str, "")
        attempts.progress(uuid, _field(body, "lease", str), _field(said, "stage", str), fraction, message)
        return jsonify({})

    @blueprint.post(_rule(contract.LOG))
    def log(uuid: str) -> Any:
        body = _body()
        attempts.log(uuid, _field(body, "lease", str), _field(body, "sequence", int), _field(body, "text", str))
        return jsonify({})


def _add_ends(blueprint: Blueprint, scheduler: Scheduler) -> None:
    attempts = scheduler.attempts

    @blueprint.post(_rule(contract.RESULT))
    def result(uuid: str) -> Any:
        body = _body()
        files = _field(body, "files", list)
        if not all(isinstance(file, dict) for file in files):
            raise BadMessage("The field 'files' is not a list of objects.", "See scheduler/contract.py.")
        summary, timings = _field(body, "summary", dict, {}), _field(body, "timings", dict, {})
        attempts.result(uuid, _field(body, "lease", str), files, summary, timings)
        return jsonify({})

    @blueprint.post(_rule(contract.FAIL))
    def fail(uuid: str) -> Any:
        body = _body()
        state = attempts.fail(
            uuid,
            _field(body, "lease", str),
            code=_field(body, "code", str),
            message=_field(body, "message", str),
            hint=_field(body, "hint", str, ""),
            retry=_field(body, "retry", bool, True),
        )
        return jsonify({"state": state})

    @blueprint.post(_rule(contract.RELEASE))
    def release(uuid: str) -> Any:
        attempts.release(uuid, _field(_body(), "lease", str))
        return jsonify({})


def _add_files(blueprint: Blueprint, scheduler: Scheduler) -> None:
    @blueprint.put(_rule(contract.FILE))
    def put_file(uuid: str, name: str) -> Any:
        limit = scheduler.settings.result_file_bytes
        request.max_content_length = limit
        if (request.content_length or 0) > limit:
            raise BlobTooLarge(f"A file of a result may have {limit:,} bytes.", "Post a smaller result.")
        lease, sha256 = request.args.get("lease", ""), request.args.get("sha256", "")
        blob = scheduler.attempts.file(uuid, lease, name, cast(Any, request.stream), sha256)
        return jsonify({"sha256": blob.sha256, "size": blob.size})

    @blueprint.get(contract.BLOB.format(sha256="<sha256>"))
    def get_blob(sha256: str) -> Response:
        """Inputs and packages of jobs that are not over; no other blob, so that no worker can read what it likes."""
        if not is_sha256(sha256) or not scheduler.needs_blob(sha256):
            raise BlobMissing("No job that is not over needs this file.", "Ask for the job again.")
        return send_file(
            scheduler.blobs.path(sha256).resolve(), mimetype="application/octet-stream", etag=False, max_age=0
        )


def _rule(template: str) -> str:
    """A path of the contract as a Flask rule."""
    return template.format(uuid="<uuid>", name="<name>")


def _body() -> dict[str, Any]:
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


def _field(body: dict[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    value = body.get(name, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadMessage(f"The field {name!r} is missing or of the wrong kind.", "See scheduler/contract.py.")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadMessage("A number is missing or not finite.", "See scheduler/contract.py.")
    return float(value)


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadMessage("A list of strings is missing.", "See scheduler/contract.py.")
    return tuple(value)


def _hung_up(environ: dict[str, Any]) -> Callable[[], bool]:
    """Whether the worker behind a request closed its connection; known where the server shows us its socket."""
    connection = environ.get("gunicorn.socket")

    def hung_up() -> bool:
        if connection is None:
            return False
        waiting = select.poll()
        try:
            waiting.register(connection, select.POLLIN)
            return bool(waiting.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
        except (OSError, ValueError):
            return True

    return hung_up


def _answer_error(error: ZooscopeError) -> Response:
    response = jsonify(error.to_json())
    response.status_code = error.status
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _answer_http_error(error: HTTPException) -> Response:
    response = jsonify({"error": {"code": "http", "message": error.description or error.name, "hint": ""}})
    response.status_code = error.code or 500
    return response
