from __future__ import annotations

import io
from urllib.parse import quote

import numpy as np
import pytest
import tifffile
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from web_helpers import error_of, png, submit, upload

from web.app import create_app
from zoo.settings import Settings


def test_an_uploaded_image_is_described(client: FlaskClient) -> None:
    image = upload(client, png(64, 48), "my cells.png")
    shown = {name: image[name] for name in ("name", "width", "height", "planes", "channels", "dtype", "rgb", "mine")}
    assert shown == {
        "name": "my cells.png", "width": 64, "height": 48, "planes": 1, "channels": 3, "dtype": "uint8", "rgb": True,
        "mine": True,
    }  # fmt: skip
    assert image["bytes"] == len(png(64, 48))
    assert client.get(f"/api/v1/images/{image['id']}").get_json() == image


def test_bytes_may_come_without_a_form(client: FlaskClient) -> None:
    answer = client.post("/api/v1/images", data=png(), headers={"X-Filename": "z%C3%A4hlen.png"})
    assert (answer.status_code, answer.get_json()["name"]) == (201, "zählen.png")


def test_the_pixel_size_of_the_file_is_told(client: FlaskClient) -> None:
    out = io.BytesIO()
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite(out, np.zeros((8, 9), np.uint16), ome=True, metadata=metadata)
    assert upload(client, out.getvalue(), "a.ome.tif")["pixel_size"] == {"x_um": 0.25, "y_um": 0.5}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.tif"),
        (b"%!PS-Adobe-3.0 EPSF", "a.png"),
        (b"PK\x03\x04", "a.zip"),
        (png()[:100], "a.png"),
        (b"", "a.png"),
    ],
)
def test_what_is_no_image_is_refused_and_leaves_nothing(
    app: Flask, client: FlaskClient, data: bytes, name: str
) -> None:
    parts = app.extensions["zooscope"]
    before = list(parts.blobs.sha256s())
    status, _ = error_of(client.post("/api/v1/images", data={"file": (io.BytesIO(data), name)}))
    assert 400 <= status < 500
    assert list(parts.blobs.sha256s()) == before
    assert list(parts.uploads_folder.iterdir()) == []
    assert client.get("/api/v1/images").get_json()["total"] == 0


def test_a_file_over_the_limit_is_refused(client: FlaskClient) -> None:
    large = b"\x89PNG" + b"0" * 450_000
    assert error_of(client.post("/api/v1/images", data=large, headers={"X-Filename": "a.png"}))[0] == 413
    assert error_of(client.post("/api/v1/images", data={"file": (io.BytesIO(large), "a.png")}))[0] == 413


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"other": (io.BytesIO(b"x"), "a.png")},
        {"file": "not a file"},
        {"file": (io.BytesIO(b"x"), "a.png"), "second": (io.BytesIO(b"x"), "b.png")},
        {f"field{number}": "x" for number in range(40)} | {"file": (io.BytesIO(b"x"), "a.png")},
        {"text": "x" * 300_000, "file": (io.BytesIO(b"x"), "a.png")},
    ],
)
def test_a_form_that_is_not_one_file_is_refused(client: FlaskClient, form: dict) -> None:
    answer = client.post("/api/v1/images", data=form, content_type="multipart/form-data")
    assert error_of(answer)[0] in (400, 413)


def test_another_kind_of_body_is_refused(client: FlaskClient) -> None:
    assert error_of(client.post("/api/v1/images", data=b"x"))[0] == 415
    assert error_of(client.post("/api/v1/images", data=b"x", content_type="multipart/form-data"))[0] == 400


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.png", "a\nb.png", "CON.png", "\u202egnp.exe.png", "-rf.png", "x" * 300]
)
def test_names_are_made_safe(client: FlaskClient, name: str) -> None:
    answer = client.post("/api/v1/images", data=png(), headers={"X-Filename": quote(name)})
    kept = answer.get_json()["name"]
    assert kept
    assert len(kept) <= 120
    assert not set(kept) & set("/\\\n\u202e")
    assert not kept.startswith((".", "-"))


def test_an_image_is_its_visitors_alone(client: FlaskClient, stranger: FlaskClient) -> None:
    image = upload(client)
    url = f"/api/v1/images/{image['id']}"
    assert error_of(stranger.get(url)) == (403, "forbidden")
    assert error_of(stranger.get(f"{url}/thumbnail.png")) == (403, "forbidden")
    assert error_of(stranger.delete(url)) == (403, "forbidden")
    assert error_of(stranger.post("/api/v1/jobs", json={"image": image["id"], "models": ["cells"]}))[0] == 403
    assert stranger.get("/api/v1/images").get_json() == {"items": [], "total": 0}
    assert [item["id"] for item in client.get("/api/v1/images").get_json()["items"]] == [image["id"]]
    assert error_of(client.get("/api/v1/images/unknown")) == (404, "not-found")


