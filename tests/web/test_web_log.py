"""The web server's log: what is said while a job is spoken of carries its uuid."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import WorkerHand, submit

from scheduler import contract
from zoo import log_lines


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, out = list(root.handlers), root.level, io.StringIO()
    log_lines.begin("web", "json", out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    log_lines.now_about("")


def test_a_job_is_followed_by_its_uuid(
    app: Flask, client: FlaskClient, worker: WorkerHand, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = submit(client)["uuid"]
    worker.progress(worker.start(), "inferring", 0.5)
    log = logging.getLogger("any")
    monkeypatch.setattr(app.extensions["zooscope"].scheduler, "log_text", lambda uuid: log.warning("odd") or "")
    client.get(f"/api/v1/jobs/{uuid}/log")
    client.get("/api/v1/models")
    log.warning("of no job")
    worker.post(contract.path(contract.PROGRESS, uuid=uuid), {"lease": "0" * 32, "progress": {"stage": "loading"}})
    client.post(f"/api/v1/jobs/{uuid}/cancel")
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    told = [(line["message"].split(",")[0], line.get("job")) for line in lines if line["logger"] != "werkzeug"]
    assert told == [
        ("submitted", uuid),
        ("started hand", uuid),
        ("odd", uuid),
        ("of no job", None),
        ("cancelled", uuid),
    ]


def test_what_goes_wrong_inside_is_logged_with_its_reason(
    app: Flask, client: FlaskClient, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = submit(client)["uuid"]
    monkeypatch.setattr(app.extensions["zooscope"].scheduler, "log_text", lambda uuid: 1 / 0)
    assert client.get(f"/api/v1/jobs/{uuid}/log").status_code == 500
    line = json.loads(said.getvalue().splitlines()[-1])
    assert line["job"] == uuid
    assert line["level"] == "error"
    assert "ZeroDivisionError" in line["error"]
