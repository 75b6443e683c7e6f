from __future__ import annotations

import gzip
import io
import json
import urllib.request
import zipfile
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from web_helpers import WorkerHand, error_of, png, result_files, submit


@pytest.fixture
def done(client: FlaskClient, worker: WorkerHand) -> dict[str, Any]:
    job = submit(client)
    worker.finish(worker.start())
    view = client.get(f"/api/v1/jobs/{job['uuid']}").get_json()
    assert view["state"] == "done"
    return view


def picture(client: FlaskClient, url: str) -> Image.Image:
    with client.get(url) as answer:
        assert answer.status_code == 200
        assert answer.mimetype == "image/png"
        return Image.open(io.BytesIO(answer.data))


def test_every_file_is_served_as_it_was_posted(stranger: FlaskClient, done: dict[str, Any]) -> None:
    posted = result_files()
    assert {file["name"] for file in done["result"]["files"]} == set(posted)
    for file in done["result"]["files"]:
        with stranger.get(file["url"]) as answer:
            assert answer.data == posted[file["name"]]
            assert answer.mimetype == file["media_type"]
            assert "immutable" in answer.headers["Cache-Control"]
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            shown = file["name"] in ("overlay.png", "log.txt")
            disposition = answer.headers["Content-Disposition"]
            assert disposition.startswith("inline" if shown else "attachment")
            assert f"cells-cells-{done['uuid'][:8]}-{file['name']}" in disposition
    with stranger.get(f"/api/v1/jobs/{done['uuid']}/files/overlay.png?download") as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("name", ["other.png", "..%2f..%2fdocuments.sqlite3", "overlay.png%00"])
def test_only_files_of_the_result_are_served(client: FlaskClient, done: dict[str, Any], name: str) -> None:
    assert client.get(f"/api/v1/jobs/{done['uuid']}/files/{name}").status_code == 404


def test_the_zip_holds_all_files_and_is_always_the_same(client: FlaskClient, done: dict[str, Any]) -> None:
    first = client.get(done["result"]["zip"])
    with zipfile.ZipFile(io.BytesIO(first.data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == result_files()
    assert client.get(done["result"]["zip"]).data == first.data
    not_again = client.get(done["result"]["zip"], headers={"If-None-Match": first.headers["ETag"]})
    assert (not_again.status_code, not_again.data) == (304, b"")


def test_the_zip_arrives_over_a_real_socket(server: str, done: dict[str, Any]) -> None:
    with urllib.request.urlopen(server + done["result"]["zip"], timeout=10) as answer:
        assert zipfile.is_zipfile(io.BytesIO(answer.read()))


def test_layers_are_drawn_from_the_files(client: FlaskClient, done: dict[str, Any]) -> None:
    layers = done["result"]["layers"]
    region = np.asarray(Image.open(io.BytesIO(png())))[4:36, 8:48]
    assert (np.asarray(picture(client, layers["original"])) == region).all()
    probability = np.asarray(picture(client, layers["probability"]))
    assert probability.shape == (32, 40)
    assert (probability[3, 3], probability[0, 0]) == (255, 0)
    mask = np.asarray(picture(client, layers["mask"]).convert("RGBA"))
    assert mask[0, 0, 3] == 0
    assert mask[3, 3, 3] == mask[15, 15, 3] == 255
    assert mask[3, 3].tolist() != mask[15, 15].tolist()
    assert picture(client, layers["thumbnail"]).size == (40, 32)
    assert (np.asarray(picture(client, layers["mask"]).convert("RGBA")) == mask).all()


def test_a_job_that_is_not_done_shows_its_region_alone(client: FlaskClient) -> None:
    job = submit(client)
    base = f"/api/v1/jobs/{job['uuid']}"
    assert picture(client, job["links"]["original"]).size == (40, 32)
    assert picture(client, f"{base}/layers/thumbnail.png").size == (40, 32)
    for path in ("layers/mask.png", "layers/probability.png", "layers/x.png", "files/overlay.png", "result.zip"):
        assert error_of(client.get(f"{base}/{path}")) == (404, "not-found")


def test_a_mask_outlives_its_model_document(client: FlaskClient, done: dict[str, Any], app: Any) -> None:
    app.extensions["zooscope"].documents.delete("models", "cells")
    assert picture(client, done["result"]["layers"]["probability"]).size == (40, 32)


def test_the_overlay_is_there_while_the_rest_is_still_made(
    client: FlaskClient, stranger: FlaskClient, worker: WorkerHand
) -> None:
    job = submit(client)
    claim = worker.start()
    path = f"/api/v1/jobs/{job['uuid']}"
    assert client.get(path).get_json()["links"]["overlay"] is None
    assert client.get(f"{path}/files/overlay.png").status_code == 404
    worker.upload(claim, "overlay.png", result_files()["overlay.png"])
    view = stranger.get(path).get_json()
    assert (view["state"], view["result"]) == ("running", None)
    with stranger.get(view["links"]["overlay"]) as answer:
        assert answer.data == result_files()["overlay.png"]
    assert client.get(f"{path}/files/labels.ome.tif").status_code == 404
    worker.finish(claim)
    assert client.get(path).get_json()["links"]["overlay"] == view["links"]["overlay"]


def test_the_legend_names_shape_classes_and_maps(done: dict[str, Any]) -> None:
    legend = done["result"]["legend"]
    assert legend["shape"] == "regions"
    assert legend["classes"] == [{"name": "cell", "objects": "cells", "colour": legend["classes"][0]["colour"]}]
    assert legend["map"] < max(1, len(legend["maps"]))


def test_another_map_and_a_tint_are_layers_too(client: FlaskClient, done: dict[str, Any]) -> None:
    layers = done["result"]["layers"]
    tint = np.asarray(picture(client, layers["tint"]))
    assert tint.shape == (32, 40, 4)
    assert (tint[3, 3, 3], tint[0, 0, 3]) == (153, 0), "the picture is seen through it"
    assert (
        np.asarray(picture(client, f"{layers['probability']}?map=0"))
        == np.asarray(picture(client, layers["probability"]))
    ).all()
    assert client.get(f"{layers['probability']}?map=900").status_code == 404
    assert client.get(f"{layers['probability']}?map=x").status_code == 400


def test_objects_are_the_table_and_outlines_in_steps(client: FlaskClient, done: dict[str, Any]) -> None:
    with client.get(done["result"]["objects"], headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        found = json.loads(gzip.decompress(answer.data))
    assert client.get(done["result"]["objects"]).get_json() == found
    table = result_files()["objects.csv"].decode().strip().split("\n")
    assert found["columns"] == table[0].split(",")
    assert [[str(cell) for cell in row] for row in found["rows"]] == [line.split(",") for line in table[1:]]
    assert len(found["outlines"]) == len(found["colours"]) == len(found["rows"])
    shapes = json.loads(result_files()["objects.geojson"])["features"]
    left, top = done["source"]["roi"][:2]
    for rings, shape in zip(found["outlines"], shapes, strict=True):
        corners = np.array(rings[0]).reshape(-1, 2).cumsum(axis=0) + np.array((left, top))
        assert corners.tolist() == shape["geometry"]["coordinates"][0][:-1]
