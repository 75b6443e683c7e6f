"""The live stream, on a real socket."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from web_helpers import WorkerHand, submit


@contextlib.contextmanager
def stream(server: str, uuid: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(server.removeprefix("http://"), timeout=10)
    connection.request("GET", f"/api/v1/jobs/{uuid}/events", headers=headers)
    answer = connection.getresponse()
    try:
        yield answer
    finally:
        answer.close()
        connection.close()


def events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Each event's fields, its data parsed."""
    fields: dict[str, Any] = {}
    for line in answer:
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            fields[name] = json.loads(value) if name == "data" else value
        elif "event" in fields:
            yield fields
            fields = {}


def test_a_stream_follows_a_job_to_its_end(server: str, client: FlaskClient, worker: WorkerHand) -> None:
    job = submit(client)
    with stream(server, job["uuid"]) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        coming = events(answer)
        assert next(coming)["data"]["state"] == "queued"
        claim = worker.start()
        worker.progress(claim, "inferring", 0.5)
        worker.finish(claim)
        rest = list(coming)
    seen = [event["data"] for event in rest]
    assert seen[-1]["state"] == "done"
    assert seen[-1]["result"]["files"]
    assert seen[-1]["mine"] is False
    ids = [event["id"] for event in rest]
    assert len(set(ids)) == len(ids)


def test_a_browser_that_reconnects_is_not_told_twice(server: str, client: FlaskClient) -> None:
    job = submit(client)
    with stream(server, job["uuid"]) as answer:
        first = next(events(answer))
    client.post(f"/api/v1/jobs/{job['uuid']}/cancel")
    with stream(server, job["uuid"], **{"Last-Event-ID": first["id"]}) as answer:
        again = list(events(answer))
    assert [event["data"]["state"] for event in again] == ["cancelled"]
    with stream(server, job["uuid"], **{"Last-Event-ID": again[0]["id"]}) as answer:
        assert list(events(answer)) == []


def test_a_deleted_job_ends_its_stream(server: str, client: FlaskClient) -> None:
    job = submit(client)
    with stream(server, job["uuid"]) as answer:
        coming = events(answer)
        next(coming)
        client.delete(f"/api/v1/jobs/{job['uuid']}")
        assert [event["event"] for event in coming][-1] in ("gone", "job")


def test_too_many_streams_are_sent_to_polling(server: str, app: Flask, client: FlaskClient) -> None:
    job = submit(client)
    streams = app.extensions["zooscope"].streams
    held = 0
    while streams.acquire():
        held += 1
    with stream(server, job["uuid"]) as answer:
        assert answer.status == 503
        assert json.loads(answer.read())["error"]["code"] == "too-many-streams"
    for _ in range(held):
        streams.release()
    client.post(f"/api/v1/jobs/{job['uuid']}/cancel")
    for _ in range(held + 1):
        with stream(server, job["uuid"]) as answer:
            assert answer.status == 200
            answer.read()


def test_a_stream_ends_when_the_server_stops(server: str, app: Flask, client: FlaskClient) -> None:
    job = submit(client)
    with stream(server, job["uuid"]) as answer:
        coming = events(answer)
        next(coming)
        app.extensions["zooscope"].stopping = lambda: True
        assert list(coming) == []
