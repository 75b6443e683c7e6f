"""Re-runs: a new job that knows the old one, and pages that link both ways."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from flask import Flask
from flask.testing import FlaskClient
from web_helpers import error_of, submit, upload

from web.lineage import changes, try_query


def page(client: FlaskClient, job: dict[str, Any]) -> str:
    answer = client.get(f"/r/{job['uuid']}")
    assert answer.status_code == 200
    return answer.text


def test_pages_link_a_rerun_and_its_original_both_ways(client: FlaskClient, stranger: FlaskClient) -> None:
    job = submit(client)
    body = {"settings": {"threshold": 0.75}}
    again = client.post(f"/api/v1/jobs/{job['uuid']}/rerun", json=body).get_json()
    assert f'href="/r/{job["uuid"]}"' in page(client, again)
    told = page(client, job)
    assert f'href="/r/{again["uuid"]}"' in told
    assert "threshold 0.75 instead of 0.5" in told
    # The link of the new one is its owner's to give away.
    assert again["uuid"] not in page(stranger, job)


def test_a_deleted_original_is_not_linked(client: FlaskClient) -> None:
    job = submit(client)
    again = client.post(f"/api/v1/jobs/{job['uuid']}/rerun", json={}).get_json()
    client.delete(f"/api/v1/jobs/{job['uuid']}")
    assert f'href="/r/{job["uuid"]}"' not in page(client, again)


def test_a_preview_run_again_with_changes_is_linked_too(client: FlaskClient, stranger: FlaskClient) -> None:
    job = submit(client)
    again = submit(client, rerun_of=job["uuid"], roi=[0, 0, 40, 32])
    assert again["rerun_of"] == job["uuid"]
    assert "another image" in page(client, job) or "another region" in page(client, job)
    image = upload(stranger)["id"]
    body = {"image": image, "models": ["cells"], "rerun_of": job["uuid"]}
    assert error_of(stranger.post("/api/v1/jobs", json=body)) == (403, "forbidden")
    for wrong in (7, "x", ["a"]):
        body = {"image": upload(client)["id"], "models": ["cells"], "rerun_of": wrong}
        assert error_of(client.post("/api/v1/jobs", json=body)) == (400, "bad-field")
    client.delete(f"/api/v1/jobs/{job['uuid']}")
    assert submit(client, rerun_of=job["uuid"])["rerun_of"] is None


def test_a_page_leads_to_a_rerun_that_stays_linked(client: FlaskClient) -> None:
    job = submit(client)
    client.post(f"/api/v1/jobs/{job['uuid']}/cancel")
    assert f"rerun={job['uuid']}" in page(client, job)


def made(**settings: Any) -> dict[str, Any]:
    return {
        "model": {"package_sha256": "a", "name": "Cells", "version": "1"},
        "source": {"image_sha256": "i", "roi": [0, 0, 8, 8], "plane": 0, "channels": None},
        "settings": {"threshold": 0.5, "minimum_area_px": 0, "variations": 1} | settings,
    }


def test_changes_are_told_in_few_words() -> None:
    assert changes(made(), made()) == "the same settings"
    assert changes(made(), made(threshold=0.123456)) == "threshold 0.1235 instead of 0.5"
    many = made(threshold=0.7, minimum_area_px=4, variations=8) | {"model": made()["model"] | {"package_sha256": "b"}}
    assert changes(made(), many).startswith("Cells 1, threshold 0.7 instead of 0.5, ")
    assert changes(made(), many).endswith("1 more change")
    moved = made() | {"source": made()["source"] | {"plane": 3}}
    assert changes(made(), moved) == "another plane or other channels"


def test_only_settings_that_the_page_shows_are_in_its_address(app: Flask, client: FlaskClient) -> None:
    job = submit(client, settings={"threshold": 0.6}, pixel_size_um=0.25)
    assert job["settings"]["frames"] == "1"
    with app.test_request_context("/"):
        found = parse_qs(try_query(job))
    assert "set.frames" not in found
    assert (found["set.threshold"], found["roi"], found["plane"]) == (["0.6"], ["8,4,40,32"], ["0"])
    assert (found["model"], found["rerun"], found["px"]) == (["cells"], [job["uuid"]], ["0.25"])
    assert found["image"] == [job["source"]["image_id"]]
