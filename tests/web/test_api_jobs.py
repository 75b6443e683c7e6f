from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from web_helpers import WorkerHand, error_of, png, submit, upload

from web.app import create_app
from web.job_view import worth_telling
from zoo.images import decode_crop
from zoo.secrets import worker_token
from zoo.settings import Settings


def test_a_job_holds_exactly_the_pixels_of_its_region(app: Flask, client: FlaskClient) -> None:
    import io

    job = submit(client)
    pixels = np.asarray(Image.open(io.BytesIO(png())))
    crop = decode_crop(app.extensions["zooscope"].blobs.path(job["input_sha256"]))
    assert (crop.pixels == pixels[4:36, 8:48]).all()
    assert crop.rgb
    assert crop.origin.to_json() == [8, 4, 40, 32]


def test_a_job_view_says_where_it_is(client: FlaskClient) -> None:
    first, second = submit(client), submit(client)
    assert (first["state"], first["mine"], first["progress"]["label"]) == ("queued", True, "Waiting for a worker")
    assert second["place"] == first["place"] + 1
    assert first["model"]["id"] == "cells"
    assert first["settings"]["seed_height"] == 0.1
    assert first["source"]["roi"] == [8, 4, 40, 32]
    assert first["links"]["page"] == f"/r/{first['uuid']}"
    assert first["result"] is None
    assert client.get(f"/api/v1/jobs/{first['uuid']}").get_json()["uuid"] == first["uuid"]


def test_a_submission_sent_again_under_its_key_makes_no_second_job(client: FlaskClient) -> None:
    body = {"image": upload(client)["id"], "models": ["cells", "grey"]}

    def post(key: str, **changes: Any) -> Any:
        return client.post("/api/v1/jobs", json=body | changes, headers={"Idempotency-Key": key})

    first, again, other = post("my-first-key"), post("my-first-key"), post("my-other-key")
    assert [answer.status_code for answer in (first, again, other)] == [201, 201, 201]
    uuids = [[job["uuid"] for job in answer.get_json()["jobs"]] for answer in (first, again, other)]
    assert uuids[0] == uuids[1]
    assert len({*uuids[0], *uuids[2]}) == 4
    assert client.get("/api/v1/jobs").get_json()["total"] == 4
    assert error_of(post("my-first-key", roi=[0, 0, 8, 8])) == (409, "key-reused")
    assert error_of(post("short")) == (400, "bad-idempotency-key")


