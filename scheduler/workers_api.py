"""What an operator does about workers over HTTP, with the service token: list, tokens, drain and resume."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from scheduler import contract
from scheduler.messages import read_body, read_field, read_strings, rule
from scheduler.service import Scheduler


def add_workers(blueprint: Blueprint, scheduler: Scheduler) -> None:
    """Add the routes to the blueprint of services."""

    @blueprint.get(contract.WORKERS)
    def workers() -> Any:
        return jsonify({"workers": scheduler.workers.known(), "tokens": scheduler.worker_tokens.listed()})

    @blueprint.post(rule(contract.NEW_TOKEN))
    def make_token(name: str) -> Any:
        kinds = read_strings(read_body().get("kinds", []))
        answer = jsonify({"token": scheduler.worker_tokens.make(name, kinds)})
        answer.headers["Cache-Control"] = "no-store"
        return answer, 201

    @blueprint.post(rule(contract.REVOKE))
    def revoke(name: str) -> Any:
        return jsonify({"jobs": scheduler.worker_tokens.revoke(name)})

    @blueprint.post(rule(contract.DRAIN))
    def drain(name: str) -> Any:
        return jsonify(scheduler.workers.drain(name, on=read_field(read_body(), "draining", bool)))
