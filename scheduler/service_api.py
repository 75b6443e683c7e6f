"""The HTTP API of services and operators beside workers, who show the service token: submit a job, look at it,
cancel it; list, kick and delete what was buried; pause.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, jsonify, request

from scheduler import contract
from scheduler.jobs import JobRequest
from scheduler.messages import BadMessage, guard, read_body, read_field, read_number, rule
from scheduler.service import Scheduler
from scheduler.workers_api import add_workers
from zoo.errors import ZooscopeError
from zoo.identifiers import is_sha256
from zoo.secrets import SERVICE_TOKEN, read_or_make_key

KINDS = ("preview", "check")
# What a worker and the result page need to know of the model.
MODEL_FIELDS = ("id", "version", "name", "package_sha256", "head_kind")
LONGEST_SECONDS = 86400.0
LONGEST_PAUSE = 7 * 86400


def create_service_blueprint(scheduler: Scheduler) -> Blueprint:
    """Submit, look and cancel, under contract.PREFIX."""
    blueprint = Blueprint("scheduler_services", __name__, url_prefix=contract.PREFIX)
    guard(blueprint, read_or_make_key(scheduler.settings, SERVICE_TOKEN), SERVICE_TOKEN)

    @blueprint.post(contract.SUBMIT)
    def submit() -> Any:
        asked = _job_request(read_body())
        if key := request.headers.get(contract.IDEMPOTENCY_KEY):
            asked = replace(asked, uuid=scheduler.uuid_for(asked.owner, key))
        return jsonify(scheduler.submit(asked)), 201

    @blueprint.post(contract.SUBMIT_ALL)
    def submit_all() -> Any:
        asked = [_job_request(one) for one in _several(read_body())]
        if key := request.headers.get(contract.IDEMPOTENCY_KEY):
            uuid_for = scheduler.uuid_for
            asked = [replace(one, uuid=uuid_for(one.owner, key, number)) for number, one in enumerate(asked)]
        return jsonify({"jobs": [_outcome(one) for one in scheduler.submit_all(asked)]})

    @blueprint.get(rule(contract.JOB))
    def job(uuid: str) -> Any:
        found, place = scheduler.job(uuid), scheduler.place(uuid)
        eta = scheduler.etas.of(found, place)
        return jsonify(found | {"place": place, "eta": eta.to_json() if eta else None})

    @blueprint.post(rule(contract.CANCEL))
    def cancel(uuid: str) -> Any:
        return jsonify(scheduler.cancel(uuid))

    _add_operations(blueprint, scheduler)
    add_workers(blueprint, scheduler)
    return blueprint


def _add_operations(blueprint: Blueprint, scheduler: Scheduler) -> None:
    """What an operator does: look at the dead letters, try or delete them by id, pause and go on."""

    @blueprint.get(contract.BURIED)
    def buried() -> Any:
        page = scheduler.buried(page=max(1, request.args.get("page", 1, type=int)))
        return jsonify({"items": [stored.body for stored in page.items], "total": page.total})

    @blueprint.post(rule(contract.KICK))
    def kick(uuid: str) -> Any:
        return jsonify(scheduler.kick(uuid))

    @blueprint.delete(rule(contract.DELETE))
    def delete(uuid: str) -> Any:
        scheduler.delete(uuid)
        return jsonify({})

    @blueprint.get(contract.PAUSE)
    def paused() -> Any:
        return jsonify(scheduler.paused())

    @blueprint.post(contract.PAUSE)
    def pause() -> Any:
        body = read_body()
        seconds = read_number(body.get("seconds"))
        if not 0 <= seconds <= LONGEST_PAUSE:
            raise BadMessage(f"The pause is {seconds:g} seconds.", f"Give 0 to {LONGEST_PAUSE}.")
        scheduler.pause(read_field(body, "kind", str), round(seconds))
        return jsonify(scheduler.paused())


def _several(body: dict[str, Any]) -> list[dict[str, Any]]:
    jobs = read_field(body, "jobs", list)
    if not 0 < len(jobs) <= contract.MOST_AT_ONCE:
        raise BadMessage(f"There are {len(jobs)} jobs.", f"Give 1 to {contract.MOST_AT_ONCE} in one request.")
    if not all(isinstance(job, dict) for job in jobs):
        raise BadMessage("A job of the list is not a JSON object.", "Give objects as for a single job.")
    return jobs


def _outcome(outcome: dict[str, Any] | ZooscopeError) -> dict[str, Any]:
    return outcome.to_json() if isinstance(outcome, ZooscopeError) else {"job": outcome}


def _job_request(body: dict[str, Any]) -> JobRequest:
    kind, model = read_field(body, "kind", str), read_field(body, "model", dict)
    if kind not in KINDS:
        raise BadMessage(f"There are no jobs of the kind {kind[:40]!r}.", f"Kinds: {', '.join(KINDS)}.")
    missing = [name for name in MODEL_FIELDS if not isinstance(model.get(name), str)]
    if missing:
        raise BadMessage(f"The model lacks {', '.join(missing)}.", f"Give {', '.join(MODEL_FIELDS)}.")
    input_sha256 = read_field(body, "input_sha256", str)
    if not is_sha256(input_sha256) or not is_sha256(model["package_sha256"]):
        raise BadMessage("A sha256 is not one.", "Give 64 hexadecimal digits of a stored blob.")
    return JobRequest(
        kind=kind,
        owner=read_field(body, "owner", str),
        model=model,
        settings=read_field(body, "settings", dict),
        input_sha256=input_sha256,
        source=read_field(body, "source", dict),
        estimate_seconds=_seconds(body, "estimate_seconds"),
        load_seconds=_seconds(body, "load_seconds"),
        requires=read_field(body, "requires", dict, {}),
    )


def _seconds(body: dict[str, Any], name: str) -> float:
    seconds = read_number(body.get(name))
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise BadMessage(f"{name} is {seconds:g}.", f"Give seconds from 0 to {LONGEST_SECONDS:g}.")
    return seconds
