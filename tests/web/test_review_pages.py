"""Pages of reviewers, authors and owners: everything on them works by plain forms, and only for whom it is meant."""

from __future__ import annotations

import re

import pytest
from account_helpers import signed_in
from flask import Flask
from flask.testing import FlaskClient
from submission_helpers import checked_draft

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def reviewer(app: Flask) -> FlaskClient:
    client = app.test_client()
    signed_in(client, "Rita", ("author", "reviewer"))
    return client


def post(client: FlaskClient, path: str, page: str, **fields: str) -> tuple[int, str]:
    """Fill in the form of a page; returns the status and the text of the page that comes."""
    word = re.search(r'name="form" value="([^"]+)"', client.get(page).text)
    assert word is not None
    answer = client.post(path, data={"form": word[1]} | fields, follow_redirects=True)
    return answer.status_code, answer.text


def submitted(app: Flask, client: FlaskClient, **fields: object) -> str:
    ada = signed_in(client)
    uuid = checked_draft(app, ada.id, **fields)  # type: ignore[arg-type]
    assert client.post(f"/api/v1/submissions/{uuid}/submit", json={}).status_code == 200
    return uuid


def test_a_reviewer_sees_what_waits_and_decides(app: Flask, client: FlaskClient, reviewer: FlaskClient) -> None:
    uuid = submitted(
        app, client, description="Finds leaves.", task="instances", card="# Data\n\nCress.", pixel_size_um="0.5",
        authors=[{"name": "Ada", "orcid": "0000-0002-1825-0097"}],
    )  # fmt: skip
    listed = reviewer.get("/review").text
    assert f'href="/review/{uuid}"' in listed
    assert "leaves 1.0.0 by Ada" in listed
    assert "waits" in listed
    page = reviewer.get(f"/review/{uuid}").text
    for said in (
        "Finds leaves.", "Instances: every object one by one", "0.5 µm", "Ada, 0000-0002-1825-0097", ">Data</h1>",
        "The network was loaded.", "0.25 s per megapixel", "Accept and publish",
    ):  # fmt: skip
        assert said in page, said

    status, page = post(reviewer, f"/review/{uuid}", f"/review/{uuid}", action="return", text="")
    assert (status, "A comment is missing" in page) == (400, True)
    status, page = post(reviewer, f"/review/{uuid}", f"/review/{uuid}", action="return", text="Name\nthe data.")
    assert status == 200
    assert "Returned to its author." in page
    assert "Name\nthe data." in page
    assert "Accept and publish" not in page
    mine = client.get("/submissions").text
    assert "Returned to you" in mine
    assert "Rita: Name" in mine
    assert f"/publish/{uuid}" in mine
    assert uuid in reviewer.get("/review?state=returned").text

    client.post(f"/api/v1/submissions/{uuid}/submit", json={})
    status, page = post(reviewer, f"/review/{uuid}", f"/review/{uuid}", action="accept", text="")
    assert status == 200
    assert "See it in the zoo" in page
    assert "Leaves" in client.get("/models/leaves").text
    assert "Published" in client.get("/submissions").text


def test_pages_are_for_whom_they_are_meant(app: Flask, client: FlaskClient, stranger: FlaskClient) -> None:
    uuid = submitted(app, client)
    for path in ("/review", f"/review/{uuid}", "/submissions", "/models/cells/versions/1.0.0/edit"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.location.split("?")[0]) == (303, "/sign-in"), path
    signed_in(stranger, "Bob")
    for path in ("/review", f"/review/{uuid}", "/models/cells/versions/1.0.0/edit"):
        assert stranger.get(path).status_code == 403, path
    assert uuid not in stranger.get("/submissions").text
    assert stranger.post(f"/review/{uuid}", data={"action": "accept"}).status_code == 403
    assert stranger.post(f"/submissions/{uuid}/discard").status_code == 403
    assert client.get(f"/api/v1/submissions/{uuid}").get_json()["state"] == "submitted"


def test_a_form_of_another_session_does_nothing(app: Flask, client: FlaskClient, reviewer: FlaskClient) -> None:
    uuid = submitted(app, client)
    answer = reviewer.post(f"/review/{uuid}", data={"action": "accept", "form": "made up"})
    assert answer.status_code == 403
    assert client.get(f"/api/v1/submissions/{uuid}").get_json()["state"] == "submitted"


def test_a_draft_is_discarded_from_the_list(app: Flask, client: FlaskClient) -> None:
    uuid = checked_draft(app, signed_in(client).id)
    status, page = post(client, f"/submissions/{uuid}/discard", "/submissions")
    assert status == 200
    assert "The draft is discarded." in page
    assert uuid not in page


def test_an_owner_edits_and_withdraws_on_pages(app: Flask, client: FlaskClient, reviewer: FlaskClient) -> None:
    uuid = submitted(app, client)
    reviewer.post(f"/api/v1/submissions/{uuid}/accept", json={})
    edit = "/models/leaves/versions/1.0.0/edit"
    assert edit in client.get("/models/leaves").text
    assert edit not in reviewer.get("/models/leaves").text
    texts = {
        "name": "Leaves of cress",
        "description": "Finds leaves.",
        "tags": "leaf\r\n\r\ncress\r\n",
        "card": "# A\r\nB",
    }
    status, page = post(client, edit, edit, **texts)
    assert status == 200
    assert "Leaves of cress" in page
    model = client.get("/api/v1/models/leaves").get_json()
    assert (model["tags"], model["card"], model["version"]) == (["leaf", "cress"], "# A\nB", "1.0.0")
    status, page = post(client, edit, edit, **texts | {"name": " "})
    assert status == 400
    assert "is empty" in page
    assert "Finds leaves." in page

    withdraw = "/models/leaves/versions/1.0.0/withdraw"
    status, page = post(client, withdraw, edit, reason="It was wrong.")
    assert status == 400
    assert "The box is not ticked." in page
    assert "It was wrong." in page
    status, page = post(client, withdraw, edit, reason="It was wrong.", sure="yes")
    assert status == 410
    assert "It was wrong." in page
    assert "This version is withdrawn." in client.get(edit).text


def test_what_is_hostile_stays_text(app: Flask, client: FlaskClient, reviewer: FlaskClient) -> None:
    card = f"{HOSTILE}\n\n[x](javascript:alert(1))"
    uuid = submitted(app, client, description=HOSTILE, card=card, authors=[{"name": HOSTILE}], **{HOSTILE: HOSTILE})
    client.post(f"/api/v1/submissions/{uuid}/comment", json={"text": HOSTILE})
    page = reviewer.get(f"/review/{uuid}").text
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'href="javascript:' not in page
