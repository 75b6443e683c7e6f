"""A model that no worker online can run: told with the estimate, refused at submit, accepted while nobody is online."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_package import make_package
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import error_of, upload

from scheduler.contract import ReserveRequest, WorkerFacts


@pytest.fixture
def large(app: Flask, tmp_path: Path) -> str:
    """A model that needs a GPU with 24 GB."""
    parts = app.extensions["zooscope"]
    package = make_package(tmp_path / "large.zip", channels=3, name="Large", requires={"gpu_memory_gb": 20})
    return str(parts.catalogue.publish(package)["id"])


def test_the_models_page_says_what_it_needs(client: FlaskClient, large: str) -> None:
    assert "<dt>Needs</dt><dd>a GPU with 20 GB</dd>" in client.get(f"/models/{large}").text
    assert "<dt>Needs</dt>" not in client.get("/models/cells").text


def online(app: Flask, name: str, facts: WorkerFacts) -> None:
    """A worker of these facts asks for a job and finds none."""
    app.extensions["zooscope"].scheduler.reserve(ReserveRequest(name, timeout_seconds=0.0, facts=facts))


def test_what_nobody_online_can_run_is_told_before_it_is_submitted(app: Flask, client: FlaskClient, large: str) -> None:
    online(app, "cpu-1", WorkerFacts())
    body = {"image": upload(client)["id"], "models": [large, "cells"]}
    first, second = client.post("/api/v1/estimates", json=body).get_json()["items"]
    assert (first["ok"], second["ok"]) == (False, True)
    assert first["error"]["code"] == "nobody-can-serve"
    assert "no GPU" in first["text"]
    refused = client.post("/api/v1/jobs", json=body)
    assert error_of(refused) == (409, "nobody-can-serve")
    assert "a GPU with 24 GB" in refused.get_json()["error"]["hint"]
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_it_is_accepted_when_somebody_can_and_while_nobody_is_there(
    app: Flask, client: FlaskClient, large: str
) -> None:
    body = {"image": upload(client)["id"], "models": [large]}
    (waiting,) = client.post("/api/v1/jobs", json=body).get_json()["jobs"]
    assert waiting["state"] == "queued"
    scheduler = app.extensions["zooscope"].scheduler
    scheduler.delete(waiting["uuid"])
    online(app, "gpu-1", WorkerFacts(gpu_formats=("keras",), gpu_memory_gb=22.5))
    (job,) = client.post("/api/v1/jobs", json=body).get_json()["jobs"]
    assert scheduler.job(job["uuid"])["queue"]["tube"] == "zooscope.preview.keras-gpu24"
    scheduler.delete(job["uuid"])
