"""/publish: drafts to go on with, and the form of a model's next version."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from account_helpers import signed_in
from example_network import keras_file
from flask import Flask
from flask.testing import FlaskClient
from test_submission_files import send

from web.publish_pages import next_version


def page_data(text: str) -> dict[str, object]:
    found = re.search(r'id="page-data">(.*?)</script>', text, re.DOTALL)
    assert found
    data: dict[str, object] = json.loads(found.group(1))
    return data


def test_one_signs_in_first_and_comes_back(client: FlaskClient) -> None:
    answer = client.get("/publish")
    assert (answer.status_code, answer.location) == (303, "/sign-in?next=%2Fpublish")


def test_drafts_are_listed_to_their_author_alone(client: FlaskClient, stranger: FlaskClient) -> None:
    signed_in(client)
    created = client.post("/api/v1/submissions", json={"fields": {"name": "Halves <b>of</b> things"}}).get_json()
    assert "Halves &lt;b&gt;of&lt;/b&gt; things" in client.get("/publish").text
    shown = client.get(created["links"]["page"])
    assert "Halves &lt;b&gt;of&lt;/b&gt; things" in shown.text
    assert "<b>of" not in shown.text
    assert stranger.get(created["links"]["page"]).status_code == 303
    signed_in(stranger, "Eve")
    assert "Halves" not in stranger.get("/publish").text
    assert stranger.get(created["links"]["page"]).status_code == 403


def test_a_new_version_keeps_the_words(app: Flask, client: FlaskClient) -> None:
    signed_in(client, "Eve")
    assert client.get("/publish?model=grey").status_code == 403
    signed_in(client, "Root", ("author", "admin"))
    assert client.get("/publish?model=none").status_code == 404
    page = client.get("/publish?model=grey").text
    assert "A new version of Grey things" in page
    fields = page_data(page)["fields"]
    assert isinstance(fields, dict)
    assert (fields["id"], fields["version"], fields["name"]) == ("grey", "1.1.0", "Grey things")
    draft = client.post("/api/v1/submissions", json={"fields": fields}).get_json()
    said = send(client, draft["links"]["self"], "weights", keras_file(), "net.keras").get_json()
    assert said["submission"]["fields"]["version"] == "1.1.0", "a network tells no version"
    assert said["submission"]["fields"]["description"] == "A model for tests."


def test_a_package_tells_its_version_where_one_was_guessed(client: FlaskClient, packages: Path) -> None:
    signed_in(client)
    draft = client.post("/api/v1/submissions", json={}).get_json()["links"]["self"]
    fields = send(client, draft, "weights", keras_file(), "net.keras").get_json()["submission"]["fields"]
    assert (fields["version"], "version" in fields["prefilled"]) == ("1.0.0", False)
    client.patch(draft, json={"fields": {"version": "9.0.0", "guessed": []}})
    package = (packages / "grey.zip").read_bytes()
    fields = send(client, draft, "package", package, "grey.zip").get_json()["submission"]["fields"]
    assert fields["version"] == "9.0.0", "what was typed stays"
    client.patch(draft, json={"fields": {"version": "0.1", "guessed": ["version"]}})
    fields = send(client, draft, "package", package, "grey.zip").get_json()["submission"]["fields"]
    assert fields["version"] == "1.0.0"


@pytest.mark.parametrize(("old", "new"), [("1.2.7", "1.3.0"), ("1", "1.1.0"), ("2.0-rc1", "2.1.0"), ("v", "0.1.0")])
def test_the_next_version(old: str, new: str) -> None:
    assert next_version(old) == new
