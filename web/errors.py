"""Every error in its one shape: JSON below /api and /scheduler, a page elsewhere."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from scheduler import contract
from web.service import SOFTWARE_VERSION
from zoo import log_lines
from zoo.errors import Unavailable, UserError, ZooscopeError

log = logging.getLogger(__name__)

JSON_PREFIXES = ("/api/", contract.PREFIX + "/")

# What HTTP's own refusals mean to a person: code, sentence, what to do.
HTTP_ERRORS = {
    400: ("bad-request", "The request could not be understood.", "Check what was sent."),
    403: ("forbidden", "This is not allowed.", ""),
    404: ("not-found", "There is nothing at this address.", "Check the link, or start from the gallery."),
    405: ("method-not-allowed", "This address does not take that method.", "See /api/v1/docs."),
    408: ("timeout", "The request took too long to arrive.", "Try again."),
    411: ("length-required", "The request does not say how long it is.", "Send a Content-Length."),
    413: ("too-large", "The request is larger than this address takes.", "Send less at once."),
    414: ("address-too-long", "The address is too long.", "Send less in the query."),
    415: ("wrong-content-type", "The request has the wrong content type.", "Send application/json."),
    416: ("bad-range", "The requested range is outside the file.", ""),
}


class Forbidden(UserError):
    code = "forbidden"
    status = 403


class NotFound(UserError):
    code = "not-found"
    status = 404


def answer_error(status: int, code: str, message: str, hint: str) -> Response:
    """The error as JSON or as a page, whichever the address is for."""
    error = {"code": code, "message": message, "hint": hint}
    if request.path.startswith(JSON_PREFIXES):
        response = jsonify({"error": error})
    else:
        context: dict[str, Any] = {"page_title": message, "software_version": SOFTWARE_VERSION}
        response = make_response(render_template("error.html", error=error, status=status, **context))
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


def _zooscope_error(error: ZooscopeError) -> Response:
    response = answer_error(error.status, error.code, error.message, error.hint)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status >= 500 and not isinstance(error, Unavailable):
        log.error("%s %s: %s", request.method, request.path, error, exc_info=error)
    return response


def _http_error(error: HTTPException) -> Any:
    status = error.code or 500
    if status < 400:
        return error
    internal = ("internal", "Something went wrong on our side.", "Try again; the operator finds it in the log.")
    response = answer_error(status, *HTTP_ERRORS.get(status, internal))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def register(app: Flask) -> None:
    @app.before_request
    def name_job() -> None:
        """What is logged while a job is spoken of names it; also what workers ask for."""
        log_lines.now_about((request.view_args or {}).get("uuid", ""))

    app.register_error_handler(ZooscopeError, _zooscope_error)
    app.register_error_handler(HTTPException, _http_error)
