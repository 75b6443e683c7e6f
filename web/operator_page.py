"""/operator: the queue, the workers and the dead letters, and what an operator may do about them.

Every action is a form that works without a script; afterwards the page says what came of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Blueprint, Response, current_app, make_response, redirect, render_template, request

from scheduler.fairness import KINDS
from web import operator_view
from web.operator_session import PATH, BadForm, Sessions
from web.service import SOFTWARE_VERSION, service
from zoo.errors import ZooscopeError

blueprint = Blueprint("operator", __name__, url_prefix=PATH)

SIGN_IN = f"{PATH}/sign-in"
# What the page offers; the last one is as long as beanstalkd and people are told of.
PAUSES = {600: "for 10 min", 3600: "for 1 h", 8 * 3600: "for 8 h", 7 * 86400: "for 7 days"}
MOST_AT_ONCE = 200

F = TypeVar("F", bound=Callable[..., Any])


def _sessions() -> Sessions:
    return cast(Sessions, current_app.extensions["zooscope_operator"])


def _page(template: str, status: int = 200, **context: Any) -> Response:
    response = make_response(render_template(template, software_version=SOFTWARE_VERSION, **context), status)
    response.headers["Cache-Control"] = "no-store"
    return response


def signed_in(view: F) -> F:
    """Only for who is signed in; everybody else is shown where that is done."""

    @functools.wraps(view)
    def guarded(*arguments: Any, **named: Any) -> Any:
        session = _sessions().current()
        if session is None:
            return redirect(SIGN_IN, 303)
        if request.method == "POST":
            _sessions().check_form(session)
        return view(*arguments, **named)

    return cast(F, guarded)


@blueprint.get("")
@signed_in
def overview() -> Response:
    sessions = _sessions()
    session = sessions.current() or ""
    note = sessions.take_note()
    shown = operator_view.view(service())
    response = _page(
        "operator.html", page_title="Operator", note=note, pauses=PAUSES, form_word=sessions.form_word(session), **shown
    )
    sessions.forget_note(response)
    return response


@blueprint.get("/sign-in")
def sign_in_page() -> Any:
    if _sessions().current() is not None:
        return redirect(PATH, 303)
    return _page("operator_sign_in.html", page_title="Operator", error=None)


@blueprint.post("/sign-in")
def sign_in() -> Any:
    response = cast(Response, redirect(PATH, 303))
    try:
        _sessions().begin(request.form.get("token", ""), response)
    except ZooscopeError as error:
        return _page("operator_sign_in.html", error.status, page_title="Operator", error=error)
    return response


@blueprint.post("/sign-out")
@signed_in
def sign_out() -> Any:
    response = cast(Response, redirect(SIGN_IN, 303))
    _sessions().end(response)
    return response


def _answer(act: Callable[[], str]) -> Response:
    """Do it, and go back to the page, which says what came of it."""
    response = cast(Response, redirect(PATH, 303))
    try:
        _sessions().leave_note(response, "done", act())
    except ZooscopeError as error:
        _sessions().leave_note(response, "error", f"{error.message} {error.hint}".rstrip())
    return response


@blueprint.post("/pause")
@signed_in
def pause() -> Response:
    kind, seconds = request.form.get("kind", ""), request.form.get("seconds", "", str)
    name = operator_view.KIND_NAMES.get(kind, kind[:40])

    def act() -> str:
        if seconds not in {"0", *map(str, PAUSES)}:
            raise BadForm("That is no length of a pause.", "Choose one from the list.")
        service().scheduler.pause(kind, int(seconds))
        return f"{name} are handed out again." if seconds == "0" else f"{name} are paused {PAUSES[int(seconds)]}."

    return _answer(act)


@blueprint.post("/worker")
@signed_in
def worker() -> Response:
    name, draining = request.form.get("name", ""), request.form.get("action", "") == "drain"

    def act() -> str:
        service().scheduler.workers.drain(name, draining)
        return f"{name} finishes its job and takes no other." if draining else f"{name} takes jobs again."

    return _answer(act)


@blueprint.post("/jobs")
@signed_in
def jobs() -> Response:
    """Kick, delete or cancel the jobs named, each by its id."""
    scheduler = service().scheduler
    actions: dict[str, tuple[Callable[[str], Any], str]] = {
        "kick": (scheduler.kick, "tried again"),
        "delete": (scheduler.delete, "deleted"),
        "cancel": (scheduler.cancel, "cancelled"),
    }
    uuids = request.form.getlist("uuid")[:MOST_AT_ONCE]

    def act() -> str:
        if request.form.get("action") not in actions:
            raise BadForm("There is no such action.", "Reload the page.")
        if not uuids:
            raise BadForm("No job is selected.", "Tick one or more first.")
        do, done = actions[request.form["action"]]
        return _each(uuids, do, done)

    return _answer(act)


def _each(uuids: list[str], do: Callable[[str], Any], done: str) -> str:
    """Do it to every job; what one of them refuses does not keep the others from it."""
    refused: list[ZooscopeError] = []
    for uuid in uuids:
        try:
            do(uuid)
        except ZooscopeError as error:
            refused.append(error)
    count = len(uuids) - len(refused)
    if not count:
        raise refused[0]
    told = f"{count} {'job is' if count == 1 else 'jobs are'} {done}."
    return told if not refused else f"{told} {len(refused)} could not be: {refused[0].message}"


assert set(operator_view.KIND_NAMES) == set(KINDS)
