"""Submissions over the API: who may do what, in which order, and what everybody is told."""

from __future__ import annotations

from typing import Any

import pytest
from account_helpers import signed_in, token_for
from flask import Flask
from flask.testing import FlaskClient
from submission_helpers import checked_draft
from web_helpers import error_of

API = "/api/v1/submissions"


@pytest.fixture
def reviewer(app: Flask) -> FlaskClient:
    client = app.test_client()
    signed_in(client, "Rita", ("author", "reviewer"))
    return client


def new_draft(client: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = client.post(API, json={"fields": fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_from_a_draft_to_the_zoo(app: Flask, client: FlaskClient, reviewer: FlaskClient) -> None:
    ada = signed_in(client)
    uuid = checked_draft(app, ada.id)
    submitted = client.post(f"{API}/{uuid}/submit", json={}).get_json()
    assert (submitted["state"], submitted["owner_name"]) == ("submitted", "Ada")
    waiting = reviewer.get(f"{API}?state=submitted").get_json()
    assert [(item["id"], item["check_state"]) for item in waiting["items"]] == [(uuid, "passed")]

    returned = reviewer.post(f"{API}/{uuid}/return", json={"text": "Name the data."}).get_json()
    assert returned["state"] == "returned"
    seen = client.get(f"{API}/{uuid}").get_json()
    assert (seen["comments"][0]["author_name"], seen["comments"][0]["text"]) == ("Rita", "Name the data.")
    assert client.post(f"{API}/{uuid}/comment", json={"text": "It is in the card."}).status_code == 200
    assert client.post(f"{API}/{uuid}/submit").get_json()["state"] == "submitted"

    with reviewer.get(f"{API}/{uuid}/package.zip") as answer:
        package = answer.data
    accepted = reviewer.post(f"{API}/{uuid}/accept", json={"text": "Thank you."})
    assert accepted.get_json()["state"] == "published"
    model = client.get("/api/v1/models/leaves").get_json()
    assert (model["name"], model["owner"], model["check"]["objects"]) == ("Leaves", ada.id, 12)
    assert client.get("/api/v1/models?q=leaves").get_json()["total"] == 1
    with client.get("/api/v1/models/leaves/versions/1.0.0/package.zip") as answer:
        assert answer.data == package
    assert client.get(f"{API}?page=1").get_json()["items"][0]["state"] == "published"


def test_strangers_learn_nothing_and_change_nothing(app: Flask, client: FlaskClient, stranger: FlaskClient) -> None:
    uuid = checked_draft(app, signed_in(client).id)
    for signed in (False, True):
        if signed:
            signed_in(stranger, "Bob")
        expected = (403, "not-allowed") if signed else (401, "sign-in-needed")
        for answer in (
            stranger.get(f"{API}/{uuid}"),
            stranger.get(f"{API}/{uuid}/package.zip"),
            stranger.patch(f"{API}/{uuid}", json={"fields": {"name": "Mine"}}),
            stranger.delete(f"{API}/{uuid}"),
            stranger.post(f"{API}/{uuid}/submit", json={}),
            stranger.post(f"{API}/{uuid}/return", json={"text": "No."}),
            stranger.post(f"{API}/{uuid}/accept", json={}),
            stranger.post(f"{API}/{uuid}/comment", json={"text": "Hm."}),
            stranger.get(f"{API}?state=submitted"),
        ):
            assert error_of(answer) == expected
    assert stranger.get(API).get_json() == {"items": [], "total": 0}
    assert error_of(client.post(f"{API}/{uuid}/accept", json={})) == (403, "not-allowed")


def test_a_reviewer_reads_but_does_not_write_what_others_say(
    app: Flask, client: FlaskClient, reviewer: FlaskClient
) -> None:
    uuid = checked_draft(app, signed_in(client).id)
    assert reviewer.get(f"{API}/{uuid}").status_code == 200
    assert error_of(reviewer.patch(f"{API}/{uuid}", json={"fields": {"name": "X"}})) == (403, "not-allowed")
    assert error_of(reviewer.post(f"{API}/{uuid}/submit", json={})) == (403, "not-allowed")


def test_nobody_accepts_their_own_but_an_admin(app: Flask, client: FlaskClient, reviewer: FlaskClient) -> None:
    rita = signed_in(reviewer, "Rita", ("author", "reviewer"))
    uuid = checked_draft(app, rita.id)
    reviewer.post(f"{API}/{uuid}/submit", json={})
    assert error_of(reviewer.post(f"{API}/{uuid}/accept", json={})) == (409, "wrong-state")
    signed_in(reviewer, "Rita", ("admin",))
    assert reviewer.post(f"{API}/{uuid}/accept", json={}).get_json()["state"] == "published"


def test_what_is_typed_is_saved_and_not_overwritten_unseen(client: FlaskClient) -> None:
    signed_in(client)
    draft = new_draft(client, name="Leaves")
    path = f"{API}/{draft['id']}"
    saved = client.patch(path, json={"fields": {"id": "leaves"}, "changed_at": draft["changed_at"]}).get_json()
    assert saved["fields"] == {"name": "Leaves", "id": "leaves"}
    again = client.patch(path, json={"fields": {"name": "Mine"}, "changed_at": draft["changed_at"]})
    assert again.status_code == 409
    body = again.get_json()
    assert (body["error"]["code"], body["newest"]["fields"]) == ("submission-changed", saved["fields"])
    assert client.patch(path, json={"fields": {"name": None}}).get_json()["fields"] == {"id": "leaves"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"fields": []}, "bad-field"),
        ({"fields": {}, "changed_at": "now"}, "bad-field"),
        ({"fields": {}, "state": "published"}, "bad-field"),
        ({}, "bad-field"),
        ({"fields": {"tags": [[number] for number in range(9000)]}}, "bad-submission"),
        ({"fields": {str(number): 1 for number in range(9000)}}, "bad-submission"),
    ],
)
def test_a_form_that_is_none_is_refused(client: FlaskClient, body: dict[str, Any], code: str) -> None:
    signed_in(client)
    draft = new_draft(client, name="Leaves")
    assert error_of(client.patch(f"{API}/{draft['id']}", json=body)) == (400, code)
    assert client.get(f"{API}/{draft['id']}").get_json() == draft


