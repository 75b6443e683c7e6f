"""Hostile files through the real route of uploads: refused with their sentence, and nothing of them is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from account_helpers import signed_in
from flask import Flask
from flask.testing import FlaskClient
from hostile_files import Hostile, hostile_files, repacked


@pytest.fixture(scope="session")
def hostile(packages: Path) -> list[Hostile]:
    return hostile_files(packages / "cells.zip")


def test_hostile_uploads_are_refused_and_leave_nothing(app: Flask, client: FlaskClient, hostile: list[Hostile]) -> None:
    parts = app.extensions["zooscope"]
    signed_in(client)
    draft = client.post("/api/v1/submissions", json={"fields": {"name": "Mine"}}).get_json()
    before = sorted(parts.blobs.sha256s())
    for one in hostile:
        address = f"/api/v1/submissions/{draft['id']}/files/{one.role}"
        answer = client.put(address, data=one.data, headers={"X-Filename": one.name})
        assert answer.status_code == 422, (one.item, one.what, answer.text)
        error = answer.get_json()["error"]
        assert error["message"].startswith(one.told), (one.item, one.what, error)
        assert error["hint"]
    assert sorted(parts.blobs.sha256s()) == before
    assert [path for path in parts.uploads_folder.rglob("*") if path.is_file()] == []
    after = client.get(f"/api/v1/submissions/{draft['id']}").get_json()
    assert (after["files"], after["fields"]["name"], after["check"]) == ({}, "Mine", None)


def test_48_two_authors_with_one_id_are_told_before_they_submit(
    app: Flask, client: FlaskClient, stranger: FlaskClient, packages: Path
) -> None:
    """`cells` is published already, and not theirs."""
    signed_in(stranger, "Mallory")
    draft = stranger.post("/api/v1/submissions", json={}).get_json()["id"]
    data = repacked((packages / "cells.zip").read_bytes(), lambda rdf, files: rdf.update(version="2.0.0"))
    sent = stranger.put(f"/api/v1/submissions/{draft}/files/package", data=data, headers={"X-Filename": "cells.zip"})
    assert sent.status_code == 200, sent.text
    conflict = sent.get_json()["submission"]["conflict"]
    assert conflict["field"] == "id"
    assert conflict["message"]


def test_a_package_whose_cover_no_page_shows_has_none(
    app: Flask, client: FlaskClient, packages: Path, tmp_path: Path
) -> None:
    def animate(rdf: dict[str, Any], files: dict[str, bytes]) -> None:
        files["cover.svg"] = b"<svg onload='alert(1)'/>"
        rdf |= {"id": "animated", "covers": [{"source": "cover.svg"}]}

    package = tmp_path / "animated.zip"
    package.write_bytes(repacked((packages / "cells.zip").read_bytes(), animate))
    app.extensions["zooscope"].catalogue.publish(package)
    for name in ("cover.png", "cover-before.png"):
        assert client.get(f"/api/v1/models/animated/versions/1.0.0/{name}").status_code == 404
    for page in ("/", "/models/animated", "/embed/models/animated", "/try?model=animated"):
        answer = client.get(page)
        assert answer.status_code == 200
        assert "/animated/versions/1.0.0/cover" not in answer.text, page
