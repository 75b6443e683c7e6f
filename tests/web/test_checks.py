"""The check of a submission from its start to its report, with a worker's part played by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from account_helpers import signed_in
from check_helpers import bare_draft, files_of_check, finish_check, package_draft, put_file, report
from example_package import make_package
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import WorkerHand, error_of, png

from web import checks
from web.check_report import read_report
from zoo.packages import read_package
from zoo.settings import Settings


@pytest.fixture
def ada(client: FlaskClient) -> str:
    return signed_in(client).id


def check(client: FlaskClient, uuid: str) -> dict[str, Any]:
    answer = client.post(f"/api/v1/submissions/{uuid}/check", json={})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def look(client: FlaskClient, uuid: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/v1/submissions/{uuid}").get_json()
    return found


def description(app: Flask, sha256: str) -> tuple[dict[str, Any], list[str]]:
    with zipfile.ZipFile(app.extensions["zooscope"].blobs.path(sha256)) as archive:
        return yaml.safe_load(archive.read("rdf.yaml")), archive.namelist()


def test_a_bare_network_gets_what_its_check_found(
    app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    started = check(client, uuid)
    assert started["check"]["state"] == "running"
    job = client.get(f"/api/v1/jobs/{started['check']['job']}").get_json()
    assert (job["kind"], job["state"], job["model"]["id"]) == ("check", "queued", "bright-things")
    assert look(client, uuid)["check"]["state"] == "running", "looking changes nothing before it is over"

    claim = finish_check(worker)
    assert claim["source"]["image_name"] == "cells.png"
    assert claim["source"]["roi"] == [0, 0, 96, 80]
    after = look(client, uuid)
    assert after["check"]["state"] == "passed"
    assert after["check"]["report"]["objects"] == 3
    said, names = description(app, after["package_sha256"])
    assert said["config"]["zooscope"]["ert"]["cpu"]["seconds_per_megapixel"] == 0.25
    assert said["inputs"][0]["test_tensor"]["source"] == "test_input.npy"
    assert [cover["source"] for cover in said["covers"]] == ["cover.png", "cover_before.png"]
    assert {"test_input.npy", "test_output.npy", "network.onnx", "model.onnx"} & set(names)
    assert look(client, uuid) == after, "settled once"
    kept = app.extensions["zooscope"].submissions.get(uuid)["blobs"]
    assert after["package_sha256"] in kept
    with client.get(f"/api/v1/submissions/{uuid}/check/files/cover.png") as picture:
        assert picture.data == files_of_check()["cover.png"]
    assert error_of(client.get(f"/api/v1/submissions/{uuid}/check/files/report.json")) == (404, "not-found")
    answer = client.post(f"/api/v1/submissions/{uuid}/submit", json={})
    assert (answer.status_code, answer.get_json()["state"]) == (200, "submitted"), answer.text


def test_nobody_looks_and_nothing_is_lost(
    app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    uuids = [bare_draft(app, ada, tmp_path, id=f"model-{number}")["id"] for number in range(2)]
    for uuid in uuids:
        check(client, uuid)
    finish_check(worker)
    parts = app.extensions["zooscope"]
    assert checks.settle_all(parts) == 1
    assert checks.settle_all(parts) == 0
    states = sorted(parts.submissions.get(uuid)["check"]["state"] for uuid in uuids)
    assert states == ["passed", "running"]


def test_a_package_that_came_whole_keeps_its_own_covers_and_tensors(
    app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, packages: Path
) -> None:
    uuid = package_draft(app, ada, make_package(packages.parent / "whole.zip", name="Whole thing"))["id"]
    check(client, uuid)
    finish_check(worker, files_of_check(tensors=False))
    after = look(client, uuid)
    said, names = description(app, after["package_sha256"])
    original, before = description(app, after["files"]["package"]["sha256"])
    assert sorted(names) == sorted(before)
    assert said["covers"] == original["covers"]
    assert said["inputs"] == original["inputs"]
    assert said["config"]["zooscope"]["ert"]["cpu"]["measured_on"] == "2 cores x86_64"
    package = read_package(app.extensions["zooscope"].blobs.path(after["package_sha256"]), Settings())
    assert package.test_input


def test_a_model_that_fails_its_check_is_told_so_and_cannot_be_submitted(
    app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    check(client, uuid)
    finish_check(worker, {"report.json": json.dumps(report(passed=False)).encode(), "log.txt": b"no\n"})
    after = look(client, uuid)
    assert (after["check"]["state"], after["package_sha256"]) == ("failed", "")
    assert after["check"]["report"]["steps"][1]["sentence"] == "reproduce done."
    assert error_of(client.post(f"/api/v1/submissions/{uuid}/submit", json={})) == (409, "not-ready")
    assert check(client, uuid)["check"]["state"] == "running", "it can be checked again"


def test_a_check_that_broke_off_says_why(
    app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    job = check(client, uuid)["check"]["job"]
    claim = worker.start()
    body = {"lease": claim["lease"], "code": "worker-crashed", "message": "It died.", "hint": "Pity.", "retry": False}
    worker.post(f"/scheduler/v1/jobs/{job}/fail", body)
    after = look(client, uuid)["check"]
    assert (after["state"], after["report"]["steps"][0]["sentence"]) == ("error", "It died.")
    again = check(client, uuid)["check"]["job"]
    app.extensions["zooscope"].scheduler.delete(again)
    assert look(client, uuid)["check"]["report"]["steps"][0]["sentence"] == "The check was deleted before it was done."


STRANGE = [
    b"[]",
    b"{",
    b'{"steps": [], "passed": true}',
    b'{"steps": [{"ok": false}], "passed": true}',
    b'{"steps": [{"ok": true}], "passed": true, "load_s": NaN}',
    b"[" * 10**5,
    b"{}" * 2**18,
]


@pytest.mark.parametrize("made", STRANGE)
def test_a_worker_s_report_that_is_none_is_an_error_of_ours(
    made: bytes, app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    check(client, uuid)
    finish_check(worker, {"report.json": made})
    assert look(client, uuid)["check"]["state"] == "error"


def test_a_report_is_read_for_what_it_should_hold(tmp_path: Path) -> None:
    strange = {
        "software": ["no", "dict"], "found": "none", "measured": {"a": 1}, "objects": "many", "load_s": -1,
        "device": "\u202ecpu\n" * 99, "ert": {"cpu": {"seconds_per_megapixel": "fast", "evil": [1]}, "tpu": {}},
        "at": 1e300, "more": "than it knows",
    }  # fmt: skip
    (tmp_path / "report.json").write_text(json.dumps(report(**strange)))
    read = read_report(tmp_path / "report.json")
    assert read["software"] == read["classes"] == {}
    assert read["measured"] == []
    assert (read["objects"], read["load_s"], read["at"]) == (None, None, None)
    assert read["device"].isprintable()
    assert read["ert"] == {"cpu": {"measured_on": "", "n": 0}}
    assert "more" not in read


def test_what_was_changed_meanwhile_is_not_taken_for_checked(
    app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    first = check(client, uuid)["check"]["job"]
    assert check(client, uuid)["check"]["job"] == first, "asked twice, checked once"
    put_file(app, uuid, "test_image", "other.png", png(64, 64, 1, seed=5))
    second = check(client, uuid)["check"]["job"]
    assert second != first
    assert client.get(f"/api/v1/jobs/{first}").get_json()["state"] == "cancelled"
    client.patch(f"/api/v1/submissions/{uuid}", json={"fields": {"name": "Other things"}})
    finish_check(worker)
    after = look(client, uuid)
    assert (after["check"]["state"], after["check"]["outdated"], after["package_sha256"]) == ("passed", True, "")
    assert error_of(client.post(f"/api/v1/submissions/{uuid}/submit", json={})) == (409, "not-ready")


def test_a_check_is_stopped(app: Flask, client: FlaskClient, ada: str, tmp_path: Path) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    path = f"/api/v1/submissions/{uuid}/check"
    assert client.delete(path).get_json()["check"] is None
    job = check(client, uuid)["check"]["job"]
    stopped = client.delete(path).get_json()["check"]
    assert (stopped["state"], stopped["report"]["steps"][0]["sentence"]) == ("error", "The check was cancelled.")
    assert client.get(f"/api/v1/jobs/{job}").get_json()["state"] == "cancelled"
    assert "This check was cancelled" in client.get(f"/r/{job}").text


def test_a_full_disk_puts_the_report_off_and_breaks_no_page(
    app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    check(client, uuid)
    finish_check(worker)
    blobs = app.extensions["zooscope"].blobs
    with monkeypatch.context() as full:
        full.setattr(blobs, "free_disk_bytes", 2**62)
        assert look(client, uuid)["check"]["state"] == "running"
    assert look(client, uuid)["check"]["state"] == "passed"


def test_what_need_not_be_run_is_refused_at_once(app: Flask, client: FlaskClient, ada: str, tmp_path: Path) -> None:
    uuid = bare_draft(app, ada, tmp_path, licence="")["id"]
    assert error_of(client.post(f"/api/v1/submissions/{uuid}/check", json={})) == (422, "package-invalid")
    uuid = bare_draft(app, ada, tmp_path, id="colours")["id"]
    put_file(app, uuid, "test_image", "two.png", b"no image")
    status, _ = error_of(client.post(f"/api/v1/submissions/{uuid}/check", json={}))
    assert status in (400, 415, 422)
    assert look(client, uuid)["check"] is None


def test_only_its_author_has_it_checked_and_only_they_and_reviewers_see_it(
    app: Flask, client: FlaskClient, stranger: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    path = f"/api/v1/submissions/{uuid}/check"
    assert stranger.post(path, json={}).status_code == 401
    signed_in(stranger, "Bob")
    assert stranger.post(path, json={}).status_code == 403
    check(client, uuid)
    finish_check(worker)
    look(client, uuid)
    assert stranger.get(f"{path}/files/cover.png").status_code == 403
    signed_in(stranger, "Rita", ("reviewer",))
    with stranger.get(f"{path}/files/cover.png") as shown:
        assert shown.status_code == 200


def test_the_page_of_a_check_shows_it_from_the_queue_to_its_report(
    app: Flask, client: FlaskClient, stranger: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    uuid = bare_draft(app, ada, tmp_path)["id"]
    job = check(client, uuid)["check"]["job"]
    waiting = client.get(f"/r/{job}")
    assert waiting.status_code == 200
    assert "Comparing with the test tensors" in waiting.text
    assert f'href="/publish/{uuid}"' in waiting.text
    finish_check(worker)
    done = stranger.get(f"/r/{job}").text
    assert "reproduce done." in done
    assert "It passed." in done
    assert uuid not in done.split('id="page-data"')[0], "a stranger with the link is not led to the draft"
    told = stranger.get(f"/api/v1/jobs/{job}").get_json()["result"]
    assert told["report"]["passed"]
    assert told["legend"] is None
    assert set(told["layers"]) == {"overlay"}
    for part in ("objects", "layers/mask.png", "layers/probability.png", "files/labels.ome.tif"):
        assert stranger.get(f"/api/v1/jobs/{job}/{part}").status_code == 404
    for part in ("layers/original.png", "layers/thumbnail.png", "result.zip", "files/test_input.npy"):
        with stranger.get(f"/api/v1/jobs/{job}/{part}") as answer:
            assert answer.status_code == 200, part


def test_a_check_that_broke_off_has_a_page_that_does_not_blame_the_model(
    app: Flask, client: FlaskClient, worker: WorkerHand, ada: str, tmp_path: Path
) -> None:
    job = check(client, bare_draft(app, ada, tmp_path)["id"])["check"]["job"]
    claim = worker.start()
    body = {"lease": claim["lease"], "code": "worker-crashed", "message": "It died.", "hint": "", "retry": False}
    worker.post(f"/scheduler/v1/jobs/{job}/fail", body)
    page = client.get(f"/r/{job}").text
    assert "It died." in page
    assert "This is no verdict on the model" in page