def test_several_models_share_one_input(client: FlaskClient) -> None:
    body = {"image": upload(client)["id"], "models": ["cells", {"id": "grey", "version": "1.0.0"}]}
    jobs = client.post("/api/v1/jobs", json=body).get_json()["jobs"]
    assert [job["model"]["id"] for job in jobs] == ["cells", "grey"]
    assert jobs[0]["input_sha256"] == jobs[1]["input_sha256"]
    assert jobs[0]["source"]["roi"] == [0, 0, 64, 48]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"roi": [0, 0, 65, 10]}, "bad-region"),
        ({"roi": [-1, 0, 10, 10]}, "bad-region"),
        ({"roi": [0, 0, 0, 10]}, "bad-region"),
        ({"roi": [10, 10, -5, -5]}, "bad-region"),
        ({"roi": [0.5, 0, 10, 10]}, "bad-region"),
        ({"roi": [0, 0, 10**9, 10**9]}, "bad-region"),
        ({"roi": [0, 0, 10]}, "bad-region"),
        ({"roi": "0,0,10,10"}, "bad-region"),
        ({"plane": 1}, "plane-missing"),
        ({"plane": -1}, "plane-missing"),
        ({"plane": True}, "plane-missing"),
        ({"channels": [3]}, "channel-missing"),
        ({"channels": []}, "channel-missing"),
        ({"channels": [0, 1]}, "channels-unfit"),
        ({"channels": "0"}, "bad-field"),
        ({"channels": [0] * 10_000}, "channels-unfit"),
        ({"pixel_size_um": 0}, "bad-field"),
        ({"pixel_size_um": -1}, "bad-field"),
        ({"pixel_size_um": "10nm"}, "bad-field"),
        ({"pixel_size_um": 1e308}, "bad-field"),
        ({"pixel_size_um": True}, "bad-field"),
        ({"pixel_size_um": {"x_um": 1}}, "bad-field"),
        ({"pixel_size_um": 5000}, "region-too-large"),
        ({"models": []}, "bad-field"),
        ({"models": "cells"}, "bad-field"),
        ({"models": ["cells", "cells"]}, "bad-field"),
        ({"models": [{"id": "cells", "colour": 1}]}, "bad-field"),
        ({"models": [{"id": "cells", "version": 1}]}, "bad-field"),
        ({"models": ["none"]}, "model-missing"),
        ({"models": [{"id": "cells", "version": "9"}]}, "model-missing"),
        ({"settings": {"threshold": 2}}, "bad-preview-setting"),
        ({"settings": {"colour": 2}}, "bad-preview-setting"),
        ({"settings": [1]}, "bad-field"),
        ({"image": "nothing"}, "not-found"),
        ({"image": 7}, "bad-field"),
        ({"image": None}, "bad-field"),
        ({"colour": "blue"}, "bad-field"),
    ],
)
def test_a_bad_request_never_reaches_the_queue(client: FlaskClient, change: dict[str, Any], code: str) -> None:
    body = {"image": upload(client)["id"], "models": ["cells"]} | change
    status, found = error_of(client.post("/api/v1/jobs", json=body))
    assert (400 <= status < 500, found) == (True, code)
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_a_region_over_the_models_budget_is_refused(client: FlaskClient) -> None:
    body = {"image": upload(client, png(120, 100))["id"], "models": ["grey"]}
    answer = client.post("/api/v1/jobs", json=body)
    assert error_of(answer) == (400, "region-too-large")
    assert "100 × 100 px" in answer.get_json()["error"]["hint"]
    assert client.post("/api/v1/jobs", json=body | {"roi": [0, 0, 100, 100]}).status_code == 201


def test_a_region_that_resizing_makes_too_large_is_refused(settings: Settings, client: FlaskClient, app: Flask) -> None:
    small = create_app(settings.replace(roi_pixels=4000))
    with small.test_client() as visitor:
        body = {"image": upload(visitor)["id"], "roi": [0, 0, 40, 40], "models": ["cells"], "pixel_size_um": 0.5}
        assert visitor.post("/api/v1/jobs", json=body).status_code == 201
        answer = visitor.post("/api/v1/jobs", json=body | {"pixel_size_um": 1.0})
        assert error_of(answer) == (400, "region-too-large")
        body |= {"pixel_size_um": 1.0, "settings": {"rescale": "off"}}
        assert visitor.post("/api/v1/jobs", json=body).status_code == 201
    small.extensions["zooscope"].close()


def test_one_unfit_model_stops_them_all(client: FlaskClient) -> None:
    body = {"image": upload(client)["id"], "models": ["cells", "none"]}
    assert client.post("/api/v1/jobs", json=body).status_code == 404
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_without_a_queue_jobs_are_refused_for_now(settings: Settings, app: Flask) -> None:
    alone = create_app(settings.replace(beanstalkd="127.0.0.1:1"))
    with alone.test_client() as client:
        answer = client.post("/api/v1/jobs", json={"image": upload(client)["id"], "models": ["cells"]})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    alone.extensions["zooscope"].close()


def test_whoever_has_the_link_reads_and_only_the_owner_changes(client: FlaskClient, stranger: FlaskClient) -> None:
    job = submit(client)
    url = f"/api/v1/jobs/{job['uuid']}"
    seen = stranger.get(url).get_json()
    assert (seen["mine"], seen["source"]["image_id"], seen["source"]["image_name"]) == (False, None, "cells.png")
    assert stranger.get(f"{url}/log").status_code == 200
    assert "owner" not in seen
    for answer in (stranger.post(f"{url}/cancel"), stranger.post(f"{url}/rerun"), stranger.delete(url)):
        assert error_of(answer) == (403, "forbidden")
    assert stranger.get("/api/v1/jobs").get_json() == {"items": [], "total": 0}
    assert [item["uuid"] for item in client.get("/api/v1/jobs").get_json()["items"]] == [job["uuid"]]


