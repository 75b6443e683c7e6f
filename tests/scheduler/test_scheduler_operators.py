"""What an operator does: dead letters by id, and the pause switch; in Python, over HTTP, and in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import greenstalk
import pytest
from flask import Flask
from scheduler_parts import Parts, Worker
from served_application import served

import zooscope
from scheduler import contract
from scheduler.service_api import create_service_blueprint
from zoo.secrets import SERVICE_TOKEN, read_or_make_key


@pytest.fixture
def buried(parts: Parts, worker: Worker) -> str:
    """A job that failed at both its attempts."""
    uuid = parts.submit()
    for _ in range(parts.settings.attempts):
        claim = worker.begin()
        worker.say(contract.FAIL, claim, code="boom", message="It broke.", hint="", retry=True)
    assert parts.job(uuid)["state"] == "failed"
    return uuid


@pytest.fixture
def terminal(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The beginning of a command line that finds the service."""
    app = Flask("service")
    app.register_blueprint(create_service_blueprint(parts.scheduler))
    monkeypatch.setenv("ZOOSCOPE_SERVICE_TOKEN", read_or_make_key(parts.settings, SERVICE_TOKEN))
    with served(app) as url:
        yield ["jobs", "--server", url]


def test_buried_jobs_are_listed_kicked_and_done(
    parts: Parts, worker: Worker, buried: str, terminal: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert zooscope.main([*terminal, "buried"]) == 0
    listed = capsys.readouterr().out
    assert buried in listed
    assert "It broke." in listed
    assert zooscope.main([*terminal, "kick", buried]) == 0
    assert capsys.readouterr().out == f"{buried} queued\n"
    assert worker.finish(worker.begin()).status_code == 200
    assert zooscope.main([*terminal, "buried"]) == 0
    assert capsys.readouterr().out == "0 buried\n"


def test_only_buried_jobs_are_kicked(
    parts: Parts, worker: Worker, terminal: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    assert zooscope.main([*terminal, "kick", uuid]) == 2
    assert "not buried" in capsys.readouterr().err
    assert worker.finish(claim).status_code == 200


def test_a_buried_job_is_deleted_with_its_entry(
    parts: Parts, buried: str, terminal: list[str], bare: greenstalk.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bare.stats()["current-jobs-buried"] == 1
    assert zooscope.main([*terminal, "show", buried]) == 0
    assert "buried" in capsys.readouterr().out
    assert zooscope.main([*terminal, "delete", buried]) == 0
    assert bare.stats()["current-jobs-buried"] == 0
    assert zooscope.main([*terminal, "show", buried]) == 2


def test_a_pause_keeps_jobs_waiting_and_running_ones_running(
    parts: Parts, worker: Worker, terminal: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    running, waiting = parts.submit("ada", estimate_seconds=60.0), parts.submit("ben")
    claim = worker.begin()
    assert zooscope.main([*terminal, "pause", "preview", "600"]) == 0
    assert "paused for" in capsys.readouterr().out
    assert worker.reserve(1.0) is None
    assert worker.finish(claim).status_code == 200
    assert (parts.job(running)["state"], parts.job(waiting)["state"]) == ("done", "queued")
    assert zooscope.main([*terminal, "resume", "preview"]) == 0
    assert worker.claim().uuid == waiting


def test_a_pause_makes_sense_or_is_refused(parts: Parts, worker: Worker) -> None:
    service = Worker(worker.client, read_or_make_key(parts.settings, SERVICE_TOKEN))
    for body in ({"kind": "preview", "seconds": -1}, {"kind": "lunch", "seconds": 5}, {"kind": "preview"}):
        assert service.post(contract.PAUSE, body).status_code == 400
    assert parts.scheduler.paused() == {}


def test_a_job_that_waits_is_shown_with_its_time(
    parts: Parts, worker: Worker, terminal: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = parts.submit("ada", estimate_seconds=60.0), parts.submit("ben", estimate_seconds=30.0)
    assert zooscope.main([*terminal, "show", second]) == 0
    assert "1 before it; no worker that can run it is connected" in capsys.readouterr().out
    worker.begin()
    assert zooscope.main([*terminal, "show", first, second]) == 0
    running, waiting = capsys.readouterr().out.split(second)
    assert "  done in about 60 s\n" in running
    assert "  starts in about 60 s, done in about 90 s\n" in waiting


def test_no_token_is_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOOSCOPE_DATA", str(tmp_path))
    monkeypatch.delenv("ZOOSCOPE_SERVICE_TOKEN", raising=False)
    assert zooscope.main(["jobs", "buried"]) == 2
    assert "ZOOSCOPE_SERVICE_TOKEN" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOOSCOPE_SERVICE_TOKEN", "any")
    assert zooscope.main(["jobs", "--server", "http://127.0.0.1:9", "buried"]) == 1
    assert "does not answer" in capsys.readouterr().err