def test_a_taken_name_is_told_as_it_is_typed(app: Flask, client: FlaskClient) -> None:
    """`cells` came with this zoo."""
    signed_in(client)
    conflict = new_draft(client, id="cells", version="9.0.0")["conflict"]
    assert (conflict["field"], conflict["message"]) == ("id", "The id 'cells' belongs to somebody else's model.")
    uuid = checked_draft(app, signed_in(client).id, "cells", "9.0.0")
    assert error_of(client.post(f"{API}/{uuid}/submit", json={})) == (409, "model-taken")


def test_a_draft_is_discarded_and_gone(client: FlaskClient) -> None:
    signed_in(client)
    path = f"{API}/{new_draft(client)['id']}"
    assert client.delete(path).status_code == 204
    assert error_of(client.get(path)) == (404, "submission-missing")
    assert error_of(client.get(f"{API}/nothing")) == (404, "submission-missing")
    assert error_of(client.get(f"{API}/{new_draft(client)['id']}/package.zip")) == (404, "not-found")


def test_a_program_publishes_with_a_token_but_reviews_with_none(app: Flask, client: FlaskClient) -> None:
    account, headers = token_for(client, "Ada")
    uuid = checked_draft(app, account.id)
    assert client.post(f"{API}/{uuid}/submit", json={}, headers=headers).get_json()["state"] == "submitted"
    assert error_of(client.post(f"{API}/{uuid}/accept", json={}, headers=headers)) == (403, "not-allowed")
    assert error_of(client.get(API, headers={"Authorization": "Bearer zst_wrong"}))[0] == 401


def published(app: Flask, client: FlaskClient, reviewer: FlaskClient, version: str = "1.0.0") -> None:
    uuid = checked_draft(app, signed_in(client).id, version=version)
    assert client.post(f"{API}/{uuid}/submit", json={}).status_code == 200
    assert reviewer.post(f"{API}/{uuid}/accept", json={}).get_json()["state"] == "published"


def test_an_owner_edits_and_withdraws_and_nobody_else(
    app: Flask, client: FlaskClient, stranger: FlaskClient, reviewer: FlaskClient
) -> None:
    published(app, client, reviewer)
    path = "/api/v1/models/leaves/versions/1.0.0"
    for other in (stranger, reviewer):
        assert other.patch(path, json={"name": "Mine"}).status_code in (401, 403)
        assert other.post(f"{path}/withdraw", json={"reason": "Mine."}).status_code in (401, 403)
    edited = client.patch(path, json={"name": "Leaves of cress", "tags": ["cress"]}).get_json()
    assert (edited["name"], edited["tags"], edited["version"]) == ("Leaves of cress", ["cress"], "1.0.0")
    assert error_of(client.patch(path, json={"licence": "MIT"})) == (400, "bad-field")
    assert error_of(client.patch(path, json={"name": ""})) == (400, "bad-edit")
    assert error_of(client.patch("/api/v1/models/leaves/versions/2", json={"name": "X"})) == (404, "model-missing")

    buried = client.post(f"{path}/withdraw", json={"reason": "It was wrong."}).get_json()
    assert (buried["name"], buried["reason"]) == ("Leaves of cress", "It was wrong.")
    for gone in (path, "/api/v1/models/leaves", f"{path}/package.zip"):
        assert error_of(client.get(gone)) == (410, "model-withdrawn")
    assert client.get("/models/leaves").status_code == 410
    assert "It was wrong." in client.get("/models/leaves").text
    assert error_of(client.patch(path, json={"name": "Back"})) == (410, "model-withdrawn")
    assert client.get("/api/v1/models?q=leaves").get_json()["total"] == 0


def test_a_seed_is_changed_by_admins_alone(client: FlaskClient) -> None:
    signed_in(client)
    path = "/api/v1/models/cells/versions/1.0.0"
    assert error_of(client.patch(path, json={"name": "Mine"})) == (403, "not-allowed")
    signed_in(client, "Root", ("admin",))
    assert client.patch(path, json={"description": "New words."}).get_json()["description"] == "New words."