@pytest.mark.parametrize("uuid", ["0" * 32, "x", "..%2f..%2fetc", "1" * 500])
def test_a_job_that_is_not_there_is_not_found(client: FlaskClient, uuid: str) -> None:
    for path in ("", "/log", "/events", "/files/overlay.png", "/layers/mask.png", "/result.zip"):
        assert error_of(client.get(f"/api/v1/jobs/{uuid}{path}")) == (404, "not-found")


def test_a_cancelled_job_is_over_and_can_run_again(client: FlaskClient) -> None:
    job = submit(client, settings={"threshold": 0.7})
    url = f"/api/v1/jobs/{job['uuid']}"
    assert client.post(f"{url}/cancel").get_json()["state"] == "cancelled"
    again = client.post(f"{url}/rerun", json={"settings": {"minimum_area_px": 9}})
    assert again.status_code == 201
    view = again.get_json()
    assert (view["rerun_of"], view["input_sha256"]) == (job["uuid"], job["input_sha256"])
    assert (view["settings"]["threshold"], view["settings"]["minimum_area_px"]) == (0.7, 9)
    assert error_of(client.post(f"{url}/rerun", json={"settings": {"threshold": 7}})) == (400, "bad-preview-setting")
    assert client.post(f"{url}/rerun").status_code == 201


def test_a_deleted_job_is_gone(client: FlaskClient) -> None:
    job = submit(client)
    url = f"/api/v1/jobs/{job['uuid']}"
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_progress_and_failure_are_shown(client: FlaskClient, worker: WorkerHand) -> None:
    job = submit(client)
    url = f"/api/v1/jobs/{job['uuid']}"
    claim = worker.start()
    worker.progress(claim, "inferring", 0.4)
    view = client.get(url).get_json()
    assert view["state"] == "running"
    assert view["progress"] == {
        "stage": "inferring", "label": "Running the model", "fraction": 0.4, "message": "tile 1 of 2",
    }  # fmt: skip
    failure = {"lease": claim["lease"], "code": "x", "message": "It broke.", "hint": "Mend it.", "retry": False}
    worker.post(f"/scheduler/v1/jobs/{job['uuid']}/fail", failure)
    view = client.get(url).get_json()
    assert (view["state"], view["error"]["message"]) == ("failed", "It broke.")


def test_estimates_say_time_and_fit(client: FlaskClient) -> None:
    image = upload(client)["id"]
    body = {"image": image, "models": ["cells", "grey"], "pixel_size_um": 0.5}
    found = client.post("/api/v1/estimates", json=body).get_json()
    cells, grey = found["items"]
    assert cells["ok"]
    assert cells["scale"] == 1
    assert cells["reasons"][0] == "0.5 µm: matches"
    assert cells["suitability"] > grey["suitability"]
    assert cells["text"] == "about 1 s: 1 s of work, up to 1 s to load the model, once a worker is there: none is now"
    assert "colour becomes grey" in grey["reasons"]
    resized = client.post("/api/v1/estimates", json=body | {"pixel_size_um": 0.25}).get_json()["items"][0]
    assert (resized["scale"], resized["reasons"][0]) == (0.5, "made for 0.5 µm: will be resized ×0.5")
    eightfold = client.post("/api/v1/estimates", json=body | {"settings": {"variations": 8}}).get_json()["items"][0]
    assert eightfold["seconds"] > cells["seconds"]