def test_a_deleted_image_is_gone_and_its_result_stays(app: Flask, client: FlaskClient) -> None:
    job = submit(client)
    parts = app.extensions["zooscope"]
    id, sha256 = job["source"]["image_id"], job["source"]["image_sha256"]
    assert parts.blobs.exists(sha256)
    assert client.delete(f"/api/v1/images/{id}").status_code == 204
    assert not parts.blobs.exists(sha256)
    assert parts.blobs.exists(job["input_sha256"])
    assert client.get(f"/api/v1/images/{id}").status_code == 404


def test_a_file_two_visitors_uploaded_stays_for_the_other(client: FlaskClient, stranger: FlaskClient) -> None:
    mine, theirs = upload(client), upload(stranger)
    assert mine["sha256"] == theirs["sha256"]
    client.delete(f"/api/v1/images/{mine['id']}")
    with stranger.get(f"/api/v1/images/{theirs['id']}/thumbnail.png") as answer:
        assert answer.status_code == 200


def test_a_sample_belongs_to_everybody(client: FlaskClient, stranger: FlaskClient) -> None:
    asked = {"model": "cells", "sample": 0}
    image = client.post("/api/v1/images/from-sample", json=asked).get_json()
    assert (image["width"], image["name"], image["mine"]) == (136, "Noise", False)
    assert image["pixel_size"] == {"x_um": 0.5, "y_um": 0.5}
    assert image["origin"]["licence"] == "CC0-1.0"
    assert stranger.post("/api/v1/images/from-sample", json=asked).get_json()["id"] == image["id"]
    assert stranger.get(f"/api/v1/images/{image['id']}").status_code == 200
    assert error_of(client.delete(f"/api/v1/images/{image['id']}")) == (403, "forbidden")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": "none", "sample": 0}, (404, "model-missing")),
        ({"model": "cells", "sample": 1}, (404, "not-found")),
        ({"model": "cells", "sample": -1}, (404, "not-found")),
        ({"model": "cells", "sample": True}, (400, "bad-field")),
        ({"model": ["cells"], "sample": 0}, (400, "bad-field")),
        ({"model": "cells", "version": 1, "sample": 0}, (400, "bad-field")),
        ({"model": "cells"}, (400, "bad-field")),
    ],
)
def test_a_wrong_sample_is_refused(client: FlaskClient, body: dict, expected: tuple[int, str]) -> None:
    assert error_of(client.post("/api/v1/images/from-sample", json=body)) == expected


def test_tiles_show_the_image(client: FlaskClient) -> None:
    data = png(300, 280, seed=5)
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    image = upload(client, data)
    base = image["urls"]["tiles"].split("?")[0]
    level = 9  # 300 px need 2**9
    with client.get(base.format(plane=0, level=level, x=1, y=1)) as answer:
        tile = np.asarray(Image.open(io.BytesIO(answer.data)))
        assert "immutable" in answer.headers["Cache-Control"]
    assert (tile == pixels[256:, 256:]).all()
    with client.get(base.format(plane=0, level=level, x=0, y=0) + "?channels=1") as answer:
        grey = np.asarray(Image.open(io.BytesIO(answer.data)))
    assert grey.ndim == 2
    with client.get(f"/api/v1/images/{image['id']}/thumbnail.png") as answer:
        assert max(Image.open(io.BytesIO(answer.data)).size) <= 384


@pytest.mark.parametrize(
    "path",
    [
        "planes/1/tiles/6/0_0.png", "planes/0/tiles/30/0_0.png", "planes/0/tiles/6/9_0.png",
        "planes/0/tiles/6/0_0.png?channels=7", "planes/0/tiles/6/0_0.png?channels=x",
        "planes/0/tiles/6/0_0.png?channels=" + "0," * 500, "planes/0/tiles/6/0_0.png?low=nan", "thumbnail.png?plane=4",
    ],
)  # fmt: skip
def test_a_tile_that_is_not_there_is_refused(client: FlaskClient, path: str) -> None:
    image = upload(client)
    assert error_of(client.get(f"/api/v1/images/{image['id']}/{path}"))[0] in (400, 404)


def test_a_full_disk_is_said_and_leaves_nothing(settings: Settings) -> None:
    full = create_app(settings.replace(free_disk_bytes=2**60))
    answer = full.test_client().post("/api/v1/images", data=png(), headers={"X-Filename": "a.png"})
    assert error_of(answer) == (507, "storage-full")
    assert list(full.extensions["zooscope"].uploads_folder.iterdir()) == []
    full.extensions["zooscope"].close()
