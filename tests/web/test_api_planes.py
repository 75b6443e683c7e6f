"""Settings that an image or a model cannot do are answered before anything is queued, anew when a job is run again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from example_network import keras_file
from example_package import make_package
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import error_of, png, upload

from zoo.crops import decode_crop
from zoo.preview_settings import INPUT_SETTINGS, settings_for_model

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 48, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def deep_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deep")
    for frames in (3, 5):
        (folder / f"planes{frames}.keras").write_bytes(keras_file(frames))
    variants = {frames: folder / f"planes{frames}.keras" for frames in (3, 5)}
    make_package(folder / "zoo" / "deep.zip", name="Deep model", variants=variants)
    return folder / "zoo"


@pytest.fixture
def deep(app: Flask, deep_package: Path) -> Flask:
    """The application with a model `deep` of 1, 3 and 5 planes besides the others."""
    app.extensions["zooscope"].catalogue.fill_seeds(deep_package)
    return app


def stack(axes: str = "ZYX", pixels: np.ndarray = PIXELS) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, imagej=True, metadata={"axes": axes})
    return out.getvalue()


def body(image: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"image": image["id"], "roi": [8, 4, 40, 32], "plane": 0, "models": ["deep"], "settings": settings}


def crop_of(app: Flask, job: dict[str, Any]) -> np.ndarray | None:
    return decode_crop(app.extensions["zooscope"].blobs.path(job["input_sha256"])).around


def test_a_job_of_several_planes_holds_them(deep: Flask, client: FlaskClient) -> None:
    image = upload(client, stack(), "stack.tif")
    assert (image["planes"], image["depth"]) == (6, 6)
    job = client.post("/api/v1/jobs", json=body(image, frames="1+5")).get_json()["jobs"][0]
    assert job["settings"]["frames"] == "1+5"
    around = crop_of(deep, job)
    assert around is not None
    np.testing.assert_array_equal(around[..., 0], PIXELS[[0, 0, 0, 1, 2], 4:36, 8:48])
    alone = client.post("/api/v1/jobs", json=body(image)).get_json()["jobs"][0]
    assert crop_of(deep, alone) is None


def test_models_of_one_plane_are_not_given_more(deep: Flask, client: FlaskClient) -> None:
    image = upload(client, stack(), "stack.tif")
    asked = body(image) | {"models": ["deep", "grey"]}
    one, two = client.post("/api/v1/jobs", json=asked).get_json()["jobs"]
    assert one["input_sha256"] == two["input_sha256"]


@pytest.mark.parametrize(
    ("axes", "pixels", "has", "choose"),
    [
        ("YX", PIXELS[0], "the image has a single plane.", "Choose frames 1, or give"),
        ("ZYX", PIXELS[:4], "the image has a stack of 4 planes.", "Choose frames 1, 3 or 1+3, or give"),
        ("TYX", PIXELS, "a single plane at each of its 6 time points.", "Choose frames 1, or give"),
    ],
)
def test_more_planes_than_there_are_is_answered_before_submit(
    deep: Flask, client: FlaskClient, axes: str, pixels: np.ndarray, has: str, choose: str
) -> None:
    asked = body(upload(client, stack(axes, pixels), "stack.tif"), frames="5")
    item = client.post("/api/v1/estimates", json=asked).get_json()["items"][0]
    assert (item["ok"], item["error"]["code"]) == (False, "planes-missing")
    assert item["error"]["message"].endswith(has)
    assert item["error"]["hint"].startswith(choose)
    assert error_of(client.post("/api/v1/jobs", json=asked)) == (400, "planes-missing")
    assert client.get("/api/v1/jobs").get_json()["total"] == 0


def test_networks_that_a_model_lacks_are_answered_before_submit(client: FlaskClient) -> None:
    asked = body(upload(client, stack(), "stack.tif"), frames="5") | {"models": ["grey"]}
    item = client.post("/api/v1/estimates", json=asked).get_json()["items"][0]
    assert item["error"]["code"] == "bad-preview-setting"
    assert item["error"]["hint"] == "Only 1 works with this model."


def test_a_rerun_is_checked_anew_and_gets_the_planes_it_needs(deep: Flask, client: FlaskClient) -> None:
    image = upload(client, stack(), "stack.tif")
    job = client.post("/api/v1/jobs", json=body(image) | {"plane": 3}).get_json()["jobs"][0]
    url = f"/api/v1/jobs/{job['uuid']}/rerun"
    again = client.post(url, json={"settings": {"frames": "3", "variations": "cdeep3m2-1"}}).get_json()
    around = crop_of(deep, again)
    assert around is not None
    np.testing.assert_array_equal(around[..., 0], PIXELS[2:5, 4:36, 8:48])
    assert again["source"] == job["source"]
    assert again["rerun_of"] == job["uuid"]
    assert again["estimate"]["seconds"] > job["estimate"]["seconds"]
    # Fewer planes than the crop holds need no new crop.
    back = client.post(f"/api/v1/jobs/{again['uuid']}/rerun", json={"settings": {"frames": "1"}}).get_json()
    assert back["input_sha256"] == again["input_sha256"]
    assert client.delete(f"/api/v1/images/{image['id']}").status_code == 204
    answer = client.post(url, json={"settings": {"frames": "3"}})
    assert error_of(answer) == (400, "planes-missing")
    assert "Upload the image again" in answer.get_json()["error"]["hint"]
    assert client.post(url, json={"settings": {"threshold": 0.4}}).status_code == 201


def test_a_rerun_of_a_single_plane_says_so(deep: Flask, client: FlaskClient) -> None:
    job = client.post("/api/v1/jobs", json=body(upload(client, png(channels=1)))).get_json()["jobs"][0]
    answer = client.post(f"/api/v1/jobs/{job['uuid']}/rerun", json={"settings": {"frames": "3"}})
    assert error_of(answer) == (400, "planes-missing")
    assert "Choose frames 1" in answer.get_json()["error"]["hint"]


def test_a_rerun_that_resizing_makes_too_large_is_refused(client: FlaskClient) -> None:
    asked = {"image": upload(client)["id"], "models": ["cells"], "pixel_size_um": 5000, "settings": {"rescale": "off"}}
    job = client.post("/api/v1/jobs", json=asked).get_json()["jobs"][0]
    answer = client.post(f"/api/v1/jobs/{job['uuid']}/rerun", json={"settings": {"rescale": "auto"}})
    assert error_of(answer) == (400, "region-too-large")


def test_estimates_count_the_passes_of_all_networks(deep: Flask, client: FlaskClient) -> None:
    image = upload(client, stack(), "stack.tif")

    def seconds(**settings: str) -> float:
        item = client.post("/api/v1/estimates", json=body(image, **settings)).get_json()["items"][0]
        return float(item["seconds"])

    one, three = seconds(), seconds(frames="1+3+5")
    assert seconds(frames="1+3+5", variations="cdeep3m2-1") - one == pytest.approx(39 * (three - one) / 2)
    assert three > one


def test_settings_of_a_model_are_what_it_can_do(deep: Flask, client: FlaskClient) -> None:
    found = client.get("/api/v1/preview-settings?model=deep").get_json()
    document = client.get("/api/v1/models/deep").get_json()
    assert found["items"] == [setting.to_json() for setting in settings_for_model(document)]
    frames = next(item for item in found["items"] if item["name"] == "frames")
    assert (frames["choices"][-1], frames["labels"][-1]) == ("1+3+5", "1, 3 and 5 planes, averaged")
    assert found["inputs"] == [setting.to_json() for setting in INPUT_SETTINGS]
