"""The workers' HTTP API: `scheduler.contract` over Flask. All but the JSON and the token is left to Scheduler."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from flask import Blueprint, Response, g, jsonify, request, send_file

from scheduler import contract
from scheduler.messages import BadMessage, guard, read_body, read_field, read_number, rule
from scheduler.reserving import Draining
from scheduler.service import Scheduler
from scheduler.worker_messages import read_along, read_request
from scheduler.worker_tokens import Grant
from zoo.blobs import BlobMissing, BlobTooLarge
from zoo.errors import ZooscopeError
from zoo.identifiers import is_sha256, is_uuid
from zoo.secrets import WORKER_TOKEN, worker_token


def create_blueprint(scheduler: Scheduler) -> Blueprint:
    """The API under contract.PREFIX."""
    blueprint = Blueprint("scheduler", __name__, url_prefix=contract.PREFIX)

    def admit(token: str) -> None:
        g.grant = scheduler.worker_tokens.check(token)

    guard(blueprint, worker_token(scheduler.settings), WORKER_TOKEN, admit)
    _add_reserve(blueprint, scheduler)
    _add_attempt(blueprint, scheduler)
    _add_ends(blueprint, scheduler)
    _add_files(blueprint, scheduler)
    return blueprint


def _add_reserve(blueprint: Blueprint, scheduler: Scheduler) -> None:
    @blueprint.post(contract.RESERVE)
    def reserve() -> Any:
        asked, grant = read_request(read_body()), _grant()
        asked = replace(asked, capabilities=grant.kinds_for(asked))
        hung_up = _hung_up(request.environ)
        try:
            claim = scheduler.reserve(asked, hung_up, grant.name)
        except Draining as draining:
            return "", 204, {contract.DRAINING_HEADER: draining.message}
        if claim is not None and hung_up():
            # It went while the claim was made: the job is handed back at once rather than when its time is up.
            with contextlib.suppress(ZooscopeError):
                scheduler.attempts.release(claim.uuid, claim.lease)
            claim = None
        return ("", 204) if claim is None else jsonify(claim.to_json())

    @blueprint.post(contract.ALIVE)
    def alive() -> Any:
        body = read_body()
        asked, phase = read_request(read_field(body, "about", dict)), read_field(body, "phase", str)
        job = None if body.get("job") is None else read_field(body, "job", str)
        if phase not in ("starting", "working") or (job is not None and not is_uuid(job)):
            raise BadMessage(f"{phase[:20]!r} is no phase, or the job is none.", "See scheduler/contract.py.")
        told = asked.told() | {"kinds": list(_grant().kinds_for(asked)), "token": _grant().name}
        scheduler.workers.says(asked.worker, phase=phase, job=job, **told)
        return jsonify({"draining": scheduler.workers.draining(asked.worker)})


def _add_attempt(blueprint: Blueprint, scheduler: Scheduler) -> None:
    attempts = scheduler.attempts

    @blueprint.post(rule(contract.START))
    def start(uuid: str) -> Any:
        return jsonify(attempts.start(uuid, read_field(read_body(), "lease", str)))

    @blueprint.post(rule(contract.EXTEND))
    def extend(uuid: str) -> Any:
        return jsonify(attempts.extend(uuid, read_field(read_body(), "lease", str)))

    @blueprint.post(rule(contract.PROGRESS))
    def progress(uuid: str) -> Any:
        body = read_body()
        said = read_field(body, "progress", dict)
        fraction = read_number(said.get("fraction", 0.0))
        message = read_field(said, "message", str, "")
        attempts.progress(uuid, read_field(body, "lease", str), read_field(said, "stage", str), fraction, message)
        return jsonify({})

    @blueprint.post(rule(contract.LOG))
    def log(uuid: str) -> Any:
        body = read_body()
        attempts.log(
            uuid, read_field(body, "lease", str), read_field(body, "sequence", int), read_field(body, "text", str)
        )
        return jsonify({})


def _add_ends(blueprint: Blueprint, scheduler: Scheduler) -> None:
    attempts = scheduler.attempts

    @blueprint.post(rule(contract.RESULT))
    def result(uuid: str) -> Any:
        body = read_body()
        files = read_field(body, "files", list)
        if not all(isinstance(file, dict) for file in files):
            raise BadMessage("The field 'files' is not a list of objects.", "See scheduler/contract.py.")
        summary, timings = read_field(body, "summary", dict, {}), read_field(body, "timings", dict, {})
        attempts.result(uuid, read_field(body, "lease", str), files, summary, timings, read_along(files))
        return jsonify({})

    @blueprint.post(rule(contract.FAIL))
    def fail(uuid: str) -> Any:
        body = read_body()
        state = attempts.fail(
            uuid,
            read_field(body, "lease", str),
            code=read_field(body, "code", str),
            message=read_field(body, "message", str),
            hint=read_field(body, "hint", str, ""),
            retry=read_field(body, "retry", bool, True),
        )
        return jsonify({"state": state})

    @blueprint.post(rule(contract.RELEASE))
    def release(uuid: str) -> Any:
        attempts.release(uuid, read_field(read_body(), "lease", str))
        return jsonify({})


def _add_files(blueprint: Blueprint, scheduler: Scheduler) -> None:
    @blueprint.put(rule(contract.FILE))
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
        """Inputs and packages of jobs that are not over; no other blob, so that no worker can read what it likes.
        Who shows a token of its own reads what the jobs it holds need, and no others.
        """
        if not is_sha256(sha256) or not scheduler.needs_blob(sha256, _grant().name):
            raise BlobMissing("No job that is not over needs this file.", "Ask for the job again.")
        return send_file(
            scheduler.blobs.path(sha256).resolve(), mimetype="application/octet-stream", etag=False, max_age=0
        )


def _grant() -> Grant:
    """What the token of this request is good for."""
    grant: Grant = g.get("grant", Grant())
    return grant


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
