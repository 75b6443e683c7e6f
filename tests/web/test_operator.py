"""The operator's page without a browser: who gets in, what forms are believed, what actions do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from web_helpers import WorkerHand, error_of, submit
from werkzeug.test import TestResponse

from scheduler import contract
from web import operator_session
from web.app import create_app
from zoo.settings import Settings

SIGN_IN = "/operator/sign-in"


@pytest.fixture
def token(app: Flask, settings: Settings) -> str:
    return (settings.secrets_folder / "operator-token").read_text().strip()


@pytest.fixture
def operator(app: Flask, token: str) -> FlaskClient:
    client = app.test_client()
    assert client.post(SIGN_IN, data={"token": f" {token}\n"}).location == "/operator"
    return client


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.replace(attempts=1)


@pytest.fixture
def bury(worker: WorkerHand, client: FlaskClient) -> Callable[[], str]:
    def bury() -> str:
        uuid = str(submit(client)["uuid"])
        claim = worker.start()
        body = {"lease": claim["lease"], "code": "boom", "message": "It <broke>.", "hint": "", "retry": True}
        assert worker.post(contract.path(contract.FAIL, uuid=uuid), body).get_json() == {"state": "failed"}
        return uuid

    return bury


def word(client: FlaskClient) -> str:
    found = re.search(r'name="form" value="([^"]+)"', client.get("/operator").text)
    assert found
    return found[1]


def act(client: FlaskClient, path: str, **fields: object) -> str:
    """Post a form as the page has it; what the page says afterwards."""
    answer = client.post(f"/operator/{path}", data={"form": word(client)} | fields)
    assert (answer.status_code, answer.location) == (303, "/operator"), answer.text
    return said(client.get("/operator"))


def said(page: TestResponse) -> str:
    found = re.search(r'<p class="(?:done|error)-note">([^<]*)</p>', page.text)
    return found[1].replace("&#39;", "'") if found else ""


def test_only_the_token_opens_the_page(client: FlaskClient, token: str) -> None:
    assert client.get("/operator").location == SIGN_IN
    for wrong in ("", "no", token[:-1], token + "0", "\u0660" * 64):
        answer = client.post(SIGN_IN, data={"token": wrong})
        assert answer.status_code == 403
        assert "That is not the operator" in answer.text
        assert client.get("/operator").location == SIGN_IN
    assert client.post(SIGN_IN, data={"token": token}).location == "/operator"
    assert client.get("/operator").status_code == 200
    assert client.get(SIGN_IN).location == "/operator"


def test_the_session_is_a_cookie_for_these_pages_alone(operator: FlaskClient, token: str) -> None:
    cookie = operator.get_cookie(operator_session.COOKIE, path="/operator")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Strict"
    assert token not in cookie.value
    assert operator.get("/operator").headers["Cache-Control"] == "no-store"


def test_forged_and_old_sessions_are_none(
    app: Flask, operator: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger = app.test_client()
    other_key = URLSafeTimedSerializer("another", salt="zooscope-operator").dumps("0" * 32)
    no_session = URLSafeTimedSerializer(token, salt="zooscope-operator").dumps(["0" * 32])
    for value in ("", "x", other_key, no_session):
        forger.set_cookie(operator_session.COOKIE, str(value), path="/operator")
        assert forger.get("/operator").location == SIGN_IN
    monkeypatch.setattr(operator_session, "SESSION_SECONDS", -1)
    assert operator.get("/operator").location == SIGN_IN


def test_signing_out_ends_the_session_here(operator: FlaskClient) -> None:
    assert operator.post("/operator/sign-out", data={"form": word(operator)}).location == SIGN_IN
    assert operator.get("/operator").location == SIGN_IN


def test_a_new_token_ends_every_session(operator: FlaskClient, settings: Settings) -> None:
    cookie = operator.get_cookie(operator_session.COOKIE, path="/operator")
    assert cookie is not None
    (settings.secrets_folder / "operator-token").unlink()
    again = create_app(settings)
    client = again.test_client()
    client.set_cookie(operator_session.COOKIE, cookie.value, path="/operator")
    assert client.get("/operator").location == SIGN_IN
    again.extensions["zooscope"].close()


def test_actions_need_a_session_and_a_form_of_it(
    app: Flask, client: FlaskClient, operator: FlaskClient, token: str, settings: Settings
) -> None:
    pause = {"kind": "preview", "seconds": "600"}
    assert client.post("/operator/pause", data=pause).location == SIGN_IN
    colleague = app.test_client()
    colleague.post(SIGN_IN, data={"token": token})
    for form in ({}, {"form": ""}, {"form": "x"}, {"form": word(colleague)}):
        assert operator.post("/operator/pause", data=pause | form).status_code == 403
    own = {"form": word(operator)}
    from_elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    assert operator.post("/operator/pause", data=pause | own, headers=from_elsewhere).status_code == 403
    assert app.extensions["zooscope"].scheduler.paused() == {}


def test_the_word_of_one_form_does_not_open_the_door(app: Flask, operator: FlaskClient) -> None:
    thief = app.test_client()
    thief.set_cookie(operator_session.COOKIE, word(operator), path="/operator")
    assert thief.get("/operator").location == SIGN_IN


def test_pausing_and_going_on(app: Flask, operator: FlaskClient) -> None:
    assert act(operator, "pause", kind="train", seconds=600) == "Trainings are paused for 10 min."
    assert list(app.extensions["zooscope"].scheduler.paused()) == ["train"]
    assert "trainings are paused" in operator.get("/operator").text
    assert said(operator.get("/operator")) == "", "what was said is said once"
    assert act(operator, "pause", kind="train", seconds=0) == "Trainings are handed out again."
    assert "no jobs of the kind" in act(operator, "pause", kind="lunch", seconds=600)
    for seconds in ("-1", "1e9", "x", "", "601"):
        assert "no length of a pause" in act(operator, "pause", kind="train", seconds=seconds)


def test_buried_jobs_are_tried_again_and_deleted_by_id(
    app: Flask, operator: FlaskClient, client: FlaskClient, worker: WorkerHand, bury: Callable[[], str]
) -> None:
    first, second, third = bury(), bury(), bury()
    page = operator.get("/operator").text
    assert "It &lt;broke&gt;." in page
    assert all(f'value="{uuid}"' in page for uuid in (first, second, third))
    assert act(operator, "jobs", action="kick", uuid=first) == "1 job is tried again."
    assert client.get(f"/api/v1/jobs/{first}").get_json()["state"] == "queued"
    told = act(operator, "jobs", action="kick", uuid=[first, second])
    assert told == "1 job is tried again. 1 could not be: This job is not buried."
    assert act(operator, "jobs", action="delete", uuid=[third]) == "1 job is deleted."
    assert error_of(client.get(f"/api/v1/jobs/{third}")) == (404, "not-found")
    assert worker.start()["uuid"] in (first, second)


def test_what_makes_no_sense_is_said(operator: FlaskClient) -> None:
    assert act(operator, "jobs", action="kick") == "No job is selected. Tick one or more first."
    assert act(operator, "jobs", action="explode", uuid="0" * 32) == "There is no such action. Reload the page."
    assert act(operator, "jobs", action="kick", uuid="0" * 32).startswith("There is no such job.")
    assert act(operator, "worker", action="drain", name="nobody").startswith("No worker called 'nobody' was ever here.")


def test_running_jobs_are_shown_and_cancelled(operator: FlaskClient, client: FlaskClient, worker: WorkerHand) -> None:
    uuid = submit(client)["uuid"]
    worker.progress(worker.start(), "inferring", 0.5)
    page = operator.get("/operator").text
    assert "Running the model" in page
    assert f'href="/r/{uuid}"' in page
    assert act(operator, "jobs", action="cancel", uuid=uuid) == "1 job is cancelled."
    assert client.get(f"/api/v1/jobs/{uuid}").get_json()["state"] == "cancelled"


def test_workers_are_drained_and_resumed(operator: FlaskClient, worker: WorkerHand, client: FlaskClient) -> None:
    submit(client)
    worker.start()
    assert act(operator, "worker", action="drain", name="hand") == "hand finishes its job and takes no other."
    assert "Drained" in operator.get("/operator").text
    assert act(operator, "worker", action="resume", name="hand") == "hand takes jobs again."


def test_the_page_works_while_the_queue_is_away(settings: Settings, token: str) -> None:
    app = create_app(settings.replace(beanstalkd="127.0.0.1:1"))
    client = app.test_client()
    client.post(SIGN_IN, data={"token": token})
    page = client.get("/operator")
    assert page.status_code == 200
    assert "The queue does not answer." in page.text
    assert act(client, "pause", kind="run", seconds=600) == "Data sets are paused for 10 min."
    app.extensions["zooscope"].close()


def test_strangers_learn_no_job_of_a_worker(client: FlaskClient, worker: WorkerHand) -> None:
    uuid = submit(client)["uuid"]
    worker.start()
    status = client.get("/api/v1/status")
    assert [one["name"] for one in status.get_json()["workers"]] == ["hand"]
    assert uuid not in status.text
    assert uuid not in client.get("/status").text


def test_no_script_and_no_style_stands_in_the_page(operator: FlaskClient, bury: Callable[[], str]) -> None:
    bury()
    text = operator.get("/operator").text
    assert "<script>" not in text
    assert " style=" not in text
    assert " onclick=" not in text
