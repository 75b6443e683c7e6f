"""/healthz, /readyz and /metrics: each says what it means."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from web_helpers import submit

from scheduler.broker import start_beanstalkd
from web import readiness
from web.app import create_app
from web.up import free_port
from zoo.documents_sqlite import SqliteDocuments
from zoo.settings import Settings

ALL_WELL = {"documents": "ok", "beanstalkd": "ok", "disk": "ok", "service": "ok"}


@pytest.fixture
def make(settings: Settings) -> Iterator[Callable[..., Flask]]:
    """Makes applications of changed settings."""
    made: list[Flask] = []

    def make(**changes: object) -> Flask:
        made.append(create_app(settings.replace(**changes)))
        return made[-1]

    yield make
    for app in made:
        app.extensions["zooscope"].close()


def ready(client: FlaskClient) -> tuple[int, dict[str, str]]:
    answer = client.get("/readyz")
    body = answer.get_json()
    assert body.pop("ok") is (answer.status_code == 200)
    return answer.status_code, body


def test_all_is_well(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"ok": True}
    assert ready(client) == (200, ALL_WELL)


def test_no_queue_is_not_ready_but_alive(make: Callable[..., Flask]) -> None:
    client = make(beanstalkd="127.0.0.1:1").test_client()
    assert ready(client) == (503, ALL_WELL | {"beanstalkd": "down"})
    assert client.get("/healthz").status_code == 200


def test_a_queue_that_takes_no_jobs_is_not_ready(make: Callable[..., Flask], settings: Settings) -> None:
    broker = start_beanstalkd(settings, free_port(), binlog=False)
    client = make(beanstalkd=broker.address).test_client()
    assert ready(client) == (200, ALL_WELL)
    broker.process.send_signal(10)  # SIGUSR1: drain
    client = make(beanstalkd=broker.address).test_client()
    while (found := ready(client))[1]["beanstalkd"] == "ok":
        pass
    assert found == (503, ALL_WELL | {"beanstalkd": "draining"})
    broker.stop()


def test_a_full_disk_is_not_ready(make: Callable[..., Flask], settings: Settings) -> None:
    free = shutil.disk_usage(settings.data.parent).free
    assert ready(make(free_disk_bytes=2 * free).test_client()) == (503, ALL_WELL | {"disk": "full"})


def test_documents_that_cannot_be_written_are_not_ready(app: Flask, client: FlaskClient) -> None:
    documents: SqliteDocuments = app.extensions["zooscope"].documents
    documents.close()
    assert ready(client) == (503, ALL_WELL | {"documents": "down"})


def test_a_service_that_stops_is_not_ready(app: Flask, client: FlaskClient) -> None:
    assert ready(client)[0] == 200
    app.extensions["zooscope"].stopping = lambda: True
    assert ready(client) == (503, ALL_WELL | {"service": "stopping"})


def test_asking_at_once_writes_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "KEPT_SECONDS", 600.0)
    parts = app.extensions["zooscope"]
    checks = [parts.readiness.checks() for _ in range(3)]
    assert checks == [ALL_WELL] * 3
    parts.documents.close()
    assert parts.readiness.checks() == ALL_WELL


def test_metrics_tell_streams_disk_and_readiness(app: Flask, client: FlaskClient) -> None:
    submit(client)
    streams = app.extensions["zooscope"].streams
    assert streams.acquire()
    text = client.get("/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    told = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
    assert told["zooscope_event_streams",] == 1
    assert told["zooscope_event_streams_limit",] == app.extensions["zooscope"].settings.event_streams
    assert told["zooscope_disk_free_bytes",] > 0
    assert told["zooscope_ready", "disk"] == 1
    assert told["zooscope_queued_jobs", "preview"] == 1
    streams.release()
