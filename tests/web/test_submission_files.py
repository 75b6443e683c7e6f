"""Files of a submission: sent whole or in parts, looked at before they are kept, entered into the form."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from account_helpers import signed_in
from example_network import CONFIG, keras_file
from flask import Flask
from flask.testing import FlaskClient
from standard_package import write_onnx
from web_helpers import error_of, png

KEY = {"key": "net.keras 1234 5678"}


@pytest.fixture
def author(client: FlaskClient) -> FlaskClient:
    signed_in(client)
    return client


@pytest.fixture
def draft(author: FlaskClient) -> str:
    answer = author.post("/api/v1/submissions", json={})
    assert answer.status_code == 201, answer.text
    return f"/api/v1/submissions/{answer.get_json()['id']}"


def send(client: FlaskClient, draft: str, role: str, data: bytes, name: str, **more: Any) -> Any:
    return client.put(
        f"{draft}/files/{role}", data=data, headers={"X-Filename": name} | more.pop("headers", {}), **more
    )


def test_a_bare_network_tells_what_it_is(author: FlaskClient, draft: str, tmp_path: Path) -> None:
    network = write_onnx(tmp_path / "net.onnx", channels=2, maps=3).read_bytes()
    answer = send(author, draft, "weights", network, "net.onnx")
    assert answer.status_code == 200, answer.text
    said = answer.get_json()
    assert said["found"]["kind"] == "onnx"
    assert said["found"]["facts"]["maps"] == 3
    fields = said["submission"]["fields"]
    assert (fields["axes"], fields["channel_names"]) == ("bcyx", ["channel 1", "channel 2"])
    assert "axes" in fields["prefilled"]
    assert said["submission"]["files"]["weights"]["name"] == "net.onnx"
    assert [one["field"] for one in said["submission"]["missing"]][:2] == ["test_image", "name"]


def test_what_was_typed_is_never_replaced(author: FlaskClient, draft: str, tmp_path: Path) -> None:
    author.patch(draft, json={"fields": {"output_channels": ["cells"], "halo": "12"}})
    send(author, draft, "weights", keras_file(), "net.keras")
    two = write_onnx(tmp_path / "net.onnx", channels=2, maps=1).read_bytes()
    fields = send(author, draft, "weights", two, "net.onnx").get_json()["submission"]["fields"]
    assert (fields["output_channels"], fields["halo"]) == (["cells"], "12")
    assert fields["channel_names"] == ["channel 1", "channel 2"], "what the first file told gives way to the second"


def test_a_package_takes_the_place_of_a_network(author: FlaskClient, draft: str, packages: Path) -> None:
    send(author, draft, "weights", keras_file(), "net.keras")
    answer = send(author, draft, "package", (packages / "grey.zip").read_bytes(), "grey.zip")
    assert answer.status_code == 200, answer.text
    said = answer.get_json()["submission"]
    assert set(said["files"]) == {"package"}
    assert said["fields"]["name"] == "Grey things"
    assert said["fields"]["authors"] == [{"name": "Ada Tester"}]
    assert "axes" not in said["fields"]


def test_an_upload_that_broke_off_goes_on(author: FlaskClient, draft: str) -> None:
    network = keras_file()
    half, size = len(network) // 2, len(network)
    first = send(author, draft, "weights", network[:half], "net.keras", query_string=KEY,
                 headers={"Content-Range": f"bytes 0-{half - 1}/{size}"})  # fmt: skip
    assert (first.status_code, first.get_json()) == (202, {"received": half, "bytes": size})
    assert author.get(f"{draft}/uploads/weights", query_string=KEY).get_json() == {"received": half}
    assert author.get(f"{draft}/uploads/weights", query_string={"key": "other"}).get_json() == {"received": 0}
    again = send(author, draft, "weights", network[:half], "net.keras", query_string=KEY,
                 headers={"Content-Range": f"bytes 0-{half - 1}/{size}"})  # fmt: skip
    assert error_code(again) == (409, "upload-offset")
    assert again.get_json()["received"] == half
    rest = send(author, draft, "weights", network[half:], "net.keras", query_string=KEY,
                headers={"Content-Range": f"bytes {half}-{size - 1}/{size}"})  # fmt: skip
    assert rest.status_code == 200, rest.text
    assert author.get(f"{draft}/files/weights", buffered=True).data == network
    assert author.get(f"{draft}/uploads/weights", query_string=KEY).get_json() == {"received": 0}


def error_code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]["code"]


@pytest.mark.parametrize("header", ["bytes 5-1/10", "bytes 0-9/5", "bytes 0-1/100", "lines 0-1/2", "bytes -1-2/3"])
def test_a_range_that_is_none_is_refused(author: FlaskClient, draft: str, header: str) -> None:
    answer = send(author, draft, "weights", b"12345", "net.keras", headers={"Content-Range": header})
    assert error_code(answer) == (400, "bad-range")


def _lambda_keras() -> bytes:
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "x"}, "name": "x"}
    return keras_file(config=CONFIG | {"config": CONFIG["config"] | {"layers": [layer]}})


def _slip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../rdf.yaml", "type: model")
    return out.getvalue()


@pytest.mark.parametrize(
    ("role", "name", "data", "code", "word"),
    [
        ("weights", "net.keras", _lambda_keras(), "package-invalid", "Lambda"),
        ("package", "net.zip", _slip(), "archive-refused", "leaves the archive"),
        ("weights", "net.h5", b"\x89HDF\r\n\x1a\n" + b"0" * 100, "package-invalid", "old HDF5"),
        ("weights", "net.pt", b"\x80\x02}q\x00.", "package-invalid", "PyTorch"),
        ("weights", "net.onnx", b"not a network", "package-invalid", "damaged"),
        ("package", "net.keras", keras_file(), "wrong-role", "network without a package"),
        ("weights", "empty.onnx", b"", "wrong-role", "empty"),
        ("test_image", "x.png", b"GIF89a....", "unsupported-image", "GIF"),
        ("cover", "x.png", png(30, 20), "cover-refused", "30 x 20"),
    ],
)
def test_what_is_refused_leaves_nothing(
    app: Flask, author: FlaskClient, draft: str, role: str, name: str, data: bytes, code: str, word: str
) -> None:
    answer = send(author, draft, role, data, name)
    assert error_of(answer)[1] == code, answer.text
    assert word in answer.get_json()["error"]["message"]
    assert answer.status_code in (400, 415, 422)
    assert author.get(draft).get_json()["files"] == {}
    assert list((app.extensions["zooscope"].uploads_folder / "parts").iterdir()) == []


def test_a_test_image_is_shown_small(author: FlaskClient, draft: str, stranger: FlaskClient) -> None:
    answer = send(author, draft, "test_image", png(64, 48), "cells.png")
    assert answer.get_json()["submission"]["fields"]["test_image"]["width"] == 64
    assert author.get(f"{draft}/files/test_image/thumbnail.png", buffered=True).mimetype == "image/png"
    assert author.get(f"{draft}/files/cover/thumbnail.png").status_code == 404
    assert stranger.get(f"{draft}/files/test_image/thumbnail.png").status_code == 401
    removed = author.delete(f"{draft}/files/test_image").get_json()
    assert removed["files"] == {}


def test_only_its_author_sends_files(draft: str, stranger: FlaskClient) -> None:
    assert send(stranger, draft, "weights", keras_file(), "net.keras").status_code == 401
    signed_in(stranger, "Eve")
    assert send(stranger, draft, "weights", keras_file(), "net.keras").status_code == 403
    assert stranger.delete(f"{draft}/files/weights").status_code == 403
    assert stranger.get(f"{draft}/uploads/weights").status_code == 403


def test_too_large_is_refused_before_it_is_read(author: FlaskClient, draft: str) -> None:
    answer = send(author, draft, "test_image", b"x", "a.png", headers={"Content-Range": "bytes 0-0/500000"})
    assert error_code(answer) == (413, "too-large")