def test_an_estimate_names_what_would_fit(client: FlaskClient) -> None:
    body = {"image": upload(client)["id"], "models": ["cells"], "channels": [0, 1]}
    item = client.post("/api/v1/estimates", json=body).get_json()["items"][0]
    assert (item["ok"], item["error"]["code"]) == (False, "channels-unfit")
    assert "one channel, which is repeated" in item["reasons"][0]
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_a_model_a_worker_has_loaded_costs_no_loading(client: FlaskClient, worker: WorkerHand) -> None:
    sha256 = client.get("/api/v1/models/cells").get_json()["package_sha256"]
    body = {"image": upload(client)["id"], "models": ["cells"]}
    assert client.post("/api/v1/estimates", json=body).get_json()["items"][0]["load_s"] == 1.0
    asked = {"worker": "hand", "timeout_seconds": 0, "warm_models": [sha256]}
    assert worker.post("/scheduler/v1/reserve", asked).status_code == 204
    item = client.post("/api/v1/estimates", json=body).get_json()["items"][0]
    assert (item["load_s"], item["text"]) == (0.0, "about 1 s: 1 s of work")


def test_waiting_is_told_with_its_reason_and_its_time(
    app: Flask, client: FlaskClient, stranger: FlaskClient, worker: WorkerHand
) -> None:
    job = submit(client)
    assert job["eta"] == {"start_s": None, "end_s": None, "workers": 0}
    assert "no worker" in job["progress"]["message"]
    scheduler = app.extensions["zooscope"].scheduler
    scheduler.workers.waiting("hand", device="cpu", models=[])
    second = submit(client)
    assert second["progress"]["message"] == "1 job before it"
    assert 0 < second["eta"]["start_s"] < second["eta"]["end_s"]
    assert second["eta"]["workers"] == 1
    body = {"image": upload(stranger)["id"], "models": ["cells"]}
    told = stranger.post("/api/v1/estimates", json=body).get_json()
    assert told["queue"] == {"ahead": 1, "workers": 1}
    item = told["items"][0]
    assert 0 < item["eta"]["start_s"] < item["eta"]["end_s"] <= second["eta"]["end_s"], "it takes the second's turn"
    assert "s until a worker is free (1 job before yours), 1 s of work" in item["text"]
    scheduler.pause("preview", 90)
    assert "paused" in submit(stranger)["progress"]["message"]
    scheduler.pause("preview", 0)
    worker.start()
    view = client.get(f"/api/v1/jobs/{job['uuid']}").get_json()
    assert view["eta"]["start_s"] == 0
    assert view["eta"]["end_s"] > 0


def test_who_has_as_many_running_as_they_may_is_told_so(settings: Settings, app: Flask) -> None:
    limited = create_app(settings.replace(running_per_owner=1))
    client, worker = limited.test_client(), WorkerHand(limited.test_client(), worker_token(settings))
    submit(client)
    second = submit(client)
    worker.start()
    asked = {"worker": "other", "timeout_seconds": 0}
    assert worker.post("/scheduler/v1/reserve", asked).status_code == 204
    view = client.get(f"/api/v1/jobs/{second['uuid']}").get_json()
    assert (view["state"], view["held"]) == ("queued", True)
    assert "1 preview of the same person runs, as many as may at once" in view["progress"]["message"]
    limited.extensions["zooscope"].close()


def test_an_eta_that_comes_nearer_is_no_news_and_one_that_moves_is() -> None:
    def told(start: float | None, end: float | None, **more: Any) -> dict[str, Any]:
        return {"state": "queued", "eta": {"start_s": start, "end_s": end, "workers": 1}} | more

    assert not worth_telling(told(30.0, 36.0), told(25.0, 31.0), 5.0)
    assert worth_telling(told(30.0, 36.0), told(30.0, 36.0), 5.0)
    assert worth_telling(told(30.0, 36.0), told(25.0, 31.0, state="running"), 5.0)
    assert worth_telling(told(None, None), told(25.0, 31.0), 5.0)
    assert not worth_telling(told(None, None), told(None, None), 5.0)
    assert not worth_telling(told(1.0, 3.0), told(0.0, 1.5), 2.0)
    assert worth_telling({"eta": None}, told(0.0, 1.0), 0.0)
