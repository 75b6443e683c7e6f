"""What goes on though nobody looks, and goes on though something else fails."""

from __future__ import annotations

import threading

import pytest
from account_helpers import signed_in
from flask import Flask
from flask.testing import FlaskClient
from submission_helpers import checked_draft

from web.upkeep import Upkeep
from zoo.review import Person


def accepted(app: Flask, client: FlaskClient) -> str:
    """Accepted by a server that was stopped before it published."""
    ada = signed_in(client)
    uuid, review = checked_draft(app, ada.id), app.extensions["zooscope"].publishing.review
    review.submit(uuid, Person(ada.id, ada.name))
    review.accept(uuid, Person("rita", "Rita"))
    return uuid


def test_what_was_accepted_is_published_and_other_failures_do_not_matter(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    uuid, parts = accepted(app, client), app.extensions["zooscope"]

    def broken() -> int:
        raise RuntimeError("a fault of ours")

    upkeep = Upkeep(parts)
    upkeep._tasks = {"faults": broken} | upkeep._tasks
    upkeep.run_once()
    assert "faults could not be looked after" in caplog.text
    assert parts.submissions.get(uuid)["state"] == "published"
    assert client.get("/api/v1/models/leaves").get_json()["version"] == "1.0.0"


def test_it_runs_when_the_server_starts_and_ends_with_it(app: Flask, client: FlaskClient) -> None:
    uuid, parts = accepted(app, client), app.extensions["zooscope"]
    done, stopped = threading.Event(), threading.Event()
    parts.stopping = stopped.is_set
    upkeep = Upkeep(parts)
    upkeep._tasks["seen"] = done.set
    upkeep.start()
    assert done.wait(30)
    assert parts.submissions.get(uuid)["state"] == "published"
    stopped.set()
    thread = next((one for one in threading.enumerate() if one.name == "upkeep"), None)
    if thread is not None:
        thread.join(10)
        assert not thread.is_alive()
